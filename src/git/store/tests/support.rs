//! A store in a temporary folder, and hands to make commits in it as an agent's push would.

use std::process::Command;

use tempfile::TempDir;

use crate::git::{
    names::{CommitId, RefName, RepositoryId, Rev, TreeId},
    ops::*,
    store::{Execute, Store, StoreError},
};

/// A file in a work tree: path and content; no content removes it.
pub(super) type File<'a> = (&'a str, Option<&'a str>);

pub(super) struct World {
    pub(super) store: Store,
    pub(super) id: RepositoryId,
    _root: TempDir,
}

pub(super) fn branch(name: &str) -> RefName {
    RefName::branch(name).unwrap()
}

pub(super) fn author() -> Signature {
    Signature { name: "Klein".to_owned(), email: "klein@example.org".to_owned(), seconds: 1_700_000_000 }
}

pub(super) fn phase(uid: &str) -> PhaseKey {
    PhaseKey { uid: uid.to_owned(), namespace: "team".to_owned(), name: "hello-1".to_owned() }
}

pub(super) fn release() -> RefName {
    branch("release/phase-1-v1.0.0")
}

pub(super) fn tag() -> RefName {
    RefName::tag("phase-1-v1.0.0").unwrap()
}

pub(super) fn claim_of(uid: &str) -> ClaimRelease {
    ClaimRelease {
        phase: phase(uid),
        release: release(),
        base: branch("main"),
        upstream: None,
        claim: RefName::new("refs/phasegate/claims/phase-1").unwrap(),
        tag: tag(),
        reapply: None,
    }
}

pub(super) fn integrate_of(source: &CommitId, kind: MergeKind, task: &str) -> Integrate {
    Integrate {
        release: release(),
        base: branch("main"),
        upstream: None,
        expected_head: None,
        source: source.clone(),
        kind,
        resolves: None,
        task_uid: task.to_owned(),
        run: 1,
        phase_uid: "uid-1".to_owned(),
        work: format!("hello-1.{task}.1.1"),
        title: format!("work of {task}"),
        body: String::new(),
        author: author(),
    }
}

pub(super) fn integrate_base() -> IntegrateBase {
    IntegrateBase {
        release: release(),
        base: branch("main"),
        upstream: None,
        expected_head: None,
        phase_uid: "uid-1".to_owned(),
        title: "Merge main".to_owned(),
        author: author(),
    }
}

impl World {
    /// A store with an empty volume.
    pub(super) async fn empty() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).await.unwrap();
        Self { store, id: RepositoryId::new("team", "hello").unwrap(), _root: root }
    }

    /// With a repository.
    pub(super) async fn new() -> Self {
        let world = Self::empty().await;
        world.call(EnsureRepository { base: branch("main"), upstream: false }).await;
        world
    }

    /// With a repository and a claimed release branch.
    pub(super) async fn claimed() -> Self {
        let world = Self::new().await;
        world.call(claim_of("uid-1")).await;
        world
    }

    pub(super) async fn call<O: Execute>(&self, operation: O) -> O::Answer {
        self.store.execute(&self.id, operation).await.unwrap()
    }

    pub(super) async fn fail<O: Execute>(&self, operation: O) -> StoreError
    where
        O::Answer: std::fmt::Debug,
    {
        self.store.execute(&self.id, operation).await.unwrap_err()
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        self.git_with(args, &[])
    }

    fn git_with(&self, args: &[&str], env: &[(&str, &str)]) -> String {
        let repo = self.store.repo(&self.id);
        let output = Command::new("git")
            .args(["-c", "user.name=test", "-c", "user.email=test@example.org"])
            .args(args)
            .env("GIT_DIR", repo.dir())
            .envs(env.iter().copied())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(super) fn head(&self, name: &RefName) -> CommitId {
        CommitId::new(self.git(&["rev-parse", "--verify", &format!("{name}^{{commit}}")])).unwrap()
    }

    pub(super) fn tree(&self, commit: &CommitId) -> TreeId {
        TreeId::new(self.git(&["rev-parse", &format!("{commit}^{{tree}}")])).unwrap()
    }

    pub(super) fn file(&self, commit: &CommitId, path: &str) -> String {
        self.git(&["show", &format!("{commit}:{path}")])
    }

    pub(super) fn move_ref(&self, name: &RefName, commit: &CommitId) {
        self.git(&["update-ref", name.as_str(), commit.as_str()]);
    }

    /// A commit with these files on top of `parent`, as a companion would push it.
    pub(super) fn commit(&self, parent: &CommitId, message: &str, files: &[File<'_>]) -> CommitId {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join("index");
        let env = [("GIT_INDEX_FILE", index.to_str().unwrap()), ("GIT_WORK_TREE", folder.path().to_str().unwrap())];
        self.git_with(&["read-tree", parent.as_str()], &env);
        for (path, content) in files {
            match content {
                Some(content) => {
                    let source = tempfile::NamedTempFile::new().unwrap();
                    std::fs::write(source.path(), content).unwrap();
                    let blob = self.git(&["hash-object", "-w", source.path().to_str().unwrap()]);
                    self.git_with(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")], &env);
                }
                None => drop(self.git_with(&["update-index", "--force-remove", path], &env)),
            }
        }
        let tree = self.git_with(&["write-tree"], &env);
        CommitId::new(self.git(&["commit-tree", &tree, "-p", parent.as_str(), "-m", message])).unwrap()
    }

    /// A commit in which this path is a symbolic link.
    pub(super) fn link(&self, parent: &CommitId, path: &str, target: &str) -> CommitId {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join("index");
        let env = [("GIT_INDEX_FILE", index.to_str().unwrap()), ("GIT_WORK_TREE", folder.path().to_str().unwrap())];
        self.git_with(&["read-tree", parent.as_str()], &env);
        let source = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(source.path(), target).unwrap();
        let blob = self.git(&["hash-object", "-w", source.path().to_str().unwrap()]);
        self.git_with(&["update-index", "--add", "--cacheinfo", &format!("120000,{blob},{path}")], &env);
        let tree = self.git_with(&["write-tree"], &env);
        CommitId::new(self.git(&["commit-tree", &tree, "-p", parent.as_str(), "-m", "link"])).unwrap()
    }

    /// All references and what they point to.
    pub(super) fn refs(&self) -> String {
        self.git(&["for-each-ref", "--format=%(refname) %(objectname)"])
    }

    /// The base branch moves, as if another phase had merged.
    pub(super) fn move_base(&self, path: &str, content: &str) -> CommitId {
        let main = branch("main");
        let moved = self.commit(&self.head(&main), "elsewhere", &[(path, Some(content))]);
        self.move_ref(&main, &moved);
        moved
    }

    pub(super) async fn facts(&self, commit: &CommitId) -> CommitFacts {
        match self.call(Commit { rev: Rev::Commit(commit.clone()) }).await {
            CommitAnswer::Found(facts) => facts,
            CommitAnswer::Missing => panic!("{commit} is missing"),
        }
    }
}
