//! The one way to the base branch.

use super::support::*;
use crate::git::{
    flow::{Line, Passed, tag_message},
    names::{CommitId, RefName, TreeId},
    ops::*,
};

/// A release branch with one feature, and the merge that would complete it.
pub(super) async fn ready() -> (World, MergeToBase) {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let source = world.commit(&base, "a", &[("a", Some("1"))]);
    world.call(integrate_of(&source, MergeKind::Squash, "t-a")).await;
    let operation = merge_of(&world, "uid-1");
    (world, operation)
}

pub(super) fn merge_of(world: &World, uid: &str) -> MergeToBase {
    let head = world.head(&release());
    MergeToBase {
        phase: phase(uid),
        release: release(),
        rolls_back: None,
        pushed: None,
        tree: world.tree(&head),
        head,
        base: branch("main"),
        expected_base: world.head(&branch("main")),
        upstream: None,
        tags: vec![
            TagSpec { name: tag(), message: "phase 1 v1.0.0".to_owned() },
            TagSpec { name: RefName::tag("release-v1.0.0").unwrap(), message: "release".to_owned() },
        ],
        title: "Merge phase 1 v1.0.0".to_owned(),
        body: "All criteria met.".to_owned(),
        note: "score 9.91".to_owned(),
        author: author(),
    }
}

pub(super) fn merged(answer: MergeToBaseAnswer) -> CommitId {
    let MergeToBaseAnswer::Merged { commit, .. } = answer else { panic!("{answer:?}") };
    commit
}

#[tokio::test]
async fn base_tags_and_note_move_together_and_the_release_branch_stays() {
    let (world, operation) = ready().await;
    let base = operation.expected_base.clone();
    let answer = world.call(operation.clone()).await;
    let tags = vec![tag(), RefName::tag("release-v1.0.0").unwrap()];
    let commit = world.head(&branch("main"));
    assert_eq!(answer, MergeToBaseAnswer::Merged { commit: commit.clone(), tags: tags.clone() });
    let facts = world.facts(&commit).await;
    assert_eq!(facts.parents, [base, operation.head.clone()]);
    assert_eq!(facts.tree, operation.tree);
    assert!(facts.message.ends_with("\n\nPhasegate-Phase: uid-1\n"), "{}", facts.message);
    for name in &tags {
        assert_eq!(world.git(&["cat-file", "-t", name.as_str()]), "tag");
        assert_eq!(world.head(name), commit);
    }
    let note = world.git(&["notes", "--ref=phasegate", "show", commit.as_str()]);
    assert_eq!(note, "score 9.91\n\nPhasegate-Gate: team/hello-1\nPhasegate-Branch: release/phase-1-v1.0.0");
    assert_eq!(world.head(&release()), operation.head);
    world.git(&["fsck", "--strict"]);
}

#[tokio::test]
async fn a_redo_answers_the_same_and_moves_nothing() {
    let (world, operation) = ready().await;
    let first = world.call(operation.clone()).await;
    let before = world.refs();
    assert_eq!(world.call(operation.clone()).await, first);
    world.move_base("later", "1");
    assert_eq!(world.call(operation).await, first);
    assert_ne!(world.refs(), before);
    assert_eq!(world.head(&tag()), merged(first));
}

#[tokio::test]
async fn a_merge_cut_short_by_a_crash_is_completed() {
    let (world, operation) = ready().await;
    let first = world.call(operation.clone()).await;
    let whole = world.refs();
    for lost in [tag().as_str(), "refs/tags/release-v1.0.0"] {
        world.git(&["update-ref", "-d", lost]);
        assert_eq!(world.call(operation.clone()).await, first);
        assert_eq!(world.refs(), whole);
    }
    world.git(&["update-ref", "-d", GATE_NOTES]);
    world.git(&["update-ref", "-d", tag().as_str()]);
    assert_eq!(world.call(operation).await, first);
    assert_eq!(world.refs(), whole);
}

#[tokio::test]
async fn a_moved_base_is_told_and_nothing_moves() {
    let (world, operation) = ready().await;
    let base = world.move_base("b", "2");
    let before = world.refs();
    assert_eq!(world.call(operation.clone()).await, MergeToBaseAnswer::BaseMoved { base: base.clone() });
    let answer = world.call(MergeToBase { expected_base: base, ..operation }).await;
    assert!(matches!(&answer, MergeToBaseAnswer::NotReviewed { reason } if reason.contains("does not contain")));
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn a_tree_that_was_not_reviewed_never_reaches_the_base() {
    let (world, operation) = ready().await;
    let before = world.refs();
    let wrong_tree = MergeToBase { tree: world.tree(&operation.expected_base), ..operation.clone() };
    let unknown_tree = MergeToBase { tree: TreeId::new("1".repeat(40)).unwrap(), ..operation.clone() };
    let wrong_head = MergeToBase { head: operation.expected_base.clone(), ..operation.clone() };
    for refused in [wrong_tree, unknown_tree, wrong_head] {
        let answer = world.call(refused).await;
        assert!(matches!(answer, MergeToBaseAnswer::NotReviewed { .. }), "{answer:?}");
    }
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn work_that_came_in_after_the_review_stops_the_merge() {
    let (world, operation) = ready().await;
    let late = world.commit(&operation.head, "late", &[("late", Some("1"))]);
    world.call(integrate_of(&late, MergeKind::Squash, "t-late")).await;
    let answer = world.call(operation).await;
    assert!(matches!(&answer, MergeToBaseAnswer::NotReviewed { reason } if reason.contains("not at the reviewed")));
}

#[tokio::test]
async fn a_tag_that_is_taken_stops_the_merge_before_anything_moves() {
    let (world, operation) = ready().await;
    world.git(&["tag", "release-v1.0.0", operation.expected_base.as_str()]);
    let before = world.refs();
    let taken = MergeToBaseAnswer::TagTaken { tag: RefName::tag("release-v1.0.0").unwrap() };
    assert_eq!(world.call(operation).await, taken);
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn a_phase_made_anew_adopts_what_its_name_has_passed() {
    let (world, operation) = ready().await;
    let operation = MergeToBase { note: "Phase: team/hello-1\nScore: 9.91\n".to_owned(), ..operation };
    let commit = merged(world.call(operation).await);
    let adopted = ClaimReleaseAnswer::Adopted { commit, tag: tag(), score: Some("9.91".to_owned()) };
    assert_eq!(world.call(claim_of("uid-1")).await, adopted);
    assert_eq!(world.call(claim_of("uid-of-a-new-object")).await, adopted);
    let mut stranger = claim_of("uid-3");
    stranger.phase.name = "hello-2".to_owned();
    assert_eq!(world.call(stranger).await, ClaimReleaseAnswer::TagTaken { tag: tag() });
}

#[tokio::test]
async fn notes_of_earlier_phases_stay() {
    let (world, operation) = ready().await;
    let first = merged(world.call(operation).await);
    let mut claim = claim_of("uid-2");
    claim.phase.name = "hello-2".to_owned();
    claim.release = branch("release/phase-2-v2.0.0");
    claim.claim = RefName::new("refs/phasegate/claims/phase-2").unwrap();
    claim.tag = RefName::tag("phase-2-v2.0.0").unwrap();
    world.call(claim.clone()).await;
    let source = world.commit(&first, "b", &[("b", Some("2"))]);
    let work = Integrate { release: claim.release.clone(), ..integrate_of(&source, MergeKind::Squash, "t-b") };
    world.call(work).await;
    let head = world.head(&claim.release);
    let operation = MergeToBase {
        phase: claim.phase,
        release: claim.release,
        tree: world.tree(&head),
        head,
        expected_base: first.clone(),
        tags: vec![TagSpec { name: claim.tag, message: "phase 2".to_owned() }],
        note: "score 9.0".to_owned(),
        ..merge_of(&world, "uid-2")
    };
    let second = merged(world.call(operation).await);
    let show = |commit: &CommitId| world.git(&["notes", "--ref=phasegate", "show", commit.as_str()]);
    assert!(show(&first).starts_with("score 9.91"));
    assert!(show(&second).starts_with("score 9.0"));
    assert_eq!(world.git(&["rev-list", "--first-parent", "--count", "main"]), "3");
}

#[tokio::test]
async fn a_merge_needs_its_tag() {
    let (world, operation) = ready().await;
    let error = world.fail(MergeToBase { tags: Vec::new(), ..operation.clone() }).await;
    assert!(error.to_string().starts_with("invalid tags"), "{error}");
    let twice = MergeToBase { tags: vec![operation.tags[0].clone(), operation.tags[0].clone()], ..operation };
    assert!(matches!(world.call(twice).await, MergeToBaseAnswer::Merged { tags, .. } if tags.len() == 1));
}

#[tokio::test]
async fn git_reads_the_trailers_of_a_tag() {
    let (world, operation) = ready().await;
    let (head, tree) = (operation.head.to_string(), operation.tree.to_string());
    let passed = Passed { review: "hello-1-r1-1", score: "9.91", commit: &head, tree: &tree, evidence: "sha256:5e" };
    let message = tag_message(&Line::Phase(1), "1.0.0", "hello-1", &passed);
    let tags = vec![TagSpec { name: tag(), message }];
    merged(world.call(MergeToBase { tags, ..operation }).await);
    let read = |format: &str| world.git(&["for-each-ref", &format!("--format={format}"), tag().as_str()]);
    let expected = format!("Review: hello-1-r1-1\nScore: 9.91\nCommit: {head}\nTree: {tree}\nEvidence: sha256:5e");
    assert_eq!(read("%(contents:trailers)").trim_end(), expected);
    assert_eq!(read("%(contents:subject)"), "phase 1 v1.0.0");
    assert_eq!(
        world.git(&["rev-parse", "phase-1-v1.0.0^{commit}^2", "phase-1-v1.0.0^{tree}"]),
        format!("{head}\n{tree}")
    );
}
