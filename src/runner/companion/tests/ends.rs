//! What is delivered once the main container has ended, however it ended.

use std::os::unix::fs::symlink;

use rstest::rstest;

use super::*;
use crate::{
    api::evidence::{ReportState, Severity},
    runner::world::git,
};

const BRANCH: &str = "refs/heads/bugfix/phase-1-review-2";
const WIP: &str = "refs/phasegate/wip/0f1e2d3c/2";
const LOGS: &str = "refs/phasegate/logs/0f1e2d3c/2";

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_tree_and_a_good_end_are_a_submission() {
    let pod = Pod::new(Role::Developer).await;
    pod.world.write("new/file", "1");
    pod.world.write("cache.pyc", "ignored");
    pod.world.ended(0, "all\ndone\n");
    let world = pod.end().await;
    let delivery = world.operator.delivery();
    let commit = delivery.commit.unwrap();
    assert_eq!((delivery.changed, delivery.exit_code, delivery.message.as_str()), (true, Some(0), "all\ndone"));
    assert_eq!(world.head(BRANCH), commit);
    let files = git(&world.bare(), &["ls-tree", "-r", "--name-only", &commit]);
    assert_eq!(files, ".gitignore\ngreet.py\nnew/file\n");
    assert_eq!(world.head(WIP), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untouched_tree_and_a_good_end_are_no_change() {
    let pod = Pod::new(Role::Developer).await;
    pod.world.ended(0, "");
    let world = pod.end().await;
    let delivery = world.operator.delivery();
    assert_eq!((delivery.changed, delivery.commit), (false, None));
    assert_eq!(world.head(BRANCH), "");
}

#[rstest]
#[case::badly(Some(1), "boom")]
#[case::by_its_timeout(Some(124), "too slow")]
#[case::killed_with_step(None, "")]
#[tokio::test(flavor = "multi_thread")]
async fn work_of_a_run_that_ended_badly_is_saved_and_not_submitted(#[case] code: Option<i32>, #[case] output: &str) {
    let pod = Pod::new(Role::Developer).await;
    pod.world.write("greet.py", "half");
    if let Some(code) = code {
        pod.world.ended(code, output);
    }
    let world = pod.end().await;
    let delivery = world.operator.delivery();
    assert_eq!((delivery.changed, &delivery.commit, delivery.exit_code), (true, &None, code));
    assert_eq!(delivery.timed_out, code == Some(124));
    assert!(delivery.message.starts_with(&format!("the work tree is saved as {WIP}")), "{}", delivery.message);
    assert!(delivery.message.ends_with(output));
    assert_eq!(world.head(BRANCH), "");
    assert_eq!(world.file(&world.head(WIP), "greet.py"), "half");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_cannot_be_taken_is_not_mistaken_for_no_work() {
    let pod = Pod::new(Role::Developer).await;
    std::fs::File::create(pod.world.places.workspace.join("huge")).unwrap().set_len(1 << 40).unwrap();
    pod.world.ended(0, "");
    let world = pod.end().await;
    let delivery = world.operator.delivery();
    assert_eq!((delivery.changed, delivery.refused, delivery.commit), (true, true, None));
    let words = "huge has 1099511627776 bytes, more than 104857600; remove it, or ignore it in .gitignore";
    assert_eq!(delivery.message, words);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_git_cannot_take_is_not_refused() {
    let pod = Pod::new(Role::Developer).await;
    pod.world.write("new", "1");
    pod.world.ended(0, "");
    std::fs::remove_dir_all(pod.world.places.git.join("repository.git")).unwrap();
    let world = pod.end().await;
    let delivery = world.operator.delivery();
    assert_eq!((delivery.changed, delivery.refused, delivery.commit), (true, false, None));
    assert!(delivery.message.starts_with("failed to take the work tree: "), "{}", delivery.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_repeated_until_the_operator_has_it() {
    let pod = Pod::new(Role::Developer).await;
    pod.world.ended(0, "");
    pod.world.operator.unavailable.store(4, std::sync::atomic::Ordering::SeqCst);
    let world = pod.end().await;
    assert_eq!(world.operator.told("delivery").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_of_a_run_that_cannot_be_delivered_are_kept() {
    let pod = Pod::new(Role::Developer).await;
    pod.world.write("greet.py", "half");
    pod.world.ended(1, "boom\n");
    pod.world.operator.deaf.store(true, std::sync::atomic::Ordering::SeqCst);
    pod.end.send(()).unwrap();
    assert!(pod.serving.await.unwrap().is_err());
    assert_eq!(pod.world.file(&pod.world.head(LOGS), "output.log"), "boom\n");
    assert_eq!(pod.world.file(&pod.world.head(WIP), "greet.py"), "half");
}

const JUNIT: &str = r#"<testsuite name="s" tests="2" failures="1">
<testcase classname="c" name="good"/><testcase classname="c" name="bad"><failure message="no"/></testcase></testsuite>"#;

fn sarif(results: usize) -> String {
    let result = |index: usize| {
        serde_json::json!({
            "ruleId": format!("R{index}"), "level": "error", "message": {"text": "m".repeat(500)},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": "greet.py"}, "region": {"startLine": 1}}}],
        })
    };
    let results: Vec<Value> = (0..results).map(result).collect();
    serde_json::json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t"}}, "results": results}]})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reports_of_a_check_are_delivered_as_facts_and_kept_in_full() {
    let pod = Pod::new(Role::Check).await;
    pod.world.write("reports/junit.xml", JUNIT);
    pod.world.write("bandit.sarif", &sarif(1));
    pod.world.ended(1, "1 failed\n");
    let world = pod.end().await;
    let delivery = world.operator.delivery();
    assert_eq!((delivery.exit_code, delivery.changed, delivery.message.as_str()), (Some(1), false, "1 failed"));
    let tests = delivery.reports[0].tests.unwrap();
    assert_eq!((delivery.reports[0].state, tests.passed, tests.failed), (ReportState::Read, 1, 1));
    assert_eq!(delivery.reports[1].findings[0].severity, Severity::Major);
    assert_eq!(world.head(BRANCH), "");
    let logs = world.head(LOGS);
    assert_eq!(world.file(&logs, "output.log"), "1 failed\n");
    assert_eq!(world.file(&logs, "reports/0-reports-junit.xml"), JUNIT);
    assert!(world.file(&logs, "step.json").contains("\"exitCode\":1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_a_link_gives_nothing_away() {
    let pod = Pod::new(Role::Check).await;
    let secret = pod.world.dir().join("secret");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("junit.xml"), JUNIT).unwrap();
    symlink(&secret, pod.world.places.workspace.join("reports")).unwrap();
    symlink("/etc/passwd", pod.world.places.workspace.join("bandit.sarif")).unwrap();
    for name in ["output.log", "step.json"] {
        symlink(&pod.world.places.token, pod.world.places.out.join(name)).unwrap();
    }
    let world = pod.end().await;
    let delivery = world.operator.delivery();
    for report in &delivery.reports {
        assert_eq!((report.state, report.tests, report.findings.len()), (ReportState::Invalid, None, 0));
        assert!(report.message.contains("links are not followed"), "{}", report.message);
    }
    assert_eq!((delivery.exit_code, delivery.message.as_str()), (None, ""));
    assert_eq!(world.head(LOGS), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_are_missing_or_too_large_say_so() {
    let pod = Pod::new(Role::Check).await;
    std::fs::File::create(pod.world.places.workspace.join("bandit.sarif")).unwrap().set_len(1 << 33).unwrap();
    pod.world.ended(0, "");
    let world = pod.end().await;
    let states: Vec<ReportState> = world.operator.delivery().reports.iter().map(|report| report.state).collect();
    assert_eq!(states, [ReportState::Missing, ReportState::Invalid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_findings_is_bounded_for_the_task_and_the_counts_stay_exact() {
    let pod = Pod::new(Role::Check).await;
    let mut check = pod.world.assignment();
    check.check.as_mut().unwrap().reports[0] =
        serde_json::from_value(serde_json::json!({"path": "second.sarif", "format": "SARIF",
            "levels": {"error": "Critical"}}))
        .unwrap();
    std::fs::write(pod.world.places.git.join("assignment.json"), serde_json::to_vec(&check).unwrap()).unwrap();
    let pod = Pod::of_prepared(pod.world).await;
    pod.world.write("second.sarif", &sarif(60));
    pod.world.write("bandit.sarif", &sarif(300));
    pod.world.ended(1, "");
    let world = pod.end().await;
    let delivery = world.operator.delivery();
    let listed: Vec<usize> = delivery.reports.iter().map(|report| report.findings.len()).collect();
    assert_eq!(listed, [60, 40], "the most severe first");
    assert_eq!(delivery.reports[1].counts.unwrap().major, 300);
    assert_eq!((delivery.reports[0].truncated, delivery.reports[1].truncated), (false, true));
    assert!(serde_json::to_vec(&delivery.reports).unwrap().len() < 120 << 10);
}
