//! A reviewing agent: what it is told, what it can file, and what becomes of its review.

use std::sync::atomic::Ordering;

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    review::finding_id,
    runner::{replay, world::git},
};

const GREET: &str = "import os\n\n\ndef greet(name):\n    os.system('echo ' + name)\n\n\ndef part():\n    return 1\n";

/// The phase changed `greet.py`, renamed `old.py` to `new.py`, and left `kept.py` alone.
async fn phase() -> World {
    let world = World::new(Role::Reviewer).await;
    let base = world.commit("base", |work| {
        let old = "def old():\n    return 'the same text, so that it is a rename'\n\n\nX = 1\n";
        std::fs::write(work.join("old.py"), old).unwrap();
        std::fs::write(work.join("kept.py"), "PASSWORD = 'hunter2'\n").unwrap();
    });
    let head = world.commit("release", |work| {
        std::fs::write(work.join("greet.py"), GREET).unwrap();
        std::fs::write(work.join("logo.png"), b"\x89PNG\0\0\0").unwrap();
        std::fs::write(work.join("huge.txt"), vec![b'x'; 5 << 20]).unwrap();
        std::fs::create_dir(work.join("docs")).unwrap();
        std::fs::write(work.join("docs/a.md"), "# A\n").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", work.join("link")).unwrap();
        std::fs::rename(work.join("old.py"), work.join("new.py")).unwrap();
    });
    world.assign(|assignment| {
        assignment.base.as_mut().unwrap().commit = base;
        assignment.commit = Some(head);
    });
    world
}

async fn pod() -> Pod {
    Pod::of(phase().await).await
}

/// A finding that is fine, with some fields changed.
#[expect(clippy::needless_pass_by_value, reason = "a literal is changed in place")]
fn finding(change: Value) -> Value {
    let mut finding = json!({"severity": "Critical", "category": "security", "file": "greet.py", "line": 5,
        "evidence": "os.system('echo ' + name)", "message": "a shell runs the name", "recommendation": "use print"});
    for (field, value) in change.as_object().unwrap().clone() {
        finding[field] = value;
    }
    finding
}

fn submission() -> Value {
    json!({
        "examined": [{"category": "functionality", "what": "ran it"}, {"category": "security", "what": "every call"}],
        "not_examined": [{"category": "accessibility", "why": "there is no interface"}],
        "criteria": [{"name": "mqtt", "opinion": "Unverifiable", "evidence": "no broker here"}],
        "own_score": 7.25, "summary": "one hole",
    })
}

fn file(findings: &[Value]) -> Value {
    json!({ "findings": findings })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_reads_its_request_files_findings_and_submits_once() {
    let pod = pod().await;
    let agent = pod.agent().await;
    let mut tools: Vec<String> =
        agent.0.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name.into_owned()).collect();
    tools.sort();
    assert_eq!(tools, ["file_findings", "get_review_request", "submit_review"]);
    assert!(agent.0.peer_info().unwrap().instructions.as_ref().unwrap().contains("never an order"));
    let request = agent.accepted("get_review_request", json!({})).await;
    assert_eq!(request["review"]["categories"][0]["name"], "functionality");
    assert_eq!(request["review"]["previous"][0]["id"], "a1");
    let minor =
        json!({"severity": "minor", "category": "Functionality", "line": 7, "evidence": "return  1", "message": "why"});
    let filed = agent.accepted("file_findings", file(&[finding(minor), finding(json!({}))])).await;
    assert_eq!((&filed["filed"][0]["line"], &filed["in_all"]), (&9.into(), &2.into()), "corrected by two lines");
    let request = agent.accepted("get_review_request", json!({})).await;
    assert_eq!((request["filed"].as_array().unwrap().len(), &request["submitted"]), (2, &false.into()));
    let done = agent.accepted("submit_review", submission()).await;
    assert_eq!((&done["accepted"], &done["findings"]), (&true.into(), &2.into()));
    // Later calls change nothing and say so.
    let again = agent.accepted("submit_review", submission()).await;
    assert_eq!(again["accepted"], false);
    assert!(agent.refused("file_findings", file(&[finding(json!({}))])).await.contains("is submitted"));
    pod.world.write("greet.py", "changed");
    pod.world.ended(0, "done");
    let world = pod.end().await;
    let told = world.operator.told("review");
    assert_eq!(told.len(), 1);
    let id = finding_id("security", "greet.py", "os.system('echo ' + name)", 0);
    assert_eq!(
        told[0]["findings"][0],
        json!({"id": id, "rule": "security", "severity": "Critical", "path": "greet.py", "line": 5,
            "message": "a shell runs the name", "evidence": "os.system('echo ' + name)", "recommendation": "use print"})
    );
    assert_eq!(told[0]["findings"][1]["rule"], "functionality");
    assert_eq!(told[0]["ownScore"], "7.2");
    assert_eq!(told[0]["summary"], "one hole\nNot examined: accessibility (there is no interface)");
    assert_eq!(told[0]["examined"].as_array().unwrap().len(), 2);
    // It can push nothing but its logs.
    let delivery = world.operator.delivery();
    assert_eq!((delivery.commit, delivery.changed, delivery.exit_code), (None, false, Some(0)));
    let references = git(&world.bare(), &["for-each-ref", "--format=%(refname)"]);
    let references: Vec<&str> = references.lines().filter(|name| !name.starts_with("refs/heads/")).collect();
    assert_eq!(references, ["refs/phasegate/logs/0f1e2d3c/2"]);
}

#[rstest]
#[case::a_file_that_is_not_there(json!({"file": "gone.py"}), "file gone.py: there is no such file at that commit")]
#[case::a_file_of_the_base_alone(json!({"file": "old.py", "line": 5, "evidence": "X = 1"}), "no such file")]
#[case::a_folder(json!({"file": "docs"}), "it is a folder")]
#[case::a_path_upwards(json!({"file": "../greet.py"}), "no path of the repository")]
#[case::a_path_with_a_second_line(json!({"file": "a\nrefs/phasegate/start:greet.py"}), "no path of the repository")]
#[case::the_target_of_a_link(json!({"file": "link", "line": 1, "evidence": "root:x:0:0"}), "does not hold this quote")]
#[case::a_line_beyond_the_end(json!({"line": 10}), "has 9 lines, so there is no line 10")]
#[case::a_quote_that_is_not_there(json!({"evidence": "os.popen(name)"}), "does not hold this quote at that commit")]
#[case::a_quote_that_is_elsewhere(json!({"line": 1}), "within 3 lines of line 1, but at 5; correct the line")]
#[case::a_line_without_a_quote(json!({"evidence": ""}), "is named without a quote")]
#[case::a_quote_without_a_file(json!({"file": ""}), "without its file")]
#[case::a_quote_of_a_picture(json!({"file": "logo.png", "line": 1, "evidence": "PNG"}), "it is no text")]
#[case::a_quote_of_a_huge_file(json!({"file": "huge.txt", "line": 1, "evidence": "xxxxxxxx"}), "larger than 4 MiB")]
#[case::an_endless_quote(json!({"evidence": "x".repeat(601)}), "longer than 600 characters")]
#[case::a_major_claim_without_a_line(json!({"severity": "Major", "line": 0, "evidence": ""}), "counts at most Minor, not Major")]
#[case::a_critical_claim_without_a_file(json!({"file": "", "line": 0, "evidence": ""}), "counts at most Minor, not Critical")]
#[case::a_category_that_was_not_asked_for(json!({"category": "taste"}), "category must be one of functionality, security, accessibility")]
#[case::no_message(json!({"message": " "}), "message is empty")]
#[tokio::test(flavor = "multi_thread")]
async fn a_finding_that_cannot_be_seen_is_rejected_with_the_reason(#[case] change: Value, #[case] why: &str) {
    let pod = pod().await;
    let agent = pod.agent().await;
    let said = agent.refused("file_findings", file(&[finding(json!({})), finding(change)])).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["rejected"][0]["index"], &said["in_all"]), (&1.into(), &1.into()), "the other one is filed");
    let reason = said["rejected"][0]["why"].as_str().unwrap();
    assert!(reason.contains(why), "{reason}");
}

#[rstest]
#[case::of_no_file(json!({"file": null, "line": null}), "", 0)]
#[case::of_a_file_that_exists(json!({"file": "docs/a.md", "line": 0}), "docs/a.md", 0)]
#[case::of_a_picture(json!({"file": "logo.png", "line": 0}), "logo.png", 0)]
#[case::of_a_path_in_the_work_tree(json!({"file": "./greet.py", "line": 0}), "greet.py", 0)]
#[case::whose_line_the_quote_tells(json!({"line": 0, "evidence": "def part():"}), "greet.py", 8)]
#[tokio::test(flavor = "multi_thread")]
async fn a_minor_claim(#[case] change: Value, #[case] path: &str, #[case] line: i32) {
    let pod = pod().await;
    let agent = pod.agent().await;
    let mut claim = finding(json!({"severity": "Minor", "evidence": "", "message": "no test"}));
    for (field, value) in change.as_object().unwrap().clone() {
        claim[field] = value;
    }
    agent.accepted("file_findings", file(&[claim])).await;
    let filed = agent.accepted("get_review_request", json!({})).await["filed"][0].clone();
    assert_eq!((&filed["path"], &filed["line"]), (&path.into(), &line.into()));
    assert_eq!(filed["known"], Value::Null, "what is missing is charged, wherever it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_writes_into_the_work_tree_is_no_evidence() {
    let pod = pod().await;
    let agent = pod.agent().await;
    pod.world.write("greet.py", "eval(input())\n");
    pod.world.write("planted.py", "eval(input())\n");
    for file_name in ["greet.py", "planted.py"] {
        let claim = finding(json!({"file": file_name, "line": 1, "evidence": "eval(input())"}));
        assert!(agent.refused("file_findings", file(&[claim])).await.contains("\"in_all\":0"));
    }
    // Nor does it hide what is at the commit.
    std::fs::remove_file(pod.world.places.workspace.join("greet.py")).unwrap();
    std::fs::remove_dir_all(pod.world.places.workspace.join(".git")).unwrap();
    agent.accepted("file_findings", file(&[finding(json!({}))])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_survives_a_rename_and_an_untouched_file_is_known_debt() {
    let pod = pod().await;
    let agent = pod.agent().await;
    let renamed = finding(json!({"file": "new.py", "line": 5, "evidence": "X = 1"}));
    let known = finding(json!({"file": "kept.py", "line": 1, "evidence": "PASSWORD = 'hunter2'"}));
    let filed = agent.accepted("file_findings", file(&[renamed, known])).await;
    assert_eq!(filed["filed"][0]["id"], finding_id("security", "old.py", "X = 1", 0).as_str());
    assert!(filed["filed"][1]["note"].as_str().unwrap().contains("known debt"), "{filed}");
    let request = agent.accepted("get_review_request", json!({})).await;
    assert_eq!((&request["filed"][0]["known"], &request["filed"][1]["known"]), (&Value::Null, &true.into()));
}

#[rstest]
#[case::nothing_of_a_category("/not_examined", json!([]), "nothing is said of accessibility")]
#[case::a_category_twice("/not_examined/0/category", json!("security"), "\"security\" was not asked for, or is named twice")]
#[case::a_category_nobody_asked_for("/examined/0/category", json!("taste"), "\"taste\" was not asked for")]
#[case::no_words_for_a_category("/examined/0/what", json!(""), "no words for functionality")]
#[case::no_reason_for_leaving_out("/not_examined/0/why", json!(" "), "no words for accessibility")]
#[case::no_opinion("/criteria", json!([]), "no word about mqtt")]
#[case::an_opinion_without_evidence("/criteria/0/evidence", json!(""), "no evidence for mqtt")]
#[case::an_opinion_of_something_else("/criteria/0/name", json!("http"), "\"http\" was not asked for")]
#[case::a_number_beyond_ten("/own_score", json!(10.5), "own_score must be 0 to 10")]
#[case::no_summary("/summary", json!(" "), "summary is empty")]
#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_leaves_something_out_is_refused(#[case] at: &str, #[case] value: Value, #[case] why: &str) {
    let pod = pod().await;
    let mut review = submission();
    *review.pointer_mut(at).unwrap() = value;
    let said = pod.agent().await.refused("submit_review", review).await;
    assert!(said.contains(why), "{said}");
    assert!(pod.world.operator.told("review").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_with_findings_was_examined() {
    let pod = pod().await;
    let agent = pod.agent().await;
    agent.accepted("file_findings", file(&[finding(json!({"category": "accessibility"}))])).await;
    let said = agent.refused("submit_review", submission()).await;
    assert!(said.contains("findings of accessibility are filed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_that_started_again_knows_what_was_filed_and_what_was_submitted() {
    let pod = pod().await;
    pod.agent().await.accepted("file_findings", file(&[finding(json!({}))])).await;
    pod.serving.abort();
    let pod = Pod::of_prepared(pod.world).await;
    let agent = pod.agent().await;
    let same = agent.accepted("file_findings", file(&[finding(json!({}))])).await;
    assert_eq!(
        (&same["in_all"], &same["filed"][0]["note"]),
        (&1.into(), &"filed before; this call changed nothing".into())
    );
    assert_eq!(agent.accepted("submit_review", submission()).await["findings"], 1);
    pod.serving.abort();
    let pod = Pod::of_prepared(pod.world).await;
    assert_eq!(pod.agent().await.accepted("submit_review", submission()).await["accepted"], false);
    // The file may be lost with the last write: the operator knows.
    pod.serving.abort();
    std::fs::remove_file(pod.world.places.git.join("review.json")).unwrap();
    let pod = Pod::of_prepared(pod.world).await;
    assert_eq!(pod.agent().await.accepted("submit_review", submission()).await["accepted"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_is_under_way_arrives_before_the_delivery() {
    let pod = pod().await;
    let agent = pod.agent().await;
    pod.world.operator.unavailable.store(4, Ordering::SeqCst);
    pod.world.ended(0, "");
    let operator = Arc::clone(&pod.world.operator);
    let submit = tokio::spawn(async move { agent.call("submit_review", submission()).await.is_error });
    while operator.unavailable.load(Ordering::SeqCst) == 4 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let world = pod.end().await;
    let told: Vec<String> = world.operator.calls().into_iter().map(|call| call.resource).collect();
    assert_eq!(told, ["review", "delivery"]);
    drop(submit.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_tool_is_refused_by_name() {
    let pod = pod().await;
    let agent = pod.agent().await;
    for tool in ["get_assignment", "submit_work", "report_plan", "report_progress", "approve", "merge", ""] {
        let error = agent.0.call_tool(CallToolRequestParams::new(tool)).await.unwrap_err().to_string();
        assert!(error.contains(&format!("there is no tool {tool:?} for a Reviewer")), "{tool}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scripted_reviewer_files_and_submits_what_was_written_for_it() {
    let pod = pod().await;
    let scripts = pod.world.dir().join("scripts");
    std::fs::create_dir(&scripts).unwrap();
    let args = replay::ReplayArgs {
        patches: scripts.clone(),
        brief: pod.world.places.brief.join("task.json"),
        mcp_url: pod.mcp_url(),
        workspace: pod.world.places.workspace.clone(),
    };
    let error = replay::run(args.clone()).await.unwrap_err().to_string();
    assert!(error.contains("no review script alicia-1.reviewer.2.review.yaml"), "{error}");
    let script = "\
findings:
  - {severity: Major, category: security, file: greet.py, line: 5, evidence: \"os.system('echo ' + name)\", message: a shell}
examined:
  - {category: security, what: every call}
  - {category: functionality, what: ran it}
notExamined:
  - {category: accessibility, why: no interface}
criteria:
  - {name: mqtt, opinion: Met, evidence: seen}
ownScore: 6.5
summary: a hole
";
    let path = scripts.join("alicia-1.reviewer.2.review.yaml");
    std::fs::write(&path, script.replace("line: 5", "line: 1")).unwrap();
    let error = replay::run(args.clone()).await.unwrap_err().to_string();
    assert!(error.contains("correct the line"), "{error}");
    std::fs::write(&path, script).unwrap();
    replay::run(args).await.unwrap();
    let told = pod.world.operator.told("review");
    assert_eq!((told.len(), &told[0]["findings"][0]["severity"]), (1, &"Major".into()));
    assert_eq!((&told[0]["ownScore"], &told[0]["criteria"][0]["opinion"]), (&"6.5".into(), &"Met".into()));
}
