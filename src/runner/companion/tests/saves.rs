//! Work in progress: saved while the agent works, and taken up by the next run of the task.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::{
    api::agent_task::Resume,
    runner::{
        companion::save::{SaveError, save_again_and_again},
        prepare::PrepareError,
        snapshot::SnapshotError,
        world::git,
    },
};

const BRANCH: &str = "refs/heads/bugfix/phase-1-review-2";
const WIP: &str = "refs/phasegate/wip/0f1e2d3c/2";
const WHY: &str = "run 2 ended (Infra): its node lost sight of its main container";

/// A prepared pod whose companion does only what it is told.
async fn prepared(world: &World) -> Companion {
    prepare::set_up(&world.args, &world.places, &world.assignment()).await.unwrap();
    Companion::new(&world.args, &world.places).unwrap()
}

/// The pod is gone, with its volumes, and the next run of the task is prepared.
async fn next_run(world: &mut World, since: i32) -> Result<Companion, PrepareError> {
    for folder in [&world.places.workspace, &world.places.git, &world.places.brief, &world.places.out] {
        std::fs::remove_dir_all(folder).unwrap();
        std::fs::create_dir(folder).unwrap();
    }
    world.args.run += 1;
    let run = world.args.run;
    world.assign(|assignment| {
        assignment.run = run;
        assignment.resume = Some(Resume { since, why: WHY.to_owned() });
    });
    prepare::set_up(&world.args, &world.places, &world.assignment()).await?;
    Ok(Companion::new(&world.args, &world.places).unwrap())
}

fn read(world: &World, path: &str) -> Option<String> {
    std::fs::read_to_string(world.places.workspace.join(path)).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_saved_when_it_has_changed_and_not_otherwise() {
    let world = World::new(Role::Developer).await;
    let companion = prepared(&world).await;
    assert_eq!(companion.save(None).await.unwrap(), None);
    assert_eq!(world.head(WIP), "");
    world.write("greet.py", "half");
    let first = companion.save(None).await.unwrap().unwrap();
    assert_eq!(world.head(WIP), first);
    assert_eq!(companion.save(Some(&first)).await.unwrap(), None);
    world.write("greet.py", "print('hello')\n");
    let back = companion.save(Some(&first)).await.unwrap().unwrap();
    assert_eq!(world.head(WIP), back, "what was taken back must not come again");
    assert_eq!(world.head(BRANCH), "", "a save is no submission");
    assert_eq!(world.operator.calls().len(), 0, "and no matter of the operator");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_companion_saves_by_itself_until_the_work_is_submitted() {
    let world = World::new(Role::Developer).await;
    let mut companion = prepared(&world).await;
    companion.period = std::time::Duration::from_millis(1);
    world.write("greet.py", "half");
    let seen = async {
        while world.head(WIP).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = seen => {}
        () = save_again_and_again(&companion) => panic!("it ends only by being dropped"),
    }
    *companion.submitted.lock().await = Some("c".to_owned());
    save_again_and_again(&companion).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_continues_from_the_last_save_whenever_the_pod_dies() {
    let mut world = World::new(Role::Developer).await;
    let mut companion = prepared(&world).await;
    // Each pod saves, writes on, and is gone: what it wrote after its save is lost, and nothing else.
    for (index, writes) in [1, 0, 3, 2].into_iter().enumerate() {
        world.write(&format!("saved/{index}"), "kept");
        companion.save(None).await.unwrap().unwrap();
        for write in 0..writes {
            world.write(&format!("lost/{index}-{write}"), "gone");
        }
        drop(companion);
        companion = next_run(&mut world, 2).await.unwrap();
        let kept = (0..=index).all(|index| read(&world, &format!("saved/{index}")).as_deref() == Some("kept"));
        assert!(kept && !world.places.workspace.join("lost").exists(), "after {index}");
    }
    // A run that dies before its first save leaves what was saved before it.
    drop(companion);
    let companion = next_run(&mut world, 2).await.unwrap();
    assert_eq!(read(&world, "saved/3").as_deref(), Some("kept"));
    assert_eq!(companion.assignment.resumed, Some(5), "run 6 saved nothing");
    let told: Vec<Value> = world.operator.told("resumed").iter().map(|told| told["fromRun"].clone()).collect();
    assert_eq!(told, [2, 3, 4, 5, 5].map(Value::from));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_that_is_killed_leaves_the_one_before_or_is_whole() {
    let world = World::new(Role::Developer).await;
    let companion = prepared(&world).await;
    let mut whole = vec![String::new()];
    for patience in [0, 1, 3, 10, 100, 1_000, 10_000] {
        let text = format!("{patience}\n").repeat(1000);
        for file in 0..20 {
            world.write(&format!("f{file}"), &text);
        }
        let killed = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = companion.save(None) => {}
            () = killed => {}
        }
        whole.push(text);
        let head = world.head(WIP);
        let first = if head.is_empty() { String::new() } else { world.file(&head, "f0") };
        assert!(whole.contains(&first));
        assert!((1..20).all(|file| head.is_empty() || world.file(&head, &format!("f{file}")) == first), "{patience}");
    }
    let last = companion.save(None).await.unwrap().unwrap_or_else(|| world.head(WIP));
    assert_eq!((world.head(WIP), world.file(&last, "f19")), (last.clone(), whole.pop().unwrap()));
    git(&world.bare(), &["fsck", "--strict", "--no-dangling"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_continued_work_tree_is_what_was_saved_on_the_start_commit() {
    let mut world = World::new(Role::Developer).await;
    let start = world.assignment().commit.unwrap();
    let companion = prepared(&world).await;
    let outside = world.dir().join("outside");
    std::fs::write(&outside, "precious").unwrap();
    let tree = world.places.workspace.clone();
    std::fs::remove_file(tree.join("greet.py")).unwrap();
    world.write("new/tool.sh", "#!/bin/sh\n");
    std::fs::set_permissions(tree.join("new/tool.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    world.write(".gitattributes", "*.txt text eol=crlf filter=evil\n");
    world.write("a.txt", "one\n");
    symlink(&outside, tree.join("link")).unwrap();
    companion.save(None).await.unwrap().unwrap();

    let companion = next_run(&mut world, 2).await.unwrap();
    assert!(!tree.join("greet.py").exists());
    assert_eq!(std::fs::metadata(tree.join("new/tool.sh")).unwrap().permissions().mode() & 0o111, 0o111);
    assert_eq!(read(&world, "a.txt").as_deref(), Some("one\n"), "no attribute and no filter has a say");
    assert_eq!(std::fs::read_link(tree.join("link")).unwrap(), outside);
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "precious");
    let status = git(&tree, &["-c", "safe.directory=*", "status", "--porcelain"]);
    assert_eq!(status, " D greet.py\n?? .gitattributes\n?? a.txt\n?? link\n?? new/\n", "the agent sees what was done");
    assert_eq!(git(&tree, &["-c", "safe.directory=*", "rev-parse", "HEAD"]).trim(), start);

    let brief = std::fs::read_to_string(world.places.brief.join("task.md")).unwrap();
    assert!(brief.contains("continued from the work of run 2") && brief.contains(WHY), "{brief}");
    let file: Value = serde_json::from_slice(&std::fs::read(world.places.brief.join("task.json")).unwrap()).unwrap();
    assert_eq!((&file["resumedFrom"], &file["resumedBecause"]), (&2.into(), &WHY.into()));

    world.write("last", "1");
    let submitted = companion.submit("done", Vec::new()).await.unwrap().commit;
    assert_eq!(git(&world.bare(), &["rev-parse", &format!("{submitted}^")]).trim(), start, "one commit on the start");
    let names = git(&world.bare(), &["ls-tree", "-r", "--name-only", &submitted]);
    assert_eq!(names, ".gitattributes\n.gitignore\na.txt\nlast\nlink\nnew/tool.sh\n");
    let message = git(&world.bare(), &["log", "-1", "--format=%B", &submitted]);
    assert!(message.contains("Phasegate-Task: 0f1e2d3c/3"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_is_not_to_be_continued_is_left_alone() {
    let mut world = World::new(Role::Developer).await;
    let companion = prepared(&world).await;
    world.write("greet.py", "half");
    let saved = companion.save(None).await.unwrap().unwrap();
    // Of another task, and of a run that does not exist yet: neither is for this one.
    git(&world.bare(), &["update-ref", "refs/phasegate/wip/other/2", &saved]);
    git(&world.bare(), &["update-ref", "refs/phasegate/wip/0f1e2d3c/9", &saved]);
    let seen = companion.repository.saved_runs("other", std::time::Duration::from_secs(5)).await.unwrap();
    assert!(seen.is_empty(), "{seen:?}");
    let companion = next_run(&mut world, 3).await.unwrap();
    assert_eq!(companion.assignment.resumed, None);
    assert_eq!(read(&world, "greet.py").as_deref(), Some("print('hello')\n"));
    // On another commit than the task's: its changes would be taken for work on this one.
    let elsewhere = world.commit("elsewhere", |tree| std::fs::write(tree.join("x"), "x").unwrap());
    git(&world.bare(), &["update-ref", "refs/phasegate/wip/0f1e2d3c/3", &elsewhere]);
    world.assign(|assignment| assignment.commit = Some(elsewhere.clone()));
    let companion = next_run(&mut world, 3).await.unwrap();
    assert_eq!(companion.assignment.resumed, None);
    assert!(world.operator.told("resumed").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_work_that_cannot_be_had_is_not_given_up() {
    let mut world = World::new(Role::Developer).await;
    drop(prepared(&world).await);
    world.facts.lock().unwrap().pod_uid = Some("pod-2".to_owned());
    let error = next_run(&mut world, 2).await.unwrap_err().to_string();
    assert!(error.contains("not the live pod"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_is_refused_leaves_the_save_before() {
    let world = World::new(Role::Developer).await;
    let companion = prepared(&world).await;
    world.write("greet.py", "half");
    let saved = companion.save(None).await.unwrap().unwrap();
    let huge = world.places.workspace.join("huge");
    std::fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    let error = companion.save(Some(&saved)).await.unwrap_err();
    assert!(matches!(error, SaveError::Snapshot(SnapshotError::TooLarge { .. })), "{error}");
    assert_eq!(world.head(WIP), saved);
    std::fs::remove_file(huge).unwrap();
    world.write("greet.py", "more");
    assert!(companion.save(Some(&saved)).await.unwrap().is_some(), "mended, it is saved again");
}
