//! What people do, and what they are told.

use rstest::rstest;

use super::support::*;
use crate::git::CommitId;

const FIX: &str = "HEAD:refs/heads/bugfix/phase-1-by-hand";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_push_pushes_a_fix_and_adds_to_it() {
    let served = served().await;
    let work = served.person("pusher-of-hello").await;
    let (passed, said) = work.push(FIX).await;
    assert!(passed, "{said}");
    std::fs::write(work.dir.join("by-hand"), "2\n").unwrap();
    work.commit("more").await;
    let (passed, said) = work.push(FIX).await;
    assert!(passed, "{said}");
    assert!(served.refs().contains(&format!("refs/heads/bugfix/phase-1-by-hand {}", work.head().await)));
    let (passed, said) = work.push("HEAD:refs/heads/bugfix/hotfix-login/by-hand").await;
    assert!(passed, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_pushed_is_not_replaced() {
    let served = served().await;
    let work = served.person("pusher-of-hello").await;
    assert!(work.push(FIX).await.0);
    let before = served.refs();
    ok(work.git(&["commit", "--quiet", "--amend", "-m", "other"]).await);
    let (passed, said) = work.push(&format!("+{FIX}")).await;
    assert!(!passed && said.contains("non-fast-forward"), "{said}");
    let (passed, said) = work.push(":refs/heads/bugfix/phase-1-by-hand").await;
    assert!(!passed && said.contains("delet"), "{said}");
    assert_eq!(served.refs(), before);
}

#[rstest]
#[case::main("refs/heads/main")]
#[case::release("refs/heads/release/phase-1-v1.0.0")]
#[case::feature("refs/heads/feature/phase-1-a")]
#[case::hotfix("refs/heads/hotfix/login")]
#[case::a_tasks_bugfix("refs/heads/bugfix/phase-1-review-2")]
#[case::below_a_tasks_bugfix("refs/heads/bugfix/phase-1-review-2/x")]
#[case::a_base_merge("refs/heads/bugfix/phase-1-base-1")]
#[case::a_rollback("refs/heads/bugfix/phase-1-rollback-v1.0.0")]
#[case::a_hotfix_tasks_bugfix("refs/heads/bugfix/hotfix-login/review-2")]
#[case::in_the_way_of_a_hotfix("refs/heads/bugfix/hotfix-login")]
#[case::no_number("refs/heads/bugfix/phase-x-by-hand")]
#[case::number_and_letters("refs/heads/bugfix/phase-1x-by-hand")]
#[case::no_name("refs/heads/bugfix/phase-1-")]
#[case::no_phase("refs/heads/bugfix/by-hand")]
#[case::tag("refs/tags/phase-1-v1.0.0")]
#[case::notes("refs/notes/phasegate")]
#[case::claim("refs/phasegate/claims/phase-1")]
#[case::logs("refs/phasegate/logs/uid-klein/1")]
#[case::upstream("refs/upstream/heads/main")]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_pushes_what_is_the_operators_or_a_tasks(#[case] name: &str) {
    let served = served().await;
    let work = served.person("pusher-of-hello").await;
    let before = served.refs();
    let (passed, said) = work.push(&format!("HEAD:{name}")).await;
    assert!(!passed, "{said}");
    // One that is allowed does not carry one that is not.
    let both = ["push", "--quiet", "origin", FIX, &format!("HEAD:{name}")];
    assert!(!work.git(&both).await.status.success());
    assert_eq!(served.refs(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_clones_and_is_told_what_pushing_takes() {
    let served = served().await;
    let work = served.person("reader-of-hello").await;
    let (passed, said) = work.push(FIX).await;
    assert!(!passed && said.contains("remote: reader-of-hello may read repository team/hello and not push"), "{said}");
    assert!(said.contains("the verb push"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_branches_tags_and_notes_and_nothing_else() {
    let served = served().await;
    let klein = served.work("klein").await;
    assert!(klein.push("HEAD:refs/phasegate/logs/uid-klein/1").await.0);
    let sync = served.work("sync").await;
    assert!(sync.push("HEAD:refs/upstream/heads/trunk").await.0);
    let bare = served.root.join("team/hello.git");
    for name in ["refs/notes/phasegate", "refs/tags/phase-1-v1.0.0"] {
        ok(git(&bare, &["update-ref", name, "refs/heads/main"]).await);
    }
    for version in ["protocol.version=2", "protocol.version=0"] {
        let remote = served.remote_of("reader-of-hello", "team/hello");
        let seen = ok(git(&served.root, &["-c", version, "ls-remote", &remote]).await);
        for name in ["HEAD", "refs/heads/main", "refs/notes/phasegate", "refs/tags/phase-1-v1.0.0"] {
            assert!(seen.contains(name), "{name}: {seen}");
        }
        assert!(!seen.contains("refs/phasegate") && !seen.contains("refs/upstream"), "{seen}");
    }
}

/// What the service answers a reader whose client asks for this object without asking what there is.
async fn wanted(served: &Served, id: &CommitId, version: u8) -> String {
    let want = format!("0032want {id}\n");
    let (protocol, body) = match version {
        2 => ("version=2", format!("0011command=fetch0001{want}0009done\n0000")),
        _ => ("version=0", format!("{want}00000009done\n")),
    };
    let request = http().post(format!("{}/team/hello.git/git-upload-pack", served.url));
    let request = request.basic_auth("me", Some("reader-of-hello")).header("git-protocol", protocol);
    let request = request.header("content-type", "application/x-git-upload-pack-request").body(body);
    String::from_utf8_lossy(&request.send().await.unwrap().bytes().await.unwrap()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_private_commit_by_its_id() {
    let served = served().await;
    let klein = served.work("klein").await;
    assert!(klein.push("HEAD:refs/phasegate/logs/uid-klein/1").await.0);
    let private = klein.head().await;
    for version in [0, 2] {
        let answer = wanted(&served, &private, version).await;
        assert!(!answer.contains("PACK"), "version {version}: {answer}");
    }
    let pusher = served.person("pusher-of-hello").await;
    assert!(pusher.push(FIX).await.0);
    let shown = pusher.head().await;
    // No branch is at it any more, but one leads to it.
    ok(pusher.git(&["commit", "--quiet", "--allow-empty", "-m", "more"]).await);
    assert!(pusher.push(FIX).await.0);
    assert!(wanted(&served, &shown, 0).await.contains("PACK"));
    assert!(wanted(&served, &private, 0).await.contains("not our ref"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_not_there_and_one_that_is_not_for_them_look_the_same() {
    let served = served().await;
    let mut answers = Vec::new();
    for repository in ["team/hello", "team/none", "other/hello"] {
        let url = format!("{}/{repository}.git/info/refs?service=git-upload-pack", served.url);
        for request in [http().get(&url).basic_auth("me", Some("somebody")), http().get(&url).bearer_auth("somebody")] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status().as_u16(), 404, "{repository}");
            answers.push(response.text().await.unwrap().replace(repository, "it"));
        }
    }
    answers.dedup();
    assert_eq!(answers, ["there is no repository it, or somebody may not read it\n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn git_shows_why_somebody_is_turned_away() {
    let served = served().await;
    for (token, words) in [
        ("somebody", "remote: there is no repository team/hello, or somebody may not read it"),
        ("an-unknown-token", "remote: the token is not valid here"),
        ("pgk_0123456789012345678901234567890123456789", "remote: no API keys are set up here"),
    ] {
        let output = git(&served.root, &["ls-remote", &served.remote_of(token, "team/hello")]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(words), "{said}");
    }
}
