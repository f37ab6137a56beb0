//! Reads.

use super::support::*;
use crate::git::{names::RefName, ops::*, store::StoreError};

#[tokio::test]
async fn heads_are_peeled_and_claims_are_no_heads() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    world.git(&["tag", "-a", "-m", "x", "v1", "main"]);
    let heads = |prefix: &str| world.call(Heads { prefix: RefName::new(prefix).unwrap() });
    let found = heads("refs/heads").await.refs;
    assert_eq!(found.keys().map(RefName::short).collect::<Vec<_>>(), ["main", "release/phase-1-v1.0.0"]);
    assert_eq!(heads("refs/tags").await.refs.get("refs/tags/v1"), Some(&base));
    assert!(heads("refs/phasegate").await.refs.is_empty());
    assert_eq!(heads("refs/heads/main").await.refs.len(), 1);
}

#[tokio::test]
async fn a_commit_is_found_by_id_branch_or_tag_or_is_missing() {
    let world = World::new().await;
    let base = world.head(&branch("main"));
    world.git(&["tag", "-a", "-m", "x", "v1", "main"]);
    for rev in [base.clone().into(), branch("main").into(), RefName::tag("v1").unwrap().into()] {
        let answer = world.call(Commit { rev }).await;
        assert!(matches!(&answer, CommitAnswer::Found(facts) if facts.commit == base), "{answer:?}");
    }
    assert_eq!(world.call(Commit { rev: branch("other").into() }).await, CommitAnswer::Missing);
    let tree = crate::git::CommitId::new(world.tree(&base).to_string()).unwrap();
    assert_eq!(world.call(Commit { rev: tree.into() }).await, CommitAnswer::Missing);
}

#[tokio::test]
async fn changed_files_tell_what_happened_to_each() {
    let world = World::new().await;
    let base = world.head(&branch("main"));
    let from = world.commit(&base, "x", &[("a b\"ü", Some("1")), ("gone", Some("1"))]);
    let to = world.commit(&from, "y", &[("a b\"ü", Some("2")), ("gone", None), ("new", Some("1"))]);
    let answer = world.call(ChangedFiles { from: from.into(), to: to.into() }).await;
    let found: Vec<_> = answer.files.iter().map(|file| (file.path.as_str(), file.change)).collect();
    assert_eq!(found, [("a b\"ü", Change::Modified), ("gone", Change::Deleted), ("new", Change::Added)]);
    assert!(!answer.truncated);
}

#[tokio::test]
async fn a_diff_is_cut_where_the_caller_says() {
    let world = World::new().await;
    let base = world.head(&branch("main"));
    let to = world.commit(&base, "x", &[("a", Some(&"line\n".repeat(100_000)))]);
    let diff = |max_bytes| world.call(Diff { from: base.clone().into(), to: to.clone().into(), max_bytes });
    let whole = diff(1 << 20).await;
    assert!(whole.text.contains("+++ b/a") && !whole.truncated);
    let cut = diff(1000).await;
    assert_eq!((cut.text.len(), cut.truncated), (1000, true));
    assert!(whole.text.starts_with(&cut.text));
}

#[tokio::test]
async fn a_log_is_newest_first_and_bounded() {
    let world = World::new().await;
    let base = world.head(&branch("main"));
    let mut tip = base.clone();
    for n in 0..5 {
        tip = world.commit(&tip, &format!("m{n}"), &[("a", Some(&n.to_string()))]);
    }
    let log = |from, limit| world.call(Log { from, to: tip.clone().into(), first_parent: false, limit });
    let subjects =
        |answer: LogAnswer| answer.commits.into_iter().map(|c| c.message.trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(subjects(log(Some(base.into()), 100).await), ["m4", "m3", "m2", "m1", "m0"]);
    assert_eq!(subjects(log(None, 2).await), ["m4", "m3"]);
}

#[tokio::test]
async fn a_rev_that_is_not_there_is_named() {
    let world = World::new().await;
    let operation = Diff { from: branch("nope").into(), to: branch("main").into(), max_bytes: 10 };
    let error = world.fail(operation).await;
    assert!(matches!(&error, StoreError::NotFound { what, .. } if what == "refs/heads/nope"), "{error}");
}
