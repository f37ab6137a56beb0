//! An upstream whose people go on meanwhile: what they add comes in with a phase, and a phase can go out first.

use super::{
    merge_to_base::{merge_of, merged},
    rollback::revert_of,
    support::*,
};
use crate::git::{
    names::{CommitId, RefName},
    ops::*,
};

fn theirs() -> RefName {
    RefName::new("refs/upstream/heads/main").unwrap()
}

/// A repository whose upstream has one commit, mirrored.
async fn mirrored() -> World {
    let world = World::new().await;
    let main = world.move_base("theirs", "1");
    world.move_ref(&theirs(), &main);
    world
}

/// The upstream's people add a file to what they have.
fn add(world: &World, path: &str, content: &str) -> CommitId {
    let moved = world.commit(&world.head(&theirs()), &format!("{path} of the upstream"), &[(path, Some(content))]);
    world.move_ref(&theirs(), &moved);
    moved
}

fn claim() -> ClaimRelease {
    ClaimRelease { upstream: Some(theirs()), ..claim_of("uid-1") }
}

fn base_in() -> IntegrateBase {
    IntegrateBase { upstream: Some(theirs()), ..integrate_base() }
}

/// One file of the phase's own on its release branch.
async fn work(world: &World, path: &str, content: &str) {
    let source = world.commit(&world.head(&release()), path, &[(path, Some(content))]);
    let work = Integrate { upstream: Some(theirs()), ..integrate_of(&source, MergeKind::Squash, "t-a") };
    let answer = world.call(work).await;
    assert!(matches!(answer, IntegrateAnswer::Integrated { .. }), "{answer:?}");
}

/// Base and head that a review speaks of.
async fn reviewed(world: &World) -> (CommitId, CommitId) {
    match world.call(base_in()).await {
        IntegrateBaseAnswer::UpToDate { base, head, .. } | IntegrateBaseAnswer::Integrated { base, head, .. } => {
            assert!(
                matches!(world.call(base_in()).await, IntegrateBaseAnswer::UpToDate { base: again, .. } if again == base)
            );
            (base, head)
        }
        other @ (IntegrateBaseAnswer::Conflict { .. }
        | IntegrateBaseAnswer::Stale { .. }
        | IntegrateBaseAnswer::Merged(_)) => {
            panic!("{other:?}")
        }
    }
}

/// A phase with one file on top of the mirrored upstream; base and head that its review speaks of.
async fn judged() -> (World, CommitId, CommitId) {
    let world = mirrored().await;
    world.call(claim()).await;
    work(&world, "ours", "1").await;
    let (base, head) = reviewed(&world).await;
    (world, base, head)
}

fn merge(world: &World, base: &CommitId) -> MergeToBase {
    MergeToBase { upstream: Some(theirs()), expected_base: base.clone(), ..merge_of(world, "uid-1") }
}

async fn prepared(world: &World, merge: &MergeToBase) -> CommitId {
    match world.call(PreparePush { merge: merge.clone() }).await {
        PreparePushAnswer::Prepared { commit, .. } => commit,
        other @ PreparePushAnswer::Settled { .. } => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_phase_starts_where_the_upstream_is_and_reaches_the_base_on_top_of_it() {
    let world = mirrored().await;
    let before = world.head(&branch("main"));
    let ahead = add(&world, "news", "1");
    let answer = world.call(claim()).await;
    assert_eq!(answer, ClaimReleaseAnswer::Claimed { head: ahead.clone(), base: ahead.clone(), works: Works::new() });
    assert_eq!(world.call(claim()).await, answer, "a redo finds it");
    assert_eq!(world.head(&branch("main")), before, "nothing reaches the base branch without a gate");
    work(&world, "ours", "1").await;
    let (base, _) = reviewed(&world).await;
    assert_eq!(base, ahead, "what the upstream added is none of the phase's changes");
    let commit = merged(world.call(merge(&world, &base)).await);
    assert_eq!(world.facts(&commit).await.parents[0], ahead, "the line of the upstream goes on");
    assert_eq!((world.file(&commit, "news"), world.file(&commit, "ours")), ("1".into(), "1".into()));
    // Taking the phase back takes nothing of the upstream's people.
    let RevertAnswer::Reverted { commit: revert, .. } =
        world.call(Revert { upstream: Some(theirs()), ..revert_of(&commit) }).await
    else {
        panic!("no revert");
    };
    assert_eq!(world.tree(&revert), world.tree(&ahead));
    world.git(&["fsck", "--strict"]);
}

#[tokio::test]
async fn both_sides_that_moved_are_joined_and_neither_is_overwritten() {
    let world = mirrored().await;
    let ours = world.move_base("mine", "1");
    let ahead = add(&world, "news", "1");
    world.call(claim()).await;
    work(&world, "ours", "1").await;
    let (base, head) = reviewed(&world).await;
    assert_eq!(world.facts(&base).await.parents, [ours.clone(), ahead.clone()]);
    assert_eq!(world.head(&RefName::new("refs/phasegate/ground/main").unwrap()), base);
    assert_eq!((world.head(&branch("main")), world.head(&theirs())), (ours.clone(), ahead));
    let commit = merged(world.call(merge(&world, &base)).await);
    assert_eq!(world.facts(&commit).await.parents, [base, head]);
    // The base branch holds all of the upstream now: it is its own ground again.
    let next = ClaimRelease {
        phase: phase("uid-2"),
        release: branch("release/phase-2-v1.0.0"),
        claim: RefName::new("refs/phasegate/claims/phase-2").unwrap(),
        tag: RefName::tag("phase-2-v1.0.0").unwrap(),
        ..claim()
    };
    let answer = world.call(next).await;
    assert_eq!(answer, ClaimReleaseAnswer::Claimed { head: commit.clone(), base: commit, works: Works::new() });
    world.git(&["fsck", "--strict"]);
}

#[tokio::test]
async fn a_branch_that_a_person_merged_upstream_keeps_the_line_of_the_base() {
    let (world, base, _) = judged().await;
    let commit = merged(world.call(merge(&world, &base)).await);
    // They merge what was delivered into theirs: their own commit is the first parent.
    let ahead = add(&world, "news", "1");
    let tree = world.git(&["merge-tree", "--write-tree", ahead.as_str(), commit.as_str()]);
    let made = world.git(&["commit-tree", &tree, "-p", ahead.as_str(), "-p", commit.as_str(), "-m", "theirs"]);
    world.move_ref(&theirs(), &CommitId::new(made).unwrap());
    let revert = Revert { upstream: Some(theirs()), ..revert_of(&commit) };
    let RevertAnswer::Reverted { base: ground, .. } = world.call(revert).await else { panic!("no revert") };
    assert_eq!(world.facts(&ground).await.parents[0], commit, "what the base branch went through is still on its line");
    assert_eq!(world.tree(&ground), world.tree(&world.head(&theirs())));
}

#[tokio::test]
async fn an_upstream_that_conflicts_is_merged_by_the_phase() {
    let world = mirrored().await;
    let ours = world.move_base("same", "ours");
    let ahead = add(&world, "same", "theirs");
    world.call(claim()).await;
    assert_eq!(world.head(&release()), ours);
    work(&world, "own", "1").await;
    let IntegrateBaseAnswer::Conflict { base, conflict } = world.call(base_in()).await else { panic!("no conflict") };
    assert_eq!((&base, &*conflict.paths), (&ahead, &["same".to_owned()][..]));
    let resolution = world.commit(&world.head(&release()), "both", &[("same", Some("both"))]);
    let resolve = Integrate {
        resolves: Some(ahead.clone()),
        upstream: Some(theirs()),
        ..integrate_of(&resolution, MergeKind::Merge, "base-merge")
    };
    let answer = world.call(resolve).await;
    assert!(matches!(answer, IntegrateAnswer::Integrated { .. }), "{answer:?}");
    let (base, _) = reviewed(&world).await;
    assert_eq!(base, ours, "there is nothing else that both can be compared with");
    let commit = merged(world.call(merge(&world, &base)).await);
    assert_eq!(world.file(&commit, "same"), "both");
}

#[tokio::test]
async fn an_upstream_that_moved_since_the_review_is_a_moved_base() {
    let (world, base, _) = judged().await;
    let operation = merge(&world, &base);
    add(&world, "news", "1");
    let before = world.refs();
    assert_eq!(world.call(operation.clone()).await, MergeToBaseAnswer::BaseMoved { base: base.clone() });
    let settled = world.call(PreparePush { merge: operation }).await;
    assert_eq!(settled, PreparePushAnswer::Settled { merge: MergeToBaseAnswer::BaseMoved { base } });
    assert_eq!(world.refs(), before);
    let (base, _) = reviewed(&world).await;
    merged(world.call(merge(&world, &base)).await);
}

#[tokio::test]
async fn an_upstream_that_was_rewritten_loses_nothing_of_ours() {
    let world = mirrored().await;
    let first = world.head(&branch("main"));
    let parent = world.facts(&first).await.parents[0].clone();
    let rewritten = world.commit(&parent, "rewritten", &[("theirs", Some("1")), ("more", Some("1"))]);
    world.move_ref(&theirs(), &rewritten);
    world.call(claim()).await;
    work(&world, "ours", "1").await;
    let (base, _) = reviewed(&world).await;
    assert_eq!(world.facts(&base).await.parents, [first, rewritten]);
    merged(world.call(merge(&world, &base)).await);
}

#[tokio::test]
async fn what_is_pushed_first_is_what_the_base_becomes_whenever_the_crash_comes() {
    let (world, base, _) = judged().await;
    let operation = merge(&world, &base);
    let main = world.head(&branch("main"));
    let commit = prepared(&world, &operation).await;
    let there = world.refs();
    assert_eq!(prepared(&world, &operation).await, commit, "a redo gives the same");
    assert_eq!((world.refs(), world.head(&branch("main"))), (there.clone(), main), "and nothing has moved");
    let tag = world.git(&["rev-parse", "refs/phasegate/push/uid-1/tags/phase-1-v1.0.0"]);
    assert!(there.contains(&format!("refs/phasegate/push/uid-1/head {commit}")), "{there}");
    // The upstream takes it, its people go on, and the record of it is lost: what is pushed is pushed.
    world.move_ref(&theirs(), &commit);
    add(&world, "news", "1");
    let PreparePushAnswer::Settled { merge: settled } = world.call(PreparePush { merge: operation.clone() }).await
    else {
        panic!("pushed twice");
    };
    assert_eq!(merged(settled), commit);
    let first = world.call(operation.clone()).await;
    assert_eq!(merged(first.clone()), commit);
    assert_eq!(world.head(&branch("main")), commit);
    assert_eq!(world.git(&["rev-parse", "refs/tags/phase-1-v1.0.0"]), tag, "the tag is the object that was pushed");
    assert!(!world.refs().contains("refs/phasegate/push/"), "{}", world.refs());
    assert_eq!(world.call(operation).await, first);
    world.git(&["fsck", "--strict"]);
}

#[tokio::test]
async fn only_the_upstreams_copy_is_taken_for_it() {
    let world = mirrored().await;
    let error = world.fail(ClaimRelease { upstream: Some(branch("feature/x")), ..claim() }).await.to_string();
    assert!(error.contains("refs/upstream/heads/"), "{error}");
}

#[tokio::test]
async fn what_the_upstream_has_taken_reaches_the_base_as_that_very_commit_whatever_changed_meanwhile() {
    let (world, base, _) = judged().await;
    let operation = merge(&world, &base);
    let commit = prepared(&world, &operation).await;
    let tag = world.git(&["rev-parse", "refs/phasegate/push/uid-1/tags/phase-1-v1.0.0"]);
    // The spec is edited, and the mirror has seen the upstream move but not yet that it took the merge.
    add(&world, "news", "1");
    let edited = MergeToBase {
        title: "Another title".to_owned(),
        tags: vec![TagSpec { name: RefName::tag("phase-1-v1.1.0").unwrap(), message: "another".to_owned() }],
        ..operation
    };
    let before = world.refs();
    assert_eq!(world.call(edited.clone()).await, MergeToBaseAnswer::BaseMoved { base });
    assert_eq!(world.refs(), before);
    let pushed = MergeToBase { pushed: Some(commit.clone()), ..edited };
    let answer = world.call(pushed.clone()).await;
    let tags = ["phase-1-v1.0.0", "release-v1.0.0"].map(|name| RefName::tag(name).unwrap()).to_vec();
    assert_eq!(answer, MergeToBaseAnswer::Merged { commit: commit.clone(), tags });
    assert_eq!(world.head(&branch("main")), commit);
    assert_eq!(world.git(&["rev-parse", "refs/tags/phase-1-v1.0.0"]), tag, "the tag is the object that was pushed");
    assert!(!world.refs().contains("refs/tags/phase-1-v1.1.0"));
    // Killed while what was prepared was cleared away: a redo names the same tags.
    let release = world.git(&["rev-parse", "refs/tags/release-v1.0.0"]);
    world.git(&["update-ref", "refs/phasegate/push/uid-1/tags/release-v1.0.0", &release]);
    let redo = MergeToBase { tags: merge(&world, &commit).tags, ..pushed };
    let MergeToBaseAnswer::Merged { mut tags, .. } = world.call(redo).await else { panic!("not merged") };
    tags.sort();
    assert_eq!(tags, ["phase-1-v1.0.0", "release-v1.0.0"].map(|name| RefName::tag(name).unwrap()));
    world.git(&["fsck", "--strict"]);
}

#[tokio::test]
async fn nothing_but_the_merge_of_what_was_reviewed_is_taken_as_pushed() {
    let (world, base, head) = judged().await;
    let operation = merge(&world, &base);
    let other = add(&world, "news", "1");
    let same_tree =
        world.git(&["commit-tree", &format!("{head}^{{tree}}"), "-p", base.as_str(), "-p", head.as_str(), "-m", "x"]);
    for commit in [other, CommitId::new(same_tree).unwrap()] {
        let pushed = MergeToBase { pushed: Some(commit), ..operation.clone() };
        assert_eq!(world.call(pushed).await, MergeToBaseAnswer::BaseMoved { base: base.clone() });
    }
}

#[tokio::test]
async fn a_phase_that_brought_the_upstream_in_is_not_taken_back_with_it() {
    let world = mirrored().await;
    world.move_base("same", "ours");
    add(&world, "fix", "of theirs");
    let ahead = add(&world, "same", "theirs");
    world.call(claim()).await;
    work(&world, "own", "1").await;
    let resolution =
        world.commit(&world.head(&release()), "both", &[("same", Some("both")), ("fix", Some("of theirs"))]);
    let resolve = Integrate {
        resolves: Some(ahead.clone()),
        upstream: Some(theirs()),
        ..integrate_of(&resolution, MergeKind::Merge, "base-merge")
    };
    world.call(resolve).await;
    let (base, _) = reviewed(&world).await;
    let commit = merged(world.call(merge(&world, &base)).await);
    let before = world.refs();
    let answer = world.call(Revert { upstream: Some(theirs()), ..revert_of(&commit) }).await;
    assert_eq!(answer, RevertAnswer::WithUpstream { upstream: ahead });
    assert_eq!(world.refs(), before);
    // The order can be given up.
    let give_up = Revert { upstream: Some(theirs()), give_up: true, ..revert_of(&commit) };
    assert_eq!(world.call(give_up).await, RevertAnswer::GivenUp);
}

#[tokio::test]
async fn the_upstreams_people_cannot_say_that_a_phase_was_taken_back() {
    let (world, base, _) = judged().await;
    let commit = merged(world.call(merge(&world, &base)).await);
    // Merge ids are public once they are pushed.
    let words = format!("Nothing of note\n\nPhasegate-Rollback: {commit}");
    let forged = world.git(&["commit-tree", &format!("{commit}^{{tree}}"), "-p", commit.as_str(), "-m", &words]);
    world.move_ref(&branch("main"), &CommitId::new(forged).unwrap());
    let answer = world.call(Revert { upstream: Some(theirs()), ..revert_of(&commit) }).await;
    let RevertAnswer::Reverted { commit: revert, tree, base } = answer else { panic!("{answer:?}") };
    let rollback = MergeToBase {
        rolls_back: Some(commit.clone()),
        release: branch("bugfix/phase-1-rollback-v1.0.0"),
        head: revert,
        tree,
        expected_base: base,
        tags: Vec::new(),
        ..merge(&world, &commit)
    };
    let back = merged(world.call(rollback.clone()).await);
    assert_eq!(world.head(&branch("main")), back);
    assert!(!world.git(&["ls-tree", "--name-only", "main"]).contains("ours"), "it is really taken back");
    assert_eq!(world.call(revert_of(&commit)).await, RevertAnswer::Done { commit: back });
}

#[tokio::test]
async fn a_merge_of_an_earlier_ground_is_taken_though_the_upstream_went_on_meanwhile() {
    let world = mirrored().await;
    let ours = world.move_base("mine", "1");
    let first = add(&world, "same", "theirs");
    // What both come to conflicts with the phase, and is on no branch.
    world.call(claim()).await;
    let (start, _) = reviewed(&world).await;
    assert_eq!(world.facts(&start).await.parents, [ours, first]);
    work(&world, "other", "1").await;
    world.move_base("other", "2");
    let IntegrateBaseAnswer::Conflict { base, .. } = world.call(base_in()).await else { panic!("no conflict") };
    assert_eq!(world.head(&RefName::new("refs/phasegate/to-merge/uid-1").unwrap()), base, "a person can fetch it");
    let resolution = world.commit(&world.head(&release()), "both", &[("other", Some("both"))]);
    add(&world, "news", "1");
    let resolve = Integrate {
        resolves: Some(base),
        upstream: Some(theirs()),
        ..integrate_of(&resolution, MergeKind::Merge, "base-merge")
    };
    let answer = world.call(resolve).await;
    assert!(matches!(answer, IntegrateAnswer::Integrated { .. }), "{answer:?}");
    let (base, head) = reviewed(&world).await;
    assert_eq!((world.file(&head, "news"), world.file(&head, "other")), ("1".into(), "both".into()));
    merged(world.call(merge(&world, &base)).await);
    assert!(!world.refs().contains("refs/phasegate/to-merge"), "it is merged");
}
