//! The API server was restored from a backup that is older than the repository: what git says stands.

use super::{merge_to_base, rollback, support::*};
use crate::git::{names::CommitId, ops::*};

/// Another run of the same work, made because the record of the first is lost.
fn redone(source: &CommitId) -> Integrate {
    Integrate {
        task_uid: "made-anew".to_owned(),
        work: "hello-1.t-a.1.1".to_owned(),
        ..integrate_of(source, MergeKind::Squash, "t-a")
    }
}

#[tokio::test]
async fn work_that_is_in_is_not_brought_in_again() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let first = world.commit(&base, "a", &[("a", Some("1"))]);
    let was = world.call(integrate_of(&first, MergeKind::Squash, "t-a")).await;
    let again = world.commit(&base, "a", &[("a", Some("another way"))]);
    assert_eq!(world.call(redone(&again)).await, was);
    assert_eq!(world.file(&world.head(&release()), "a"), "1");
}

#[tokio::test]
async fn other_work_and_what_a_person_pushed_come_in() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    world.call(integrate_of(&world.commit(&base, "a", &[("a", Some("1"))]), MergeKind::Squash, "t-a")).await;
    let other =
        Integrate { work: "hello-1.t-a.1.2".to_owned(), ..redone(&world.commit(&base, "b", &[("b", Some("2"))])) };
    let pushed = Integrate {
        work: String::new(),
        task_uid: "pushed".to_owned(),
        ..redone(&world.commit(&base, "c", &[("c", Some("3"))]))
    };
    let of_another = Integrate {
        phase_uid: "uid-2".to_owned(),
        task_uid: "of-another".to_owned(),
        ..redone(&world.commit(&base, "d", &[("d", Some("4"))]))
    };
    for operation in [other, pushed, of_another] {
        let answer = world.call(operation).await;
        assert!(matches!(answer, IntegrateAnswer::Integrated { .. }), "{answer:?}");
    }
    let head = world.head(&release());
    assert_eq!(["a", "b", "c", "d"].map(|path| world.file(&head, path)), ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn what_a_release_branch_holds_is_told_to_its_phase_alone() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let mut works = Works::new();
    for task in ["t-a", "t-b"] {
        let source = world.commit(&base, task, &[(task, Some("1"))]);
        let answer = world.call(integrate_of(&source, MergeKind::Squash, task)).await;
        let IntegrateAnswer::Integrated { commit, works: told, .. } = answer else { panic!("{answer:?}") };
        works.insert(format!("hello-1.{task}.1.1"), commit);
        assert_eq!(told, works);
    }
    let of_another = Integrate {
        phase_uid: "uid-2".to_owned(),
        ..integrate_of(&world.commit(&base, "c", &[("c", Some("1"))]), MergeKind::Squash, "t-c")
    };
    world.call(of_another).await;
    let answer = world.call(claim_of("uid-1")).await;
    let ClaimReleaseAnswer::Claimed { works: told, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(told, works);
}

#[tokio::test]
async fn a_phase_that_was_merged_gets_no_more_work_and_no_other_review() {
    let (world, merge) = rollback::passed().await;
    world.move_base("elsewhere", "1");
    let before = world.refs();
    let source = world.commit(&world.head(&release()), "a", &[("a", Some("2"))]);
    let found = MergedBefore { commit: merge, tag: Some(tag()), score: None, rollback: None };
    assert_eq!(world.call(redone(&source)).await, IntegrateAnswer::Merged(found.clone()));
    assert_eq!(world.call(integrate_base()).await, IntegrateBaseAnswer::Merged(found));
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn one_that_was_rolled_back_since_says_so() {
    let (world, merge) = rollback::passed().await;
    let operation = rollback::rollback_of(&world, &merge).await;
    let rollback = merge_to_base::merged(world.call(operation).await);
    let answer = world.call(integrate_base()).await;
    let found = MergedBefore { commit: merge, tag: Some(tag()), score: None, rollback: Some(rollback) };
    assert_eq!(answer, IntegrateBaseAnswer::Merged(found));
}

#[tokio::test]
async fn a_branch_without_work_is_not_a_merged_one() {
    let world = World::claimed().await;
    world.move_base("b", "2");
    let answer = world.call(integrate_base()).await;
    assert!(matches!(answer, IntegrateBaseAnswer::Integrated { .. }), "{answer:?}");
}

#[tokio::test]
async fn a_merge_of_another_phase_is_not_this_phases() {
    let (world, _) = rollback::passed().await;
    world.move_base("elsewhere", "1");
    let operation = IntegrateBase { phase_uid: "uid-2".to_owned(), ..integrate_base() };
    let answer = world.call(operation).await;
    assert!(matches!(answer, IntegrateBaseAnswer::Integrated { .. }), "{answer:?}");
}
