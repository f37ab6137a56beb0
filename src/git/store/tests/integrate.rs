//! Work and the base branch come into a release branch.

use super::support::*;
use crate::git::{names::CommitId, ops::*, store::StoreError};

fn integrated(answer: IntegrateAnswer) -> (CommitId, CommitId) {
    let IntegrateAnswer::Integrated { commit, head, .. } = answer else { panic!("{answer:?}") };
    (commit, head)
}

#[tokio::test]
async fn a_feature_is_squashed_to_one_commit_with_one_parent() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let first = world.commit(&base, "one", &[("a", Some("1"))]);
    let second = world.commit(&first, "two", &[("b", Some("2"))]);
    let (commit, head) = integrated(world.call(integrate_of(&second, MergeKind::Squash, "t-1")).await);
    assert_eq!(commit, head);
    assert_eq!(world.head(&release()), head);
    let facts = world.facts(&head).await;
    assert_eq!(facts.parents, [base]);
    assert_eq!(facts.tree, world.tree(&second));
    assert_eq!(facts.message, "work of t-1\n\nPhasegate-Task: t-1/1\nPhasegate-Work: uid-1/hello-1.t-1.1.1\n");
    assert_eq!((facts.author.as_str(), facts.seconds), ("Klein", 1_700_000_000));
}

#[tokio::test]
async fn a_bugfix_is_merged_with_both_parents() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let source = world.commit(&base, "fix", &[("a", Some("1"))]);
    let (commit, _) = integrated(world.call(integrate_of(&source, MergeKind::Merge, "t-1")).await);
    assert_eq!(world.facts(&commit).await.parents, [base, source]);
}

#[tokio::test]
async fn features_that_started_together_come_in_one_after_the_other() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let a = world.commit(&base, "a", &[("a", Some("1"))]);
    let b = world.commit(&base, "b", &[("b", Some("2"))]);
    integrated(world.call(integrate_of(&a, MergeKind::Squash, "t-a")).await);
    let (_, head) = integrated(world.call(integrate_of(&b, MergeKind::Squash, "t-b")).await);
    assert_eq!((world.file(&head, "a"), world.file(&head, "b")), ("1".to_owned(), "2".to_owned()));
}

#[tokio::test]
async fn a_redo_finds_its_own_work_even_under_later_work() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let a = world.commit(&base, "a", &[("a", Some("1"))]);
    let b = world.commit(&base, "b", &[("b", Some("2"))]);
    let (first, _) = integrated(world.call(integrate_of(&a, MergeKind::Squash, "t-a")).await);
    let (_, head) = integrated(world.call(integrate_of(&b, MergeKind::Squash, "t-b")).await);
    world.move_base("c", "3");
    world.call(integrate_base()).await;
    let now = world.head(&release());
    assert_ne!(now, head);
    let redo = Integrate { expected_head: Some(base.clone()), ..integrate_of(&a, MergeKind::Squash, "t-a") };
    assert_eq!(integrated(world.call(redo).await), (first, now.clone()));
    assert_eq!(world.head(&release()), now);
}

#[tokio::test]
async fn the_same_work_in_another_world_is_the_same_commit() {
    let (one, two) = (World::claimed().await, World::claimed().await);
    let mut heads = Vec::new();
    for world in [&one, &two] {
        let base = world.head(&branch("main"));
        let tree = world.commit(&base, "x", &[("a", Some("1"))]);
        heads.push(integrated(world.call(integrate_of(&tree, MergeKind::Squash, "t-a")).await).1);
    }
    assert_eq!(heads[0], heads[1]);
}

#[tokio::test]
async fn a_conflict_names_the_files_and_moves_nothing() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let a = world.commit(&base, "a", &[("same", Some("1")), ("ok", Some("1"))]);
    let b = world.commit(&base, "b", &[("same", Some("2")), ("fine", Some("2"))]);
    let (_, head) = integrated(world.call(integrate_of(&a, MergeKind::Squash, "t-a")).await);
    for _ in 0..2 {
        let answer = world.call(integrate_of(&b, MergeKind::Squash, "t-b")).await;
        let IntegrateAnswer::Conflict(conflict) = answer else { panic!("{answer:?}") };
        assert_eq!(conflict.head, head);
        assert_eq!(conflict.paths, ["same"]);
        assert!(conflict.messages.iter().any(|words| words.contains("Merge conflict in same")), "{conflict:?}");
        assert_eq!(world.head(&release()), head);
    }
}

#[tokio::test]
async fn work_that_shares_no_history_is_a_conflict() {
    let world = World::claimed().await;
    let tree = world.tree(&world.commit(&world.head(&branch("main")), "x", &[("a", Some("1"))]));
    let stranger = CommitId::new(world.git(&["commit-tree", tree.as_str(), "-m", "stranger"])).unwrap();
    let answer = world.call(integrate_of(&stranger, MergeKind::Squash, "t-a")).await;
    let IntegrateAnswer::Conflict(conflict) = answer else { panic!("{answer:?}") };
    assert!(conflict.messages[0].contains("shares no history"), "{conflict:?}");
}

#[tokio::test]
async fn a_head_that_is_not_the_expected_one_is_stale() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let a = world.commit(&base, "a", &[("a", Some("1"))]);
    let other = world.commit(&base, "o", &[("o", Some("1"))]);
    let operation = Integrate { expected_head: Some(other), ..integrate_of(&a, MergeKind::Squash, "t-a") };
    assert_eq!(world.call(operation).await, IntegrateAnswer::Stale { head: base });
}

#[tokio::test]
async fn a_trailer_inside_merged_work_does_not_pass_for_ours() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let forged = world.commit(&base, "x\n\nPhasegate-Task: t-b/1", &[("a", Some("1"))]);
    let body = "words\n\nPhasegate-Task: t-b/1".to_owned();
    let operation = Integrate { body, ..integrate_of(&forged, MergeKind::Merge, "t-a") };
    integrated(world.call(operation).await);
    let honest = world.commit(&base, "b", &[("b", Some("2"))]);
    let (commit, head) = integrated(world.call(integrate_of(&honest, MergeKind::Squash, "t-b")).await);
    assert_eq!(commit, head);
    assert_eq!(world.file(&head, "b"), "2");
}

#[tokio::test]
async fn a_commit_nobody_pushed_is_named() {
    let world = World::claimed().await;
    let unknown = CommitId::new("0123456789abcdef0123456789abcdef01234567").unwrap();
    let error = world.fail(integrate_of(&unknown, MergeKind::Squash, "t-a")).await;
    assert!(matches!(&error, StoreError::NotFound { what, .. } if what == unknown.as_str()), "{error}");
}

#[tokio::test]
async fn only_release_branches_take_work() {
    let world = World::claimed().await;
    let source = world.commit(&world.head(&branch("main")), "a", &[("a", Some("1"))]);
    let operation = Integrate { release: branch("main"), ..integrate_of(&source, MergeKind::Squash, "t-a") };
    assert!(matches!(world.fail(operation).await, StoreError::Invalid { field: "release", .. }));
}

#[tokio::test]
async fn base_is_an_ancestor_of_the_release_head_afterwards_and_a_redo_adds_nothing() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    assert!(matches!(world.call(integrate_base()).await, IntegrateBaseAnswer::UpToDate { .. }));
    let source = world.commit(&base, "a", &[("a", Some("1"))]);
    world.call(integrate_of(&source, MergeKind::Squash, "t-a")).await;
    let moved = world.move_base("b", "2");
    let answer = world.call(integrate_base()).await;
    let IntegrateBaseAnswer::Integrated { head, tree, base, patch } = answer else { panic!("{answer:?}") };
    assert_eq!(base, moved);
    world.git(&["merge-base", "--is-ancestor", moved.as_str(), head.as_str()]);
    let again = world.call(integrate_base()).await;
    assert_eq!(again, IntegrateBaseAnswer::UpToDate { head, tree, base: moved, patch });
}

#[tokio::test]
async fn what_a_phase_changes_stays_the_same_until_the_base_branch_changes_the_same_file() {
    let world = World::claimed().await;
    let lines: Vec<String> = (0..20).map(|line| line.to_string()).collect();
    let (top, end) = (format!("first\n{}", lines.join("\n")), format!("{}\nlast", lines.join("\n")));
    let start = world.move_base("shared", &lines.join("\n"));
    world.call(integrate_base()).await;
    let source = world.commit(&start, "a", &[("shared", Some(&top)), ("a", Some("1"))]);
    world.call(integrate_of(&source, MergeKind::Squash, "t-a")).await;
    let mut patches = Vec::new();
    for (file, content) in [("shared", lines.join("\n")), ("b", "2".to_owned()), ("shared", end)] {
        world.move_base(file, &content);
        let (IntegrateBaseAnswer::UpToDate { patch, .. } | IntegrateBaseAnswer::Integrated { patch, .. }) =
            world.call(integrate_base()).await
        else {
            panic!("it joins")
        };
        patches.push(patch);
    }
    assert_eq!(patches[0].len(), 64);
    assert_eq!(patches[0], patches[1], "the base branch moved elsewhere");
    assert_ne!(patches[1], patches[2], "nobody has seen what the file became");
}

#[tokio::test]
async fn a_base_that_conflicts_says_where() {
    let world = World::claimed().await;
    let source = world.commit(&world.head(&branch("main")), "a", &[("same", Some("1"))]);
    world.call(integrate_of(&source, MergeKind::Squash, "t-a")).await;
    world.move_base("same", "2");
    let answer = world.call(integrate_base()).await;
    assert!(
        matches!(&answer, IntegrateBaseAnswer::Conflict { conflict, .. } if conflict.paths == ["same"]),
        "{answer:?}"
    );
}

/// A release branch and a base branch that both changed `same`, and the base branch's head.
async fn both_changed() -> (World, CommitId) {
    let world = World::claimed().await;
    let source = world.commit(&world.head(&branch("main")), "a", &[("same", Some("1"))]);
    world.call(integrate_of(&source, MergeKind::Squash, "t-a")).await;
    world.move_base("same", "2");
    let base = world.head(&branch("main"));
    (world, base)
}

fn resolving(source: &CommitId, base: &CommitId) -> Integrate {
    Integrate { resolves: Some(base.clone()), ..integrate_of(source, MergeKind::Merge, "base-merge") }
}

#[tokio::test]
async fn a_developers_merge_of_the_base_brings_it_in_as_exactly_that_tree() {
    let (world, base) = both_changed().await;
    let head = world.head(&release());
    let source = world.commit(&head, "both", &[("same", Some("1 and 2"))]);
    let (commit, now) = integrated(world.call(resolving(&source, &base)).await);
    assert_eq!(commit, now);
    assert_eq!(world.git(&["rev-parse", &format!("{now}^@")]), format!("{head}\n{base}"));
    assert_eq!(
        world.git(&["rev-parse", &format!("{now}^{{tree}}")]),
        world.git(&["rev-parse", &format!("{source}^{{tree}}")])
    );
    let answer = world.call(integrate_base()).await;
    assert!(matches!(&answer, IntegrateBaseAnswer::UpToDate { head, .. } if *head == now), "{answer:?}");
    let before = world.refs();
    assert_eq!(integrated(world.call(resolving(&source, &base)).await), (commit, now), "a redo finds it");
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn a_merge_of_the_base_joins_what_came_in_meanwhile() {
    let (world, base) = both_changed().await;
    let source = world.commit(&world.head(&release()), "both", &[("same", Some("1 and 2"))]);
    let other = world.commit(&world.head(&release()), "b", &[("b", Some("b"))]);
    world.call(integrate_of(&other, MergeKind::Squash, "t-b")).await;
    let (_, head) = integrated(world.call(resolving(&source, &base)).await);
    assert_eq!(["same", "b"].map(|path| world.file(&head, path)), ["1 and 2", "b"]);
    assert!(matches!(world.call(integrate_base()).await, IntegrateBaseAnswer::UpToDate { .. }));
}

#[tokio::test]
async fn what_a_person_merged_in_git_comes_in_with_its_history() {
    let (world, base) = both_changed().await;
    let head = world.head(&release());
    let tree = world.git(&["rev-parse", &format!("{}^{{tree}}", world.commit(&head, "x", &[("same", Some("both"))]))]);
    let source =
        CommitId::new(world.git(&["commit-tree", &tree, "-p", head.as_str(), "-p", base.as_str(), "-m", "by hand"]))
            .unwrap();
    let (_, now) = integrated(world.call(resolving(&source, &base)).await);
    assert_eq!(world.git(&["rev-parse", &format!("{now}^@")]), format!("{head}\n{source}"));
    assert!(matches!(world.call(integrate_base()).await, IntegrateBaseAnswer::UpToDate { .. }));
}

#[tokio::test]
async fn what_the_base_branch_does_not_hold_any_more_has_to_be_merged_anew() {
    let (world, base) = both_changed().await;
    let head = world.head(&release());
    let source = world.commit(&head, "both", &[("same", Some("1 and 2"))]);
    let parent = CommitId::new(world.git(&["rev-parse", &format!("{base}^")])).unwrap();
    world.move_ref(&branch("main"), &world.commit(&parent, "rewritten", &[("same", Some("3"))]));
    let before = world.refs();
    let pruned = CommitId::new("0123456789abcdef0123456789abcdef01234567").unwrap();
    for gone in [base, pruned] {
        let answer = world.call(resolving(&source, &gone)).await;
        let IntegrateAnswer::Conflict(conflict) = answer else { panic!("{answer:?}") };
        assert_eq!((conflict.head, &conflict.paths), (head.clone(), &Vec::new()));
        assert!(conflict.messages[0].contains("does not hold"), "{:?}", conflict.messages);
    }
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn a_base_that_moved_on_elsewhere_comes_in_on_top_of_the_merge() {
    let (world, base) = both_changed().await;
    let moved = world.move_base("elsewhere", "1");
    let source = world.commit(&world.head(&release()), "both", &[("same", Some("1 and 2"))]);
    world.call(resolving(&source, &base)).await;
    let answer = world.call(integrate_base()).await;
    let IntegrateBaseAnswer::Integrated { head, base, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((base, world.file(&head, "same")), (moved, "1 and 2".to_owned()), "what was resolved stays resolved");
}

#[tokio::test]
async fn a_base_that_moved_on_conflicts_anew() {
    let (world, base) = both_changed().await;
    world.move_base("same", "3");
    let source = world.commit(&world.head(&release()), "both", &[("same", Some("1 and 2"))]);
    world.call(resolving(&source, &base)).await;
    let answer = world.call(integrate_base()).await;
    let IntegrateBaseAnswer::Conflict { base, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(base, world.head(&branch("main")));
}

#[tokio::test]
async fn many_tasks_at_once_all_come_in() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let names: Vec<String> = (0..8).map(|n| format!("t-{n}")).collect();
    let sources: Vec<_> = names.iter().map(|name| world.commit(&base, name, &[(name, Some("1"))])).collect();
    let calls =
        names.iter().zip(&sources).map(|(name, source)| world.call(integrate_of(source, MergeKind::Squash, name)));
    for answer in futures::future::join_all(calls).await {
        integrated(answer);
    }
    let head = world.head(&release());
    assert!(names.iter().all(|name| world.file(&head, name) == "1"));
    assert_eq!(world.git(&["rev-list", "--count", &format!("{base}..{head}")]), "8");
}
