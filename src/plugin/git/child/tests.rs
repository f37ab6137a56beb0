//! What git is given, and git itself against a real git service.

use rstest::rstest;

use super::*;
use crate::git::server::tests::support::{Served, served};

fn place() -> Place {
    Place {
        namespace: "team".to_owned(),
        context: Some("prod".to_owned()),
        kubeconfig: Some("/home/me/a b".into()),
        service: GitService { namespace: "ops".to_owned(), name: "gate-git".to_owned() },
    }
}

#[test]
fn a_clone_is_told_where_it_comes_from() {
    let arguments = clone_arguments(&place(), "hello", Some(Path::new("there"))).join("|");
    assert_eq!(
        arguments,
        "clone|-c|phasegate.namespace=team|-c|phasegate.service=ops/gate-git|-c|phasegate.context=prod|-c|\
         phasegate.kubeconfig=/home/me/a b|--|phasegate://team/hello.git|there"
    );
}

#[test]
fn what_a_clone_remembers_is_where_it_came_from() {
    let arguments = clone_arguments(&place(), "hello", None);
    let kept = arguments.iter().filter_map(|argument| argument.split_once('='));
    let text = kept.map(|(key, value)| format!("{key}\n{value}")).collect::<Vec<_>>().join("\0") + "\0";
    assert_eq!(parse(&text).unwrap(), place());
}

fn flags(context: Option<&str>, kubeconfig: Option<&str>) -> Target {
    Target {
        namespace: Some("elsewhere".to_owned()),
        context: context.map(str::to_owned),
        kubeconfig: kubeconfig.map(Into::into),
    }
}

#[rstest]
#[case::as_cloned(flags(None, None), Some("prod"), "/home/me/a b")]
#[case::another_context(flags(Some("test"), None), Some("test"), "/home/me/a b")]
#[case::another_kubeconfig(flags(None, Some("other")), None, "other")]
#[case::both(flags(Some("test"), Some("other")), Some("test"), "other")]
fn a_clone_is_of_one_cluster_and_namespace(#[case] given: Target, #[case] context: Option<&str>, #[case] file: &str) {
    let target = place().target(&given);
    assert_eq!(target.namespace.as_deref(), Some("team"));
    assert_eq!(target.context.as_deref(), context);
    assert_eq!(target.kubeconfig.as_deref(), Some(Path::new(file)));
}

#[test]
fn what_git_is_given_comes_after_what_the_caller_gave_and_asks_nobody() {
    let variables = environment(&Way { port: 1, token: "secret".to_owned() }, 2);
    let value = |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(value("GIT_CONFIG_COUNT"), Some("7"));
    assert_eq!(value("GIT_CONFIG_KEY_1"), None);
    assert_eq!(value("GIT_CONFIG_KEY_2"), Some("url.http://127.0.0.1:1/.insteadOf"));
    assert_eq!(value("GIT_CONFIG_VALUE_6"), Some("false"));
    assert_eq!((value("GIT_ASKPASS"), value("GIT_TERMINAL_PROMPT")), (Some(""), Some("0")));
    let with_token: Vec<_> = variables.iter().filter(|(_, value)| value.contains("secret")).collect();
    assert_eq!(with_token, [&(TOKEN.to_owned(), "secret".to_owned())]);
}

#[rstest]
#[case::no_clone_of_ours("", "this folder is in no clone that kubectl phasegate clone made")]
#[case::a_bad_service("phasegate.namespace\nteam\0phasegate.service\nx\0", "is not of the form NAMESPACE/NAME")]
fn what_cannot_be_used_is_said(#[case] text: &str, #[case] words: &str) {
    let error = parse(text).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[rstest]
#[case("../../etc")]
#[case("--upload-pack=x")]
#[case("a b")]
#[case("")]
fn only_the_name_of_a_repository_is_taken(#[case] name: &str) {
    assert!(require_name(name).is_err());
}

fn way(served: &Served, token: &str) -> Way {
    Way { port: served.url.rsplit(':').next().unwrap().parse().unwrap(), token: token.to_owned() }
}

/// Whether git ended well.
async fn git(way: &Way, arguments: &[&str]) -> bool {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    run(way, &arguments).await.unwrap() == ExitCode::SUCCESS
}

#[tokio::test(flavor = "multi_thread")]
async fn git_clones_and_pushes_with_a_token_that_is_kept_nowhere() {
    let served = served().await;
    let folder = tempfile::tempdir().unwrap();
    let clone = folder.path().join("clone");
    let clone_path = clone.to_str().unwrap();
    let pusher = way(&served, "pusher-of-hello");
    let arguments = clone_arguments(&Place { kubeconfig: None, context: None, ..place() }, "hello", Some(&clone));
    assert_eq!(run(&pusher, &arguments).await.unwrap(), ExitCode::SUCCESS);
    let config = std::fs::read_to_string(clone.join(".git/config")).unwrap();
    assert!(config.contains("url = phasegate://team/hello.git") && config.contains("namespace = team"), "{config}");
    assert!(!config.contains("pusher-of-hello") && !config.contains("127.0.0.1"), "{config}");
    assert!(
        git(
            &pusher,
            &[
                "-C",
                clone_path,
                "-c",
                "user.name=me",
                "-c",
                "user.email=me@x",
                "commit",
                "-q",
                "--allow-empty",
                "-m",
                "x"
            ]
        )
        .await
    );
    let push = ["-C", clone_path, "push", "-q", "origin", "HEAD:bugfix/phase-1-by-hand"];
    assert!(!git(&way(&served, "reader-of-hello"), &push).await, "a reader may not push");
    assert!(!git(&way(&served, "nobody-knows-this"), &["-C", clone_path, "fetch", "-q"]).await);
    assert!(git(&pusher, &push).await);
    assert!(served.refs().contains("refs/heads/bugfix/phase-1-by-hand"));
    assert!(git(&way(&served, "reader-of-hello"), &["-C", clone_path, "fetch", "-q"]).await);
}
