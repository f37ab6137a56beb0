//! Repositories come into being whole, and a volume is clean after a crash.

use super::support::*;
use crate::git::{
    names::{CommitId, RefName},
    ops::*,
    store::{Store, StoreError},
};

fn ensure(upstream: bool) -> EnsureRepository {
    EnsureRepository { base: branch("main"), upstream }
}

#[tokio::test]
async fn a_new_repository_starts_with_the_same_empty_commit_everywhere() {
    let (one, two) = (World::empty().await, World::empty().await);
    let first = one.call(ensure(false)).await;
    assert_eq!(first, two.call(ensure(false)).await);
    let EnsureRepositoryAnswer::Ready { base } = first else { panic!("{first:?}") };
    assert_eq!(one.git(&["ls-tree", "-r", base.as_str()]), "");
    assert_eq!(one.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
}

#[tokio::test]
async fn ensuring_again_keeps_what_is_there() {
    let world = World::new().await;
    let moved = world.move_base("a", "1");
    let before = world.refs();
    assert_eq!(world.call(ensure(false)).await, EnsureRepositoryAnswer::Ready { base: moved });
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn with_an_upstream_the_base_starts_there_and_not_before() {
    let world = World::empty().await;
    assert_eq!(world.call(ensure(true)).await, EnsureRepositoryAnswer::AwaitingUpstream);
    assert_eq!(world.call(ensure(true)).await, EnsureRepositoryAnswer::AwaitingUpstream);
    assert_eq!(world.refs(), "");
    let tree = world.git(&["mktree", "--missing"]);
    let theirs = CommitId::new(world.git(&["commit-tree", &tree, "-m", "theirs"])).unwrap();
    world.move_ref(&RefName::new("refs/upstream/heads/main").unwrap(), &theirs);
    assert_eq!(world.call(ensure(true)).await, EnsureRepositoryAnswer::Ready { base: theirs.clone() });
    let newer = world.commit(&theirs, "newer", &[("a", Some("1"))]);
    world.move_ref(&RefName::new("refs/upstream/heads/main").unwrap(), &newer);
    assert_eq!(world.call(ensure(true)).await, EnsureRepositoryAnswer::Ready { base: theirs });
}

#[tokio::test]
async fn a_base_branch_inside_the_flow_is_refused() {
    let world = World::empty().await;
    let error = world.fail(EnsureRepository { base: branch("release/x"), upstream: false }).await;
    assert!(matches!(error, StoreError::Invalid { field: "base", .. }), "{error}");
    assert!(!world.store.repo(&world.id).exists());
}

#[tokio::test]
async fn an_operation_on_a_repository_that_is_not_there_says_so() {
    let error = World::empty().await.fail(claim_of("uid-1")).await;
    assert_eq!(
        error.to_string(),
        "failed to find the repository in team/hello; its Repository object must be reconciled first"
    );
}

#[tokio::test]
async fn opening_a_volume_clears_what_a_killed_process_left() {
    let world = World::claimed().await;
    let dir = world.store.repo(&world.id).dir().to_owned();
    let root = world.store.root().to_owned();
    let left = [
        dir.join("packed-refs.lock"),
        dir.join("HEAD.lock"),
        dir.join("refs/heads/main.lock"),
        dir.join("refs/heads/release/phase-1-v1.0.0.lock"),
    ];
    for path in &left {
        std::fs::write(path, "").unwrap();
    }
    std::fs::create_dir_all(root.join("team/.unfinished-other")).unwrap();
    std::fs::create_dir_all(dir.join("objects/tmp_objdir-incoming-x")).unwrap();
    let foreign = root.join("lost+found/x.git/refs/a.lock");
    std::fs::create_dir_all(foreign.parent().unwrap()).unwrap();
    std::fs::write(&foreign, "").unwrap();
    let before = world.refs();
    Store::open(&root).await.unwrap();
    assert!(foreign.exists());
    assert!(left.iter().all(|path| !path.exists()));
    assert!(!root.join("team/.unfinished-other").exists());
    assert!(!dir.join("objects/tmp_objdir-incoming-x").exists());
    assert_eq!(world.refs(), before);
    let source = world.commit(&world.head(&release()), "w", &[("a", Some("1"))]);
    world.call(integrate_of(&source, MergeKind::Squash, "t-1")).await;
}

#[tokio::test]
async fn a_repository_left_half_made_is_made_anew() {
    let world = World::empty().await;
    let half = world.store.root().join("team/.unfinished-hello");
    std::fs::create_dir_all(half.join("junk")).unwrap();
    assert!(matches!(world.call(ensure(false)).await, EnsureRepositoryAnswer::Ready { .. }));
    assert!(!half.exists());
}

#[tokio::test]
async fn a_lock_of_a_git_process_that_was_killed_alone_is_removed_once_it_is_old() {
    let world = World::claimed().await;
    let lock = world.store.repo(&world.id).dir().join("refs/heads/release/phase-1-v1.0.0.lock");
    let source = world.commit(&world.head(&release()), "w", &[("a", Some("1"))]);
    let work = integrate_of(&source, MergeKind::Squash, "t-1");
    std::fs::write(&lock, "").unwrap();
    let error = world.fail(work.clone()).await;
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    assert!(lock.exists());
    let old = std::time::SystemTime::now() - std::time::Duration::from_mins(6);
    std::fs::File::options().write(true).open(&lock).unwrap().set_modified(old).unwrap();
    assert!(matches!(world.fail(work.clone()).await, StoreError::Busy { .. }));
    assert!(matches!(world.call(work).await, IntegrateAnswer::Integrated { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_go_on_while_garbage_is_collected() {
    let world = World::claimed().await;
    let base = world.head(&branch("main"));
    let dir = world.store.repo(&world.id).dir().to_owned();
    let done = tokio_util::sync::CancellationToken::new();
    let collecting = tokio::spawn({
        let done = done.clone();
        async move {
            let mut times = 0;
            while !done.is_cancelled() {
                crate::git::upkeep::collect(&dir).await.unwrap();
                times += 1;
            }
            times
        }
    });
    for number in 0..40 {
        let name = format!("t-{number}");
        let source = world.commit(&base, &name, &[(&name, Some("1"))]);
        let work = integrate_of(&source, MergeKind::Squash, &name);
        assert!(matches!(world.call(work).await, IntegrateAnswer::Integrated { .. }));
    }
    done.cancel();
    assert!(collecting.await.unwrap() > 0);
    assert_eq!(world.git(&["rev-list", "--count", &format!("{base}..{}", release())]), "40");
    world.git(&["fsck", "--full", "--strict"]);
}
