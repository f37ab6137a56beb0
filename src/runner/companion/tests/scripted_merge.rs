//! A merge that git could not make, made by the scripted agent.

use serde_json::json;

use super::*;
use crate::{
    api::conflict::TaskConflict,
    runner::{replay, world::git},
};

const BRANCH: &str = "refs/heads/bugfix/phase-1-review-2";

/// Both sides changed `greet.py`; one removed `gone.py`, which the other changed; `fine` merges.
async fn world() -> World {
    let world = World::new(Role::Developer).await;
    let start = world.commit("start", |work| std::fs::write(work.join("gone.py"), "1\n").unwrap());
    let integrated = world.commit("integrated", |work| {
        std::fs::write(work.join("greet.py"), "print('good morning')\n").unwrap();
        std::fs::remove_file(work.join("gone.py")).unwrap();
    });
    git(&world.dir().join("seed"), &["checkout", "-q", &start]);
    let base = world.commit("base", |work| {
        std::fs::write(work.join("greet.py"), "print('good evening')\n").unwrap();
        std::fs::write(work.join("gone.py"), "2\n").unwrap();
        std::fs::write(work.join("fine"), "1\n").unwrap();
    });
    let side = |change: &str| json!({ "change": change });
    let conflict: TaskConflict = serde_json::from_value(json!({
        "with": "BaseBranch", "commit": base, "total": 2,
        "files": [
            { "path": "greet.py", "integrated": side("Modified"), "other": side("Modified") },
            { "path": "gone.py", "integrated": side("Deleted"), "other": side("Modified") },
        ],
    }))
    .unwrap();
    world.assign(|assignment| {
        assignment.commit = Some(integrated);
        assignment.conflict = Some(conflict);
        assignment.brief.as_mut().unwrap().findings.clear();
    });
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scripted_agent_makes_a_merge_from_what_is_integrated() {
    let pod = Pod::of(world().await).await;
    let patches = pod.world.dir().join("patches");
    std::fs::create_dir(&patches).unwrap();
    let args = replay::ReplayArgs {
        patches: patches.clone(),
        brief: pod.world.places.brief.join("task.json"),
        mcp_url: pod.mcp_url(),
        workspace: pod.world.places.workspace.clone(),
    };
    // What was written for the task itself does not fit the merge.
    std::fs::write(patches.join("alicia-1.rework.2.patch"), "").unwrap();
    let error = replay::run(args.clone()).await.unwrap_err().to_string();
    assert!(error.contains("no patch alicia-1.rework.2.merge.patch"), "{error}");
    let patch = "--- a/greet.py\n+++ b/greet.py\n@@ -1 +1,2 @@\n print('good morning')\n+print('good evening')\n";
    std::fs::write(patches.join("alicia-1.rework.2.merge.patch"), patch).unwrap();
    replay::run(args).await.unwrap();
    let commit = pod.world.head(BRANCH);
    assert_eq!(pod.world.file(&commit, "greet.py"), "print('good morning')\nprint('good evening')\n");
    assert_eq!(pod.world.file(&commit, "fine"), "1\n", "what git merged stays");
    let files = git(&pod.world.bare(), &["ls-tree", "--name-only", &commit]);
    assert!(!files.contains("gone.py"), "the integrated side has removed it: {files}");
}
