//! Claims of release branches, and their archive.

use super::support::*;
use crate::git::{flow::Line, names::RefName, ops::*, store::StoreError};

#[tokio::test]
async fn a_claim_starts_the_release_branch_at_the_base_and_a_redo_finds_it() {
    let world = World::new().await;
    let base = world.head(&branch("main"));
    let claimed = ClaimReleaseAnswer::Claimed { head: base.clone(), base: base.clone(), works: Works::new() };
    assert_eq!(world.call(claim_of("uid-1")).await, claimed);
    let before = world.refs();
    assert_eq!(world.call(claim_of("uid-1")).await, claimed);
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn a_redo_after_work_and_a_moved_base_tells_where_both_are() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let source = world.commit(&base, "w", &[("a", Some("1"))]);
    let answer = world.call(integrate_of(&source, MergeKind::Squash, "t-1")).await;
    let IntegrateAnswer::Integrated { head, commit, works, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(works, Works::from([("hello-1.t-1.1.1".to_owned(), commit)]));
    world.move_base("b", "2");
    assert_eq!(world.call(claim_of("uid-1")).await, ClaimReleaseAnswer::Claimed { head, base, works });
}

#[tokio::test]
async fn a_number_another_phase_holds_is_taken() {
    let world = World::claimed().await;
    let before = world.refs();
    let taken = ClaimReleaseAnswer::NumberTaken { by: Some(phase("uid-1")) };
    assert_eq!(world.call(claim_of("uid-2")).await, taken);
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn a_release_branch_without_a_claim_is_nobodys_to_take() {
    let world = World::new().await;
    world.move_ref(&release(), &world.head(&branch("main")));
    assert_eq!(world.call(claim_of("uid-1")).await, ClaimReleaseAnswer::NumberTaken { by: None });
}

#[tokio::test]
async fn a_claim_cut_short_by_a_crash_is_completed() {
    let world = World::claimed().await;
    world.git(&["update-ref", "-d", release().as_str()]);
    let base = world.head(&branch("main"));
    assert_eq!(
        world.call(claim_of("uid-1")).await,
        ClaimReleaseAnswer::Claimed { head: base.clone(), base, works: Works::new() }
    );
    assert!(world.refs().contains(release().as_str()));
}

#[tokio::test]
async fn a_raised_version_keeps_the_claim_and_gets_a_branch_of_its_own() {
    let world = World::claimed().await;
    let raised = ClaimRelease {
        release: branch("release/phase-1-v1.0.1"),
        tag: RefName::tag("phase-1-v1.0.1").unwrap(),
        ..claim_of("uid-1")
    };
    assert!(matches!(world.call(raised).await, ClaimReleaseAnswer::Claimed { .. }));
    assert_eq!(world.head(&branch("release/phase-1-v1.0.1")), world.head(&branch("main")));
}

#[tokio::test]
async fn a_tag_that_is_not_ours_is_named_before_any_work() {
    let world = World::new().await;
    world.git(&["tag", "-a", "-m", "not ours", tag().short(), "main"]);
    assert_eq!(world.call(claim_of("uid-1")).await, ClaimReleaseAnswer::TagTaken { tag: tag() });
}

#[tokio::test]
async fn names_that_belong_elsewhere_are_refused() {
    let world = World::new().await;
    let refused = [
        ClaimRelease { release: branch("main"), ..claim_of("u") },
        ClaimRelease { claim: branch("main"), ..claim_of("u") },
        ClaimRelease { tag: branch("main"), ..claim_of("u") },
        ClaimRelease { base: release(), ..claim_of("u") },
        claim_of("u\nPhasegate-Phase: x"),
        claim_of(""),
    ];
    let before = world.refs();
    for operation in refused {
        let error = world.fail(operation.clone()).await;
        assert!(matches!(error, StoreError::Invalid { .. }), "{operation:?}: {error}");
    }
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn what_a_gone_phase_owned_is_archived_and_its_number_is_free() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let kept = ["feature/phase-11-a", "bugfix/phase-2-review-1"].map(branch);
    for name in kept.iter().chain(&["feature/phase-1-a", "bugfix/phase-1-review-1"].map(branch)) {
        world.move_ref(name, &base);
    }
    let archive = ArchiveRefs { owner_uid: "uid-1".to_owned(), refs: Line::Phase(1).owned().unwrap() };
    let answer = world.call(archive.clone()).await;
    assert_eq!(answer.archived.len(), 4, "{answer:?}");
    assert!(world.refs().contains("refs/phasegate/archive/uid-1/heads/release/phase-1-v1.0.0"));
    assert!(kept.iter().all(|name| world.refs().contains(name.as_str())));
    assert!(world.call(Claims {}).await.claims.is_empty());
    assert!(world.call(archive).await.archived.is_empty());
    assert!(matches!(world.call(claim_of("uid-2")).await, ClaimReleaseAnswer::Claimed { .. }));
    let claims = world.call(Claims {}).await.claims;
    assert_eq!(claims.into_values().collect::<Vec<_>>(), [phase("uid-2")]);
}

#[tokio::test]
async fn an_operator_that_was_held_up_archives_nothing_of_who_has_the_number_by_now() {
    let world = World::claimed().await;
    let archive = ArchiveRefs { owner_uid: "uid-1".to_owned(), refs: Line::Phase(1).owned().unwrap() };
    assert!(!world.call(archive.clone()).await.archived.is_empty());
    assert!(matches!(world.call(claim_of("uid-2")).await, ClaimReleaseAnswer::Claimed { .. }));
    let before = world.refs();
    assert!(world.call(archive).await.archived.is_empty());
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn an_archived_name_that_comes_again_keeps_both() {
    let world = World::new().await;
    let base = world.head(&branch("main"));
    let newer = world.commit(&base, "w", &[("a", Some("1"))]);
    let name = branch("feature/phase-1-a");
    let archive = ArchiveRefs { owner_uid: "uid-1".to_owned(), refs: vec![name.clone()] };
    for commit in [&base, &newer, &newer] {
        world.move_ref(&name, commit);
        assert_eq!(world.call(archive.clone()).await.archived.len(), 1);
    }
    let kept = world.git(&["for-each-ref", "--format=%(objectname)", "refs/phasegate/archive"]);
    let mut kept: Vec<_> = kept.lines().collect();
    kept.sort_unstable();
    let mut expected = [base.as_str(), newer.as_str()];
    expected.sort_unstable();
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn main_tags_and_notes_are_never_archived() {
    let world = World::new().await;
    for name in ["refs/heads/main", "refs/tags/x", "refs/notes/phasegate", "refs/phasegate/archive/a", "refs/heads"] {
        let archive = ArchiveRefs { owner_uid: "u".to_owned(), refs: vec![RefName::new(name).unwrap()] };
        let error = world.fail(archive).await;
        assert!(matches!(error, StoreError::Invalid { field: "refs", .. }), "{error}");
    }
}
