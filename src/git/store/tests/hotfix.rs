//! Hotfixes beside phases: two lines of work to one base branch.

use super::{merge_to_base::merged, support::*};
use crate::git::{
    flow::{Line, Passed, completion_title, tag_message},
    names::{CommitId, RefName},
    ops::*,
};

fn login() -> Line {
    Line::Hotfix("login".to_owned())
}

fn key(uid: &str, name: &str) -> PhaseKey {
    PhaseKey { name: name.to_owned(), ..phase(uid) }
}

fn claim(uid: &str, name: &str, version: &str) -> ClaimRelease {
    ClaimRelease {
        phase: key(uid, name),
        release: login().release_branch(version).unwrap(),
        base: branch("main"),
        upstream: None,
        claim: login().claim().unwrap(),
        tag: login().completion_tag(version).unwrap(),
        reapply: None,
    }
}

/// Claims it, works and merges, as the hotfix of that Phase.
async fn deliver(world: &World, claim: ClaimRelease, file: &str) -> CommitId {
    let answer = world.call(claim.clone()).await;
    let ClaimReleaseAnswer::Claimed { head, .. } = answer else { panic!("{answer:?}") };
    let source = world.commit(&head, file, &[(file, Some("mended"))]);
    let work = integrate_of(&source, MergeKind::Squash, file);
    let answer = world.call(Integrate { release: claim.release.clone(), ..work }).await;
    assert!(matches!(answer, IntegrateAnswer::Integrated { .. }), "{answer:?}");
    merged(world.call(merge(world, &claim)).await)
}

fn merge(world: &World, claim: &ClaimRelease) -> MergeToBase {
    let head = world.head(&claim.release);
    let (line, version) = (login(), claim.tag.short().trim_start_matches("release-v"));
    let passed = Passed { review: "r", score: "9.91", commit: head.as_str(), tree: "t", evidence: "sha256:5e" };
    MergeToBase {
        phase: claim.phase.clone(),
        release: claim.release.clone(),
        rolls_back: None,
        pushed: None,
        tree: world.tree(&head),
        head: head.clone(),
        base: branch("main"),
        expected_base: world.head(&branch("main")),
        upstream: None,
        tags: vec![TagSpec { name: claim.tag.clone(), message: tag_message(&line, version, "login", &passed) }],
        title: completion_title(&line, version, ""),
        body: String::new(),
        note: passed.trailers(),
        author: author(),
    }
}

#[tokio::test]
async fn a_phase_that_a_hotfix_passed_takes_it_in_before_it_is_merged() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let source = world.commit(&base, "a", &[("a", Some("1"))]);
    world.call(integrate_of(&source, MergeKind::Squash, "t-a")).await;
    world.call(integrate_base()).await;
    let approved = super::merge_to_base::merge_of(&world, "uid-1");

    let hotfix = deliver(&world, claim("uid-h", "login", "1.0.1"), "fix").await;
    assert_eq!(world.head(&branch("main")), hotfix);
    assert_eq!(world.head(&RefName::tag("release-v1.0.1").unwrap()), hotfix);
    assert!(world.git(&["show", "-s", "--format=%s", "main"]).contains("hotfix login v1.0.1"));

    let before = world.refs();
    assert_eq!(world.call(approved).await, MergeToBaseAnswer::BaseMoved { base: hotfix.clone() });
    assert_eq!(world.refs(), before, "what was approved before is not merged");
    let answer = world.call(integrate_base()).await;
    let IntegrateBaseAnswer::Integrated { head, base, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(base, hotfix);
    let commit = merged(world.call(super::merge_to_base::merge_of(&world, "uid-1")).await);
    assert_eq!(world.tree(&commit), world.tree(&head));
    assert_eq!(world.git(&["ls-tree", "--name-only", "main"]), "a\nfix");
    assert_eq!(world.git(&["rev-list", "--first-parent", "--count", "main"]), "3");
}

#[tokio::test]
async fn a_redo_of_a_hotfix_moves_nothing_and_its_phase_made_anew_adopts_it() {
    let world = World::new().await;
    let claim = claim("uid-h", "login", "1.0.1");
    let commit = deliver(&world, claim.clone(), "fix").await;
    let before = world.refs();
    let again =
        MergeToBase { expected_base: world.git(&["rev-parse", "main^"]).parse().unwrap(), ..merge(&world, &claim) };
    assert_eq!(merged(world.call(again).await), commit);
    let anew = ClaimRelease { phase: key("uid-new", "login"), ..claim };
    let adopted = ClaimReleaseAnswer::Adopted { commit, tag: anew.tag.clone(), score: Some("9.91".to_owned()) };
    assert_eq!(world.call(anew).await, adopted);
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn a_name_that_is_used_again_starts_afresh_and_what_was_there_is_archived() {
    let world = World::new().await;
    deliver(&world, claim("uid-h", "login", "1.0.1"), "fix").await;
    let old = world.head(&branch("hotfix/login"));
    let second = claim("uid-2", "login-again", "1.0.2");
    let taken = ClaimReleaseAnswer::NumberTaken { by: Some(key("uid-h", "login")) };
    assert_eq!(world.call(second.clone()).await, taken, "while its first owner is there");
    world.call(ArchiveRefs { owner_uid: "uid-h".to_owned(), refs: login().owned().unwrap() }).await;
    let main = world.head(&branch("main"));
    let started = ClaimReleaseAnswer::Claimed { head: main.clone(), base: main, works: Works::new() };
    assert_eq!(world.call(second).await, started);
    assert_eq!(world.head(&RefName::new("refs/phasegate/archive/uid-h/heads/hotfix/login").unwrap()), old);
}

#[tokio::test]
async fn a_hotfix_does_not_adopt_the_release_of_a_phase_that_had_its_name() {
    let world = World::claimed().await;
    let source = world.commit(&world.head(&branch("main")), "a", &[("a", Some("1"))]);
    world.call(integrate_of(&source, MergeKind::Squash, "t-a")).await;
    merged(world.call(super::merge_to_base::merge_of(&world, "uid-1")).await);
    // Of the same namespace and name as the phase that made release-v1.0.0.
    let hotfix = claim("uid-h", "hello-1", "1.0.0");
    let tag = RefName::tag("release-v1.0.0").unwrap();
    assert_eq!(world.call(hotfix).await, ClaimReleaseAnswer::TagTaken { tag });
}

#[tokio::test]
async fn what_is_asked_of_a_merged_hotfix_is_answered_with_its_own_tag() {
    let world = World::new().await;
    let claim = claim("uid-1", "login", "1.0.1");
    world.call(claim.clone()).await;
    let source = world.commit(&world.head(&branch("main")), "fix", &[("fix", Some("mended"))]);
    let work = Integrate { release: claim.release.clone(), ..integrate_of(&source, MergeKind::Squash, "fix") };
    world.call(work.clone()).await;
    let mut operation = merge(&world, &claim);
    let milestone = RefName::tag("milestone-first-v1.0.1").unwrap();
    operation.tags.push(TagSpec { name: milestone, message: "m".to_owned() });
    let commit = merged(world.call(operation).await);
    let answer = world.call(IntegrateBase { release: claim.release, ..integrate_base() }).await;
    let IntegrateBaseAnswer::Merged(before) = answer else { panic!("{answer:?}") };
    assert_eq!((before.commit, before.tag, before.score), (commit, Some(claim.tag), Some("9.91".to_owned())));
}

/// The branch of a hotfix has one name for all versions.
#[tokio::test]
async fn a_hotfix_is_taken_back_and_delivered_again_on_the_same_branch() {
    let world = World::new().await;
    let before = world.git(&["rev-parse", "main^{tree}"]);
    let first = claim("uid-h", "login", "1.0.1");
    let merge_commit = deliver(&world, first.clone(), "fix").await;
    let revert = Revert {
        phase: first.phase.clone(),
        merge: merge_commit.clone(),
        base: branch("main"),
        upstream: None,
        branch: login().rollback_branch(&first.tag).unwrap(),
        order: "order-1".to_owned(),
        give_up: false,
        title: "Revert release-v1.0.1".to_owned(),
        author: author(),
    };
    let answer = world.call(revert.clone()).await;
    let RevertAnswer::Reverted { commit, tree, base } = answer else { panic!("{answer:?}") };
    let back = MergeToBase {
        release: revert.branch,
        rolls_back: Some(merge_commit.clone()),
        pushed: None,
        head: commit,
        tree,
        expected_base: base,
        tags: Vec::new(),
        ..merge(&world, &first)
    };
    let rollback = merged(world.call(back).await);
    assert_eq!(world.git(&["rev-parse", "main^{tree}"]), before);
    let gone = ClaimReleaseAnswer::RolledBack {
        commit: merge_commit.clone(),
        tag: first.tag.clone(),
        rollback: rollback.clone(),
    };
    assert_eq!(world.call(first.clone()).await, gone, "the old version is not adopted");

    let reapply = Some(Reapply { rollback, title: "Reapply release-v1.0.1".to_owned(), author: author() });
    let raised = ClaimRelease { reapply, ..claim("uid-h", "login", "1.0.2") };
    let answer = world.call(raised.clone()).await;
    assert!(matches!(answer, ClaimReleaseAnswer::Claimed { .. }), "{answer:?}");
    let again = merged(world.call(merge(&world, &raised)).await);
    assert_eq!(world.git(&["show", "main:fix"]), "mended");
    assert_eq!((world.head(&first.tag), world.head(&raised.tag)), (merge_commit, again));
}
