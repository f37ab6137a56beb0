//! A crash in the midst of a reference transaction. Git's file store writes references one by one, so that a kill may
//! leave any beginning of them, a power cut any part. Whatever was left, doing the operation again comes to the same end.

use std::collections::BTreeMap;

use super::{merge_to_base, rollback, support::*};
use crate::git::{flow::Line, ops::*, store::Execute};

type Refs = BTreeMap<String, String>;

fn refs(world: &World) -> Refs {
    let pairs = |line: &str| line.split_once(' ').map(|(name, id)| (name.to_owned(), id.to_owned()));
    world.refs().lines().filter_map(pairs).collect()
}

/// Puts every reference of `names` where `target` has it, or removes it.
fn put<'a>(world: &World, names: impl IntoIterator<Item = &'a String>, target: &Refs) {
    for name in names {
        match target.get(name) {
            Some(id) => drop(world.git(&["update-ref", name, id])),
            None => drop(world.git(&["update-ref", "-d", name])),
        }
    }
}

/// Runs the operation, then again from every part of its changes that `possible` lets through.
async fn survives<O>(world: &World, operation: O, possible: impl Fn(&[&String]) -> bool)
where
    O: Execute + Clone,
    O::Answer: std::fmt::Debug + PartialEq,
{
    let before = refs(world);
    let answer = world.call(operation.clone()).await;
    let after = refs(world);
    let names = before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name));
    let mut changed: Vec<&String> = names.collect();
    changed.sort_unstable();
    changed.dedup();
    assert!(!changed.is_empty());
    let mut tried = 0;
    for mask in 0..1_u32 << changed.len() {
        let part: Vec<&String> =
            changed.iter().enumerate().filter(|(n, _)| mask >> n & 1 == 1).map(|(_, n)| *n).collect();
        if !possible(&part) {
            continue;
        }
        put(world, changed.iter().copied(), &before);
        put(world, part.iter().copied(), &after);
        assert_eq!(world.call(operation.clone()).await, answer, "after {part:?}");
        assert_eq!(refs(world), after, "after {part:?}");
        tried += 1;
    }
    assert!(tried > 1);
}

#[tokio::test]
async fn a_claim_comes_to_the_same_end() {
    let world = World::new().await;
    // The claim is written first, and nothing but a whole claim may take a branch.
    let release = release();
    survives(&world, claim_of("uid-1"), |part| part.len() != 1 || part[0] != release.as_str()).await;
}

#[tokio::test]
async fn an_integration_comes_to_the_same_end() {
    let world = World::claimed().await;
    let source = world.commit(&world.head(&branch("main")), "a", &[("a", Some("1"))]);
    survives(&world, integrate_of(&source, MergeKind::Merge, "t-a"), |_| true).await;
    world.move_base("b", "2");
    let head = |world: &World| world.head(&release());
    let before = head(&world);
    world.call(integrate_base()).await;
    let after = head(&world);
    world.move_ref(&release(), &before);
    world.call(integrate_base()).await;
    assert_eq!(head(&world), after);
}

#[tokio::test]
async fn a_merge_to_base_comes_to_the_same_end_from_every_part_of_it() {
    let (world, operation) = merge_to_base::ready().await;
    survives(&world, operation, |_| true).await;
}

#[tokio::test]
async fn a_rollback_comes_to_the_same_end_from_every_part_of_it() {
    let (world, merge) = rollback::passed().await;
    let order = "another".to_owned();
    let given_up = Revert { give_up: true, order: order.clone(), ..rollback::revert_of(&merge) };
    world.call(Revert { order, ..rollback::revert_of(&merge) }).await;
    survives(&world, given_up, |_| true).await;
    survives(&world, rollback::revert_of(&merge), |_| true).await;
    let operation = rollback::rollback_of(&world, &merge).await;
    survives(&world, operation, |_| true).await;
    survives(&world, rollback::raised(&world, &merge).await, |_| true).await;
}

#[tokio::test]
async fn an_archiving_cut_short_leaves_a_number_that_can_be_claimed() {
    let world = World::claimed().await;
    let source = world.commit(&world.head(&branch("main")), "a", &[("a", Some("1"))]);
    world.call(integrate_of(&source, MergeKind::Squash, "t-a")).await;
    let left = world.head(&release());
    let archive = ArchiveRefs { owner_uid: "uid-1".to_owned(), refs: Line::Phase(1).owned().unwrap() };
    world.call(archive).await;
    world.move_ref(&release(), &left);
    let base = world.head(&branch("main"));
    assert_eq!(
        world.call(claim_of("uid-2")).await,
        ClaimReleaseAnswer::Claimed { head: base.clone(), base: base.clone(), works: Works::new() }
    );
    assert_eq!(world.head(&release()), base);
    assert!(world.refs().contains(left.as_str()));
}
