//! A service on a port of its own, tokens and tasks to play with, and a git client.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    api::agent_task::{Role, TaskState},
    git::{
        auth::{Authenticator, Identity, OPERATOR_AUDIENCE, TASK_AUDIENCE, TaskFacts, TaskLookup, TokenReviewer},
        client::GitClient,
        names::RepositoryId,
        ops::*,
        people::{People, PeopleLookup, Person, Verb},
        server::{GitArgs, app},
    },
    keys::KeyFile,
};

/// Tokens of the tests: what they are good for and whose they are.
struct Tokens;

impl TokenReviewer for Tokens {
    fn review<'a>(&'a self, token: &'a str, audience: &'static str) -> BoxFuture<'a, Result<Option<Identity>, String>> {
        let identity = |username: &str, pod: Option<&str>| {
            Some(Identity { username: username.to_owned(), pod_uid: pod.map(str::to_owned) })
        };
        let found = match (token, audience) {
            ("operator", OPERATOR_AUDIENCE) => identity("system:serviceaccount:phasegate:operator", None),
            ("stranger", OPERATOR_AUDIENCE) => identity("system:serviceaccount:team:default", None),
            ("elsewhere", TASK_AUDIENCE) => identity("system:serviceaccount:other:task", Some("klein")),
            ("person", TASK_AUDIENCE) => identity("admin", Some("klein")),
            ("down", _) => return async { Err("failed to review the token: no API server".to_owned()) }.boxed(),
            (token, TASK_AUDIENCE) => {
                token.strip_prefix("pod-").and_then(|uid| identity("system:serviceaccount:team:task", Some(uid)))
            }
            _ => None,
        };
        async move { Ok(found) }.boxed()
    }
}

/// People of the tests: `reader-of-hello` may get repository team/hello, `pusher-of-hello` may push, too.
struct Persons;

impl PeopleLookup for Persons {
    fn who<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Person>, String>> {
        let known = ["reader-of-hello", "pusher-of-hello", "somebody"].contains(&token);
        let person = known.then(|| Person {
            username: token.to_owned(),
            uid: None,
            groups: Vec::new(),
            extra: std::collections::BTreeMap::new(),
        });
        async move { Ok(person) }.boxed()
    }

    fn may<'a>(&'a self, person: &'a Person, verb: Verb, id: &'a RepositoryId) -> BoxFuture<'a, Result<bool, String>> {
        let pushes = person.username == "pusher-of-hello";
        let may = id.namespace() == "team" && (pushes || verb == Verb::Get && person.username == "reader-of-hello");
        async move { Ok(may) }.boxed()
    }
}

/// Tasks of the tests, to be changed while the service runs.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<HashMap<String, TaskFacts>>>);

impl Tasks {
    pub(crate) fn set(&self, name: &str, facts: TaskFacts) {
        self.0.lock().unwrap().insert(name.to_owned(), facts);
    }
}

impl TaskLookup for Tasks {
    fn task<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<TaskFacts>, String>> {
        let found = self.0.lock().unwrap().get(name).cloned().filter(|_| namespace == "team");
        async move { Ok(found) }.boxed()
    }
}

/// A task at work in pod `{name}`; its token is `pod-{name}`.
pub(crate) fn facts(name: &str, role: Role, branch: Option<&str>) -> TaskFacts {
    TaskFacts {
        uid: format!("uid-{name}"),
        repository: "hello".to_owned(),
        role,
        branch: branch.map(str::to_owned),
        pod_uid: Some(name.to_owned()),
        state: TaskState::Running,
        submitted: false,
        base_run: None,
        push_from: None,
    }
}

/// Task klein as [`served`] sets it.
pub(crate) fn klein() -> TaskFacts {
    facts("klein", Role::Developer, Some("feature/phase-1-a"))
}

pub(crate) struct Served {
    pub(crate) url: String,
    pub(crate) root: PathBuf,
    pub(crate) tasks: Tasks,
    folder: TempDir,
}

/// A running service with repository team/hello, task `klein` on `feature/phase-1-a`, `check`, and `sync`.
pub(crate) async fn served() -> Served {
    served_with(64).await
}

/// The service over the volume at `root`, on a port of its own; its address and its tasks.
pub(super) async fn serve(root: &Path, max_push_mib: u64) -> (String, Tasks) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = listener.local_addr().unwrap();
    let args = GitArgs {
        listen,
        root: root.to_owned(),
        operator_service_account: vec!["system:serviceaccount:phasegate:operator".to_owned()],
        task_service_account: "task".to_owned(),
        max_push_mib,
        max_transfers: 4,
        api_keys_file: None,
    };
    let tasks = Tasks::default();
    tasks.set("klein", klein());
    tasks.set("check", facts("check", Role::Check, None));
    tasks.set("sync", facts("sync", Role::Sync, None));
    let operators = args.operator_service_account.clone();
    let auth = Authenticator::new(Tokens, tasks.clone(), operators, &args.task_service_account);
    let auth = auth.with_people(People::new(Persons, KeyFile::new(None)));
    let app = app(&args, auth).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{listen}"), tasks)
}

pub(crate) async fn served_with(max_push_mib: u64) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repositories");
    started(folder, root, max_push_mib).await
}

/// The same over a volume that the caller brings.
pub(super) async fn served_at(root: PathBuf) -> Served {
    started(tempfile::tempdir().unwrap(), root, 64).await
}

async fn started(folder: TempDir, root: PathBuf, max_push_mib: u64) -> Served {
    let (url, tasks) = serve(&root, max_push_mib).await;
    let served = Served { url, root, tasks, folder };
    let ensure = EnsureRepository { base: RefName::branch("main").unwrap(), upstream: false };
    served.client("operator").call("team", "hello", &ensure).await.unwrap();
    served
}

impl Served {
    pub(crate) fn client(&self, token: &str) -> GitClient {
        let file = self.folder.path().join(format!("token-{token}"));
        std::fs::write(&file, format!("{token}\n")).unwrap();
        GitClient::new(&self.url, file, Duration::from_secs(20)).unwrap()
    }

    /// The repository's address with a task's credentials in it.
    pub(crate) fn remote(&self, task: &str) -> String {
        format!("{}/team/hello.git", self.url.replace("http://", &format!("http://{task}:pod-{task}@")))
    }

    /// The repository's address with a person's token in it.
    pub(crate) fn remote_of(&self, person: &str, repository: &str) -> String {
        format!("{}/{repository}.git", self.url.replace("http://", &format!("http://me:{person}@")))
    }

    /// A clone by that person with one commit on top.
    pub(crate) async fn person(&self, token: &str) -> Work {
        let work = Work { dir: self.folder.path().join(format!("work-{token}")) };
        std::fs::create_dir_all(&work.dir).unwrap();
        ok(work.git(&["clone", "--quiet", &self.remote_of(token, "team/hello"), "."]).await);
        std::fs::write(work.dir.join("by-hand"), "1\n").unwrap();
        work.commit("by hand").await;
        work
    }

    /// A clone by that task with one commit on top.
    pub(crate) async fn work(&self, task: &str) -> Work {
        let work = Work { dir: self.folder.path().join(format!("work-{task}")) };
        std::fs::create_dir_all(&work.dir).unwrap();
        ok(work.git(&["clone", "--quiet", &self.remote(task), "."]).await);
        std::fs::write(work.dir.join("a"), "1\n").unwrap();
        work.commit("work").await;
        work
    }

    /// Another clone by that task, as its branches are.
    pub(crate) async fn clone_of(&self, task: &str, name: &str) -> Work {
        let work = Work { dir: self.folder.path().join(name) };
        std::fs::create_dir_all(&work.dir).unwrap();
        ok(work.git(&["clone", "--quiet", &self.remote(task), "."]).await);
        work
    }

    /// Git finds nothing wrong with the repository.
    pub(crate) fn sound(&self) {
        sound(&self.root);
    }

    /// How much of pushes that came to nothing is left on the volume.
    pub(crate) fn unfinished(&self) -> usize {
        unfinished(&self.root)
    }

    /// References on the volume.
    pub(crate) fn refs(&self) -> String {
        refs(&self.root)
    }
}

fn repository(root: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("git");
    command.args(["-c", "safe.directory=*"]).args(args).env("GIT_DIR", root.join("team/hello.git"));
    command.output().unwrap()
}

pub(super) fn refs(root: &Path) -> String {
    let output = repository(root, &["for-each-ref", "--format=%(refname) %(objectname)"]);
    String::from_utf8(output.stdout).unwrap()
}

pub(super) fn sound(root: &Path) {
    let output = repository(root, &["fsck", "--full", "--strict", "--no-dangling", "--no-progress"]);
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

pub(super) fn unfinished(root: &Path) -> usize {
    let objects = std::fs::read_dir(root.join("team/hello.git/objects"));
    objects
        .into_iter()
        .flatten()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("tmp_"))
        .count()
}

/// A work tree of a git client that knows nothing of this machine.
pub(crate) struct Work {
    pub(crate) dir: PathBuf,
}

impl Work {
    pub(crate) async fn git(&self, args: &[&str]) -> Output {
        git(&self.dir, args).await
    }

    pub(crate) async fn commit(&self, message: &str) {
        ok(self.git(&["add", "."]).await);
        ok(self.git(&["commit", "--quiet", "-m", message]).await);
    }

    pub(crate) async fn head(&self) -> CommitId {
        CommitId::new(ok(self.git(&["rev-parse", "HEAD"]).await)).unwrap()
    }

    /// A file of bytes that do not compress.
    pub(crate) fn noise(&self, bytes: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        let noise: Vec<u8> = std::iter::repeat_with(next).take(bytes).collect();
        std::fs::write(self.dir.join("noise"), &noise).unwrap();
        noise
    }

    /// Pushes; whether it went through, and what git said.
    pub(crate) async fn push(&self, refspec: &str) -> (bool, String) {
        let output = self.git(&["push", "--quiet", "origin", refspec]).await;
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

pub(crate) async fn git(dir: &Path, args: &[&str]) -> Output {
    tokio::process::Command::new("git")
        .args(["-c", "user.name=Klein", "-c", "user.email=klein@example.org", "-c", "init.defaultBranch=main"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("no_proxy", "*")
        // The same commits at every run.
        .env("GIT_AUTHOR_DATE", "1700000000 +0000")
        .env("GIT_COMMITTER_DATE", "1700000000 +0000")
        .output()
        .await
        .unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "called on what was just awaited")]
pub(crate) fn ok(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An HTTP client without a proxy.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}
