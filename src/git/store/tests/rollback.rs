//! A phase is taken back, and delivered again.

use super::{merge_to_base, support::*};
use crate::git::{
    names::{CommitId, RefName},
    ops::*,
};

fn rollback_branch() -> RefName {
    branch("bugfix/phase-1-rollback-v1.0.0")
}

/// A phase that passed, and its merge commit: it added `a` and changed `shared`.
pub(super) async fn passed() -> (World, CommitId) {
    let world = World::new().await;
    world.move_base("shared", "one\ntwo\nthree\nfour\nfive\nsix\nseven\n");
    world.call(claim_of("uid-1")).await;
    let files = [("a", Some("1")), ("shared", Some("ONE\ntwo\nthree\nfour\nfive\nsix\nseven\n"))];
    let source = world.commit(&world.head(&branch("main")), "a", &files);
    world.call(integrate_of(&source, MergeKind::Squash, "t-a")).await;
    let merge = merge_to_base::merged(world.call(merge_to_base::merge_of(&world, "uid-1")).await);
    (world, merge)
}

pub(super) fn revert_of(merge: &CommitId) -> Revert {
    Revert {
        phase: phase("uid-1"),
        merge: merge.clone(),
        base: branch("main"),
        upstream: None,
        branch: rollback_branch(),
        order: "order-1".to_owned(),
        give_up: false,
        title: "Revert phase-1-v1.0.0".to_owned(),
        author: author(),
    }
}

/// What brings the revert to the base branch.
pub(super) async fn rollback_of(world: &World, merge: &CommitId) -> MergeToBase {
    let answer = world.call(revert_of(merge)).await;
    let RevertAnswer::Reverted { commit, tree, base } = answer else { panic!("{answer:?}") };
    MergeToBase {
        phase: phase("uid-1"),
        release: rollback_branch(),
        rolls_back: Some(merge.clone()),
        pushed: None,
        head: commit,
        tree,
        base: branch("main"),
        expected_base: base,
        upstream: None,
        tags: Vec::new(),
        title: "Merge the rollback of phase-1-v1.0.0".to_owned(),
        body: String::new(),
        note: "Rolled-back-by: ada".to_owned(),
        author: author(),
    }
}

async fn roll_back(world: &World, merge: &CommitId) -> CommitId {
    let operation = rollback_of(world, merge).await;
    merge_to_base::merged(world.call(operation).await)
}

/// The claim of the raised version.
fn raised_after(rollback: CommitId) -> ClaimRelease {
    ClaimRelease {
        release: branch("release/phase-1-v1.1.0"),
        tag: RefName::tag("phase-1-v1.1.0").unwrap(),
        reapply: Some(Reapply { rollback, title: "Reapply phase-1-v1.0.0".to_owned(), author: author() }),
        ..claim_of("uid-1")
    }
}

/// The claim of the raised version, of a phase whose rollback is on the base branch.
pub(super) async fn raised(world: &World, merge: &CommitId) -> ClaimRelease {
    let RevertAnswer::Done { commit } = world.call(revert_of(merge)).await else { panic!("not rolled back") };
    raised_after(commit)
}

#[tokio::test]
async fn the_base_branch_is_what_it_was_before_and_the_tag_stays() {
    let (world, merge) = passed().await;
    let before = world.tree(&world.facts(&merge).await.parents[0]);
    let tags = world.git(&["for-each-ref", "refs/tags"]);
    let commit = roll_back(&world, &merge).await;
    assert_eq!(world.head(&branch("main")), commit);
    assert_eq!(world.tree(&commit), before);
    assert_eq!(world.git(&["for-each-ref", "refs/tags"]), tags);
    let facts = world.facts(&commit).await;
    assert_eq!(facts.parents, [merge.clone(), world.head(&rollback_branch())], "a bugfix joins by a merge commit");
    assert!(facts.message.ends_with(&format!("\n\nPhasegate-Rollback: {merge}\n")), "{}", facts.message);
    let note = world.git(&["notes", "--ref=phasegate", "show", commit.as_str()]);
    assert_eq!(
        note,
        "Rolled-back-by: ada\n\nPhasegate-Gate: team/hello-1\nPhasegate-Branch: bugfix/phase-1-rollback-v1.0.0"
    );
    world.git(&["fsck", "--strict"]);
}

#[tokio::test]
async fn what_came_later_stays() {
    let (world, merge) = passed().await;
    world.move_base("b", "2");
    let later = world.move_base("shared", "ONE\ntwo\nthree\nfour\nfive\nsix\nSEVEN\n");
    let commit = roll_back(&world, &merge).await;
    assert_eq!(world.git(&["ls-tree", "--name-only", commit.as_str()]), "b\nshared");
    assert_eq!(world.file(&commit, "shared"), "one\ntwo\nthree\nfour\nfive\nsix\nSEVEN");
    assert_eq!(world.facts(&commit).await.parents[0], later);
}

#[tokio::test]
async fn what_changed_the_same_lines_later_is_a_conflict_and_nothing_moves() {
    let (world, merge) = passed().await;
    let base = world.move_base("shared", "one, otherwise\ntwo\nthree\nfour\nfive\nsix\nseven\n");
    let before = world.refs();
    let answer = world.call(revert_of(&merge)).await;
    let RevertAnswer::Conflict(conflict) = answer else { panic!("{answer:?}") };
    assert_eq!((conflict.head, conflict.paths), (base, vec!["shared".to_owned()]));
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn nothing_is_taken_back_twice_whoever_tries() {
    let (world, merge) = passed().await;
    let early = rollback_of(&world, &merge).await;
    world.move_base("b", "2");
    let commit = roll_back(&world, &merge).await;
    let refs = world.refs();
    let again = MergeToBaseAnswer::Merged { commit: commit.clone(), tags: Vec::new() };
    assert_eq!(world.call(early).await, again, "a revert made on an older base finds it done");
    assert_eq!(world.call(revert_of(&merge)).await, RevertAnswer::Done { commit });
    assert_eq!(world.refs(), refs);
}

#[tokio::test]
async fn a_base_that_moved_gets_a_revert_of_its_own_on_the_same_branch() {
    let (world, merge) = passed().await;
    let early = rollback_of(&world, &merge).await;
    let base = world.move_base("b", "2");
    assert_eq!(world.call(early.clone()).await, MergeToBaseAnswer::BaseMoved { base: base.clone() });
    let late = rollback_of(&world, &merge).await;
    assert_ne!(late.head, early.head);
    assert_eq!(late.expected_base, base);
    assert!(!world.refs().contains("archive"), "an earlier revert is nobody's work");
    merge_to_base::merged(world.call(late).await);
}

#[tokio::test]
async fn what_somebody_pushed_to_the_branch_is_archived() {
    let (world, merge) = passed().await;
    let theirs = world.commit(&merge, "by hand", &[("mine", Some("1"))]);
    world.move_ref(&rollback_branch(), &theirs);
    roll_back(&world, &merge).await;
    let archived = format!(
        "refs/phasegate/archive/uid-1/heads/bugfix/phase-1-rollback-v1.0.0-{} {theirs}",
        &theirs.as_str()[..12]
    );
    assert!(world.refs().contains(&archived), "{}", world.refs());
}

#[tokio::test]
async fn a_rollback_that_is_given_up_cannot_be_merged_any_more_and_one_that_is_done_stands() {
    let (world, merge) = passed().await;
    let operation = rollback_of(&world, &merge).await;
    let give_up = Revert { give_up: true, ..revert_of(&merge) };
    let before = world.head(&branch("main"));
    assert_eq!(world.call(give_up.clone()).await, RevertAnswer::GivenUp);
    assert_eq!(world.call(give_up.clone()).await, RevertAnswer::GivenUp);
    let answer = world.call(operation.clone()).await;
    assert!(matches!(answer, MergeToBaseAnswer::NotReviewed { .. }), "{answer:?}");
    let answer = world.call(revert_of(&merge)).await;
    assert_eq!(answer, RevertAnswer::GivenUp, "an operator whose view is old does not put it back");
    assert_eq!(world.head(&branch("main")), before);
    let again = Revert { order: "order-2".to_owned(), ..revert_of(&merge) };
    let answer = world.call(again.clone()).await;
    let RevertAnswer::Reverted { commit, .. } = answer else { panic!("{answer:?}") };
    let commit = merge_to_base::merged(world.call(MergeToBase { head: commit, ..operation }).await);
    let refs = world.refs();
    assert_eq!(world.call(give_up).await, RevertAnswer::Done { commit: commit.clone() });
    assert_eq!(world.call(Revert { give_up: true, ..again }).await, RevertAnswer::Done { commit });
    assert_eq!(world.refs(), refs);
}

#[tokio::test]
async fn only_what_the_base_branch_went_through_is_taken_back() {
    let (world, merge) = passed().await;
    let elsewhere = world.commit(&merge, "elsewhere", &[("x", Some("1"))]);
    assert_eq!(world.call(revert_of(&elsewhere)).await, RevertAnswer::NotMerged);
    let part = world.facts(&merge).await.parents[1].clone();
    assert_eq!(world.call(revert_of(&part)).await, RevertAnswer::NotMerged, "part of a merge is no merge");
}

#[tokio::test]
async fn a_tree_that_was_not_checked_never_reaches_the_base() {
    let (world, merge) = passed().await;
    let operation = rollback_of(&world, &merge).await;
    let before = world.refs();
    let wrong = MergeToBase { tree: world.tree(&merge), ..operation.clone() };
    let answer = world.call(wrong).await;
    assert!(matches!(answer, MergeToBaseAnswer::NotReviewed { .. }), "{answer:?}");
    let tagged = MergeToBase {
        tags: vec![TagSpec { name: RefName::tag("x").unwrap(), message: String::new() }],
        ..operation.clone()
    };
    assert!(world.fail(tagged).await.to_string().starts_with("invalid tags"));
    let released = MergeToBase { release: release(), ..operation };
    assert!(world.fail(released).await.to_string().contains("under bugfix/"));
    let elsewhere = Revert { branch: release(), ..revert_of(&merge) };
    assert!(world.fail(elsewhere).await.to_string().contains("under bugfix/"));
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn what_was_taken_back_is_not_adopted() {
    let (world, merge) = passed().await;
    let rollback = roll_back(&world, &merge).await;
    let expected = ClaimReleaseAnswer::RolledBack { commit: merge, tag: tag(), rollback };
    assert_eq!(world.call(claim_of("uid-1")).await, expected);
    assert_eq!(world.call(claim_of("uid-of-a-new-object")).await, expected);
    let mut stranger = claim_of("uid-3");
    stranger.phase.name = "hello-2".to_owned();
    assert_eq!(world.call(stranger).await, ClaimReleaseAnswer::TagTaken { tag: tag() });
}

#[tokio::test]
async fn a_raised_version_starts_with_what_was_taken_away_and_its_files_are_back_once_merged() {
    let (world, merge) = passed().await;
    world.move_base("b", "2");
    let rollback = roll_back(&world, &merge).await;
    let later = world.move_base("c", "3");
    let claim = raised_after(rollback.clone());
    let answer = world.call(claim.clone()).await;
    let ClaimReleaseAnswer::Claimed { head, base, .. } = answer.clone() else { panic!("{answer:?}") };
    assert_eq!(base, later);
    let facts = world.facts(&head).await;
    assert_eq!(facts.parents, [later]);
    assert!(facts.message.ends_with(&format!("\n\nPhasegate-Reapply: {rollback}\n")), "{}", facts.message);
    assert_eq!(world.git(&["ls-tree", "--name-only", head.as_str()]), "a\nb\nc\nshared");
    assert_eq!(world.file(&head, "shared"), world.file(&merge, "shared"));
    let refs = world.refs();
    assert_eq!(world.call(claim.clone()).await, answer);
    assert_eq!(world.refs(), refs, "a redo moves nothing");
    let again = MergeToBase {
        release: claim.release.clone(),
        tree: facts.tree.clone(),
        head,
        tags: vec![TagSpec { name: claim.tag.clone(), message: "again".to_owned() }],
        ..merge_to_base::merge_of(&world, "uid-1")
    };
    let second = merge_to_base::merged(world.call(again).await);
    assert_eq!(world.tree(&second), facts.tree);
    assert_eq!((world.head(&tag()), world.head(&claim.tag)), (merge.clone(), second.clone()));
    let adopted = ClaimReleaseAnswer::Adopted { commit: second.clone(), tag: claim.tag.clone(), score: None };
    assert_eq!(world.call(claim).await, adopted);
    // And that can be taken back again, by itself.
    let revert = Revert { branch: branch("bugfix/phase-1-rollback-v1.1.0"), ..revert_of(&second) };
    let answer = world.call(revert).await;
    let RevertAnswer::Reverted { commit, tree, base } = answer else { panic!("{answer:?}") };
    assert_eq!(tree, world.tree(&world.facts(&second).await.parents[0]));
    let back = MergeToBase {
        release: branch("bugfix/phase-1-rollback-v1.1.0"),
        rolls_back: Some(second),
        head: commit,
        tree,
        expected_base: base,
        tags: Vec::new(),
        ..merge_to_base::merge_of(&world, "uid-1")
    };
    let last = merge_to_base::merged(world.call(back).await);
    // The first version does not come again: what the second added would be lost.
    let before = world.refs();
    let first = ClaimRelease { release: release(), tag: tag(), ..raised_after(last) };
    assert_eq!(world.call(first).await, ClaimReleaseAnswer::TagTaken { tag: tag() });
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn what_was_taken_away_and_does_not_fit_any_more_is_a_conflict() {
    let (world, merge) = passed().await;
    let rollback = roll_back(&world, &merge).await;
    let base = world.move_base("shared", "one, otherwise\ntwo\nthree\nfour\nfive\nsix\nseven\n");
    let before = world.refs();
    let answer = world.call(raised_after(rollback)).await;
    let ClaimReleaseAnswer::Conflict(conflict) = answer else { panic!("{answer:?}") };
    assert_eq!((conflict.head, conflict.paths), (base, vec!["shared".to_owned()]));
    assert_eq!(world.refs(), before);
    let elsewhere = world.fail(raised_after(aside(&world))).await;
    assert!(elsewhere.to_string().starts_with("invalid reapply.rollback"), "{elsewhere}");
}

/// A commit that the base branch does not hold.
fn aside(world: &World) -> CommitId {
    world.commit(&world.head(&branch("main")), "aside", &[("aside", Some("1"))])
}

#[tokio::test]
async fn a_branch_whose_name_has_no_version_starts_anew() {
    let (world, merge) = passed().await;
    let rollback = roll_back(&world, &merge).await;
    let claim = ClaimRelease { release: release(), ..raised_after(rollback) };
    let old = world.head(&release());
    let answer = world.call(claim.clone()).await;
    let ClaimReleaseAnswer::Claimed { head, .. } = answer.clone() else { panic!("{answer:?}") };
    assert_ne!(head, old);
    assert_eq!(world.head(&release()), head);
    assert_eq!(world.file(&head, "a"), "1");
    assert_eq!(world.call(claim).await, answer);
}
