//! A task whose work did not merge: what its agent finds, and what it may hand in.

use serde_json::json;

use super::*;
use crate::{api::conflict::TaskConflict, runner::world::git};

const BRANCH: &str = "refs/heads/bugfix/phase-1-review-2";

/// Both changed `greet.py`; `fine` merges, `logo` is no text.
async fn world() -> World {
    world_with("OwnWork").await
}

async fn world_with(with: &str) -> World {
    let world = World::new(Role::Developer).await;
    let start = world.commit("start", |work| std::fs::write(work.join("logo"), b"a\0").unwrap());
    let integrated = world.commit("integrated", |work| {
        std::fs::write(work.join("greet.py"), "print('good morning')\n").unwrap();
        std::fs::write(work.join("logo"), b"b\0").unwrap();
    });
    let work = world.dir().join("seed");
    git(&work, &["checkout", "-q", &start]);
    let own = world.commit("own", |work| {
        std::fs::write(work.join("greet.py"), "print('good evening')\n").unwrap();
        std::fs::write(work.join("fine"), "1\n").unwrap();
        std::fs::write(work.join("logo"), b"c\0").unwrap();
    });
    let conflict: TaskConflict = serde_json::from_value(json!({"with": with, "commit": own, "total": 2})).unwrap();
    world.assign(|assignment| {
        assignment.commit = Some(integrated);
        assignment.conflict = Some(conflict);
        assignment.brief.as_mut().unwrap().findings.clear();
    });
    world
}

fn read(world: &World, path: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(world.places.workspace.join(path)).unwrap()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_tree_starts_with_the_merge_and_both_sides_are_branches() {
    let pod = Pod::of(world().await).await;
    let world = &pod.world;
    let text = read(world, "greet.py");
    assert!(text.starts_with("<<<<<<< integrated\nprint('good morning')\n|||||||"), "{text}");
    assert!(text.ends_with("print('hello')\n=======\nprint('good evening')\n>>>>>>> own-work\n"), "{text}");
    assert_eq!((read(world, "fine").as_str(), read(world, "logo").as_str()), ("1\n", "b\0"));
    let workspace = &world.places.workspace;
    assert_eq!(git(workspace, &["show", "own-work:greet.py"]), "print('good evening')\n");
    assert_eq!(git(workspace, &["diff", "--name-only", "own-work...integrated"]), "greet.py\nlogo\n");
    assert_eq!(git(workspace, &["status", "--porcelain"]), " M greet.py\n?? fine\n");
    let task = std::fs::read_to_string(world.places.brief.join("task.md")).unwrap();
    assert!(task.contains("## The merge to make"), "{task}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_branch_is_the_other_side_likewise() {
    let pod = Pod::of(world_with("BaseBranch").await).await;
    let text = read(&pod.world, "greet.py");
    assert!(text.ends_with("=======\nprint('good evening')\n>>>>>>> base-branch\n"), "{text}");
    assert_eq!(git(&pod.world.places.workspace, &["show", "base-branch:fine"]), "1\n");
    let said = pod.agent().await.refused("submit_work", json!({"summary": "s"})).await;
    assert!(said.starts_with("conflict markers are left in greet.py; resolve each"), "{said}");
    pod.world.write("greet.py", "print('good day')\n");
    pod.agent().await.accepted("submit_work", json!({"summary": "s"})).await;
    assert_eq!(pod.world.file(&pod.world.head(BRANCH), "fine"), "1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_are_refused_by_name_and_a_resolved_merge_is_one_commit_on_what_is_integrated() {
    let pod = Pod::of(world().await).await;
    let agent = pod.agent().await;
    let said = agent.refused("submit_work", json!({"summary": "s"})).await;
    assert!(said.starts_with("conflict markers are left in greet.py; resolve each"), "{said}");
    pod.world.write("greet.py", "=======\nprint('good day')\n");
    let done = agent.accepted("submit_work", json!({"summary": "s"})).await;
    let commit = done["commit"].as_str().unwrap();
    assert_eq!(pod.world.head(BRANCH), commit);
    let parents = git(&pod.world.bare(), &["log", "-1", "--format=%P", commit]);
    assert_eq!(parents.trim(), pod.world.head("refs/heads/integrated"));
    assert_eq!(pod.world.file(commit, "fine"), "1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_end_with_markers_hands_nothing_in_and_says_why() {
    let pod = Pod::of(world().await).await;
    pod.world.write("other.py", "1");
    pod.world.ended(0, "done");
    let delivery = pod.end().await.operator.delivery();
    assert_eq!((delivery.changed, delivery.refused, &delivery.commit), (true, true, &None));
    assert!(delivery.message.starts_with("conflict markers are left in greet.py"), "{}", delivery.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_end_that_touched_nothing_is_no_change() {
    let pod = Pod::of(world().await).await;
    pod.world.ended(0, "");
    let delivery = pod.end().await.operator.delivery();
    assert_eq!((delivery.changed, delivery.refused, &delivery.commit), (false, false, &None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_may_end_in_favour_of_what_is_integrated() {
    let pod = Pod::of(world().await).await;
    git(&pod.world.places.workspace, &["checkout", "-q", "."]);
    git(&pod.world.places.workspace, &["clean", "-fdq"]);
    pod.agent().await.accepted("submit_work", json!({"summary": "theirs is better"})).await;
    assert_eq!(pod.world.file(&pod.world.head(BRANCH), "greet.py"), "print('good morning')\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_merges_by_now_is_handed_in_as_it_is() {
    let world = world().await;
    let own = world.commit("merges", |work| {
        git(work, &["checkout", "-q", "-B", "again", &world.head("refs/heads/integrated")]);
        std::fs::write(work.join("more"), "1\n").unwrap();
    });
    world.assign(|assignment| {
        let conflict = assignment.conflict.as_mut().unwrap();
        (conflict.commit, conflict.total) = (own, 0);
    });
    let pod = Pod::of(world).await;
    pod.world.ended(0, "");
    let world = pod.end().await;
    assert_eq!(world.file(&world.operator.delivery().commit.unwrap(), "more"), "1\n");
}
