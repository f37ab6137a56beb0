//! What honest task pods do.

use super::support::*;
use crate::{
    api::agent_task::{Role, TaskState},
    git::{auth::TaskFacts, ops::*},
};

const BRANCH: &str = "HEAD:refs/heads/feature/phase-1-a";

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_clones_and_pushes_its_branch_reports_and_saved_work() {
    let served = served().await;
    let work = served.work("klein").await;
    for target in [BRANCH, "HEAD:refs/phasegate/wip/uid-klein/1", "HEAD:refs/phasegate/logs/uid-klein/1"] {
        let (passed, said) = work.push(target).await;
        assert!(passed, "{target}: {said}");
    }
    let rev = RefName::branch("feature/phase-1-a").unwrap().into();
    let answer = served.client("operator").call("team", "hello", &Commit { rev }).await.unwrap();
    let CommitAnswer::Found(facts) = answer else { panic!("{answer:?}") };
    assert_eq!(facts.commit, work.head().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_run_may_replace_what_an_earlier_one_left_on_its_branch() {
    let served = served().await;
    let work = served.work("klein").await;
    assert!(work.push(BRANCH).await.0);
    ok(work.git(&["commit", "--quiet", "--amend", "-m", "other"]).await);
    let (passed, said) = work.push(&format!("+{BRANCH}")).await;
    assert!(passed, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_can_be_fetched_by_its_id_after_its_branch_moved_on() {
    let served = served().await;
    let work = served.work("klein").await;
    assert!(work.push(BRANCH).await.0);
    let old = work.head().await;
    ok(work.git(&["commit", "--quiet", "--amend", "-m", "other"]).await);
    assert!(work.push(&format!("+{BRANCH}")).await.0);
    for version in ["protocol.version=2", "protocol.version=0"] {
        let other = tempfile::tempdir().unwrap();
        ok(git(other.path(), &["init", "--quiet"]).await);
        let args = ["-c", version, "fetch", "--quiet", "--depth=1", &served.remote("check"), old.as_str()];
        ok(git(other.path(), &args).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_closes_the_branch_and_leaves_reports_open() {
    let served = served().await;
    let work = served.work("klein").await;
    served.tasks.set("klein", TaskFacts { submitted: true, ..klein() });
    let (passed, said) = work.push(BRANCH).await;
    assert!(!passed);
    assert!(said.contains("has submitted its work: its branch is closed"), "{said}");
    assert!(work.push("HEAD:refs/phasegate/logs/uid-klein/1").await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_reads_and_files_reports_but_pushes_no_branch() {
    let served = served().await;
    let work = served.work("check").await;
    assert!(work.push("HEAD:refs/phasegate/logs/uid-check/1").await.0);
    let (passed, said) = work.push(BRANCH).await;
    assert!(!passed);
    assert!(said.contains("refs/heads/feature/phase-1-a is not for AgentTask check"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_mirrors_below_upstream_and_the_base_starts_there() {
    let served = served().await;
    let work = served.work("sync").await;
    let client = served.client("operator");
    let ensure = EnsureRepository { base: RefName::branch("trunk").unwrap(), upstream: true };
    assert_eq!(client.call("team", "hello", &ensure).await.unwrap(), EnsureRepositoryAnswer::AwaitingUpstream);
    assert!(!work.push("HEAD:refs/heads/trunk").await.0);
    let (passed, said) = work.push("HEAD:refs/upstream/heads/trunk").await;
    assert!(passed, "{said}");
    let answer = client.call("team", "hello", &ensure).await.unwrap();
    assert_eq!(answer, EnsureRepositoryAnswer::Ready { base: work.head().await });
    assert!(work.push(":refs/upstream/heads/trunk").await.0, "the mirror may forget");
    let (passed, said) = work.push(":refs/heads/trunk").await;
    assert!(!passed && said.contains("cannot be deleted"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn private_references_are_shown_to_the_operator_only() {
    let served = served().await;
    let work = served.work("klein").await;
    assert!(work.push("HEAD:refs/phasegate/logs/uid-klein/1").await.0);
    let check = ok(work.git(&["ls-remote", &served.remote("check")]).await);
    assert!(check.contains("refs/heads/main") && !check.contains("refs/phasegate"), "{check}");
    let header = "http.extraHeader=Authorization: Bearer operator";
    let url = format!("{}/team/hello.git", served.url);
    let operator = ok(work.git(&["-c", header, "ls-remote", &url]).await);
    assert!(operator.contains("refs/phasegate/logs/uid-klein/1"), "{operator}");
}

#[tokio::test(flavor = "multi_thread")]
async fn even_the_operators_token_does_not_push_to_the_base() {
    let served = served().await;
    let work = served.work("klein").await;
    let url = format!("{}/team/hello.git", served.url);
    let push = async |target: &str| {
        let header = "http.extraHeader=Authorization: Bearer operator";
        work.git(&["-c", header, "push", "--quiet", &url, target]).await.status.success()
    };
    assert!(!push("HEAD:refs/heads/main").await);
    assert!(!push("HEAD:refs/heads/release/phase-1-v1.0.0").await);
    assert!(push("HEAD:refs/heads/bugfix/phase-1-by-hand").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_push_in_chunks_comes_through_whole() {
    let served = served().await;
    let work = served.work("klein").await;
    let noise = work.noise(8 << 20);
    work.commit("noise").await;
    ok(work.git(&["-c", "http.postBuffer=65536", "push", "--quiet", "origin", BRANCH]).await);
    let other = tempfile::tempdir().unwrap();
    let args = ["clone", "--quiet", "--branch", "feature/phase-1-a", &served.remote("check"), "."];
    ok(git(other.path(), &args).await);
    assert!(std::fs::read(other.path().join("noise")).unwrap() == noise);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_push_at_once_do_not_disturb_each_other() {
    let served = served().await;
    let mut works = Vec::new();
    for n in 0..6 {
        let name = format!("agent{n}");
        served.tasks.set(&name, facts(&name, Role::Developer, Some(&format!("feature/phase-1-{n}"))));
        works.push((n, served.work(&name).await));
    }
    let push = async |(n, work): &(i32, Work)| work.push(&format!("HEAD:refs/heads/feature/phase-1-{n}")).await;
    for (passed, said) in futures::future::join_all(works.iter().map(push)).await {
        assert!(passed, "{said}");
    }
    assert_eq!(served.refs().matches("refs/heads/feature/phase-1-").count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_task_keeps_its_corner_and_loses_its_branch() {
    let served = served().await;
    let work = served.work("klein").await;
    served.tasks.set("klein", TaskFacts { state: TaskState::Failed, ..klein() });
    assert!(!work.push(BRANCH).await.0);
    assert!(work.push("HEAD:refs/phasegate/wip/uid-klein/2").await.0);
}
