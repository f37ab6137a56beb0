//! Real servers that want credentials: nginx with TLS and a password before `git http-backend`, and sshd.

use std::{collections::HashMap, path::PathBuf, process::Command};

use serde_json::json;

use super::*;
use crate::api::agent_task::PushReference;

const SERVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/upstream.d/serve");

/// Both servers, over the same repositories.
struct Servers {
    _folder: tempfile::TempDir,
    dir: PathBuf,
    env: HashMap<String, String>,
}

impl Servers {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("servers");
        let output = Command::new(SERVE).arg("up").arg(&dir).arg("127.0.0.1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        let env = printed.lines().filter_map(|line| line.split_once('='));
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { _folder: folder, dir, env }
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.dir.join("repositories").join(format!("{name}.git"))
    }

    /// A bare repository with one commit; what it is.
    fn make(&self, name: &str) -> String {
        let work = self.dir.join(format!("{name}-work"));
        std::fs::create_dir_all(&work).unwrap();
        git(&work, &["init", "-q"]);
        std::fs::write(work.join("big.bin"), POINTER).unwrap();
        git(&work, &["add", "-A"]);
        let first = commit(&work, "first");
        git(&work, &["clone", "-q", "--bare", ".", self.repository(name).to_str().unwrap()]);
        git(&self.repository(name), &["config", "http.receivepack", "true"]);
        first
    }

    /// Its people go on.
    fn add(&self, name: &str) -> String {
        let (work, bare) = (self.dir.join(format!("{name}-work")), self.repository(name));
        let next = commit(&work, "next");
        git(&work, &["push", "-q", bare.to_str().unwrap(), "HEAD:main"]);
        next
    }

    fn head(&self, name: &str, reference: &str) -> String {
        git(&self.repository(name), &["for-each-ref", "--format=%(objectname)", reference]).trim().to_owned()
    }

    fn https(&self, name: &str) -> (String, Vec<(&'static str, String)>) {
        let (at, ca) = (&self.env["UPSTREAM_HTTPS"], std::fs::read_to_string(&self.env["UPSTREAM_CA"]).unwrap());
        let host = at.strip_prefix("https://").unwrap().to_owned();
        let (user, password) = (self.env["UPSTREAM_USER"].clone(), self.env["UPSTREAM_PASSWORD"].clone());
        let keys = vec![("host", host), ("username", user), ("password", password), ("ca.crt", ca)];
        (format!("{at}/{name}.git"), keys)
    }

    fn ssh(&self, name: &str) -> (String, Vec<(&'static str, String)>) {
        let at = &self.env["UPSTREAM_SSH"];
        let host = at.rsplit_once('@').unwrap().1.to_owned();
        let file = |name: &str| std::fs::read_to_string(&self.env[name]).unwrap();
        let keys = vec![
            ("host", host),
            ("ssh-privatekey", file("UPSTREAM_KEY")),
            ("known_hosts", file("UPSTREAM_KNOWN_HOSTS")),
        ];
        (format!("{at}/{name}.git"), keys)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = Command::new(SERVE).arg("down").arg(&self.dir).status();
    }
}

/// What Git LFS keeps in a repository in place of a large file.
const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

/// The world's task mirrors this upstream with these keys of a Secret.
fn aim(world: &World, (url, keys): (String, Vec<(&'static str, String)>)) {
    let _ = std::fs::remove_dir_all(&world.places.upstream);
    std::fs::create_dir(&world.places.upstream).unwrap();
    for (key, value) in keys {
        std::fs::write(world.places.upstream.join(key), value).unwrap();
    }
    let upstream = json!({"url": url, "credentialsSecretRef": {"name": "mirror"}});
    world.assign(|assignment| assignment.upstream = Some(serde_json::from_value(upstream).unwrap()));
    world.operator.forget();
}

/// The world's task has this commit to push to main, and a tag with it.
fn bring(world: &World, commit: &str, tag_name: &str) {
    let folder = "refs/phasegate/push/phase-uid";
    git(&world.bare(), &["tag", "-f", "-a", "-m", "passed", tag_name, commit]);
    let tag = git(&world.bare(), &["rev-parse", &format!("refs/tags/{tag_name}")]).trim().to_owned();
    git(&world.bare(), &["update-ref", &format!("{folder}/head"), commit]);
    git(&world.bare(), &["update-ref", &format!("{folder}/tags/{tag_name}"), &tag]);
    let to = |name: &str, object: &str| PushReference { name: name.to_owned(), object: object.to_owned() };
    let references = vec![to("refs/heads/main", commit), to(&format!("refs/tags/{tag_name}"), &tag)];
    world.assign(|assignment| {
        assignment.push = Some(Push { from: folder.to_owned(), base: "refs/heads/main".to_owned(), references });
    });
    world.facts.lock().unwrap().push_from = Some(folder.to_owned());
}

/// The world's task has this commit to push as a branch, for a person to merge.
fn bring_branch(world: &World, commit: &str, name: &str) {
    bring(world, commit, "phase-3-v1.0.0");
    world.assign(|assignment| {
        let push = assignment.push.as_mut().unwrap();
        push.references = vec![PushReference { name: name.to_owned(), object: commit.to_owned() }];
    });
}

/// A commit on top of another, in the git service.
fn merge_on(world: &World, base: &str) -> String {
    git(&world.bare(), &["commit-tree", "-p", base, "-m", "merge", &format!("{base}^{{tree}}")]).trim().to_owned()
}

async fn refusal(world: &World) -> String {
    let error = sync(&world.args, &world.places).await.unwrap_err().to_string();
    let delivery = world.operator.delivery();
    assert!(error.contains(&delivery.message) && delivery.refused, "{error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts nginx and sshd: make test"]
async fn an_upstream_that_wants_credentials_is_mirrored_with_those_of_the_secret_alone() {
    let (world, servers) = (World::new(Role::Sync).await, Servers::start());
    let first = servers.make("app");
    aim(&world, servers.https("app"));
    sync(&world.args, &world.places).await.unwrap();
    assert_eq!(world.head("refs/upstream/heads/main"), first);
    assert_eq!(world.file(&first, "big.bin"), POINTER, "an LFS pointer stays what it is");
    let next = servers.add("app");
    aim(&world, servers.ssh("app"));
    sync(&world.args, &world.places).await.unwrap();
    assert_eq!(world.head("refs/upstream/heads/main"), next, "and the same over ssh");

    let (url, mut keys) = servers.https("app");
    keys.retain(|(key, _)| *key != "password");
    keys.push(("password", "wrong".to_owned()));
    aim(&world, (url.clone(), keys));
    let error = refusal(&world).await;
    assert!(error.contains("the upstream refuses the credentials of Secret mirror"), "{error}");
    assert!(!error.contains("wrong"), "{error}");

    let (_, mut keys) = servers.https("app");
    keys.retain(|(key, _)| *key != "ca.crt");
    aim(&world, (url.clone(), keys));
    let error = refusal(&world).await;
    assert!(error.contains("certificate"), "{error}");

    aim(&world, servers.ssh("app"));
    let (ssh, mut keys) = servers.ssh("app");
    let port = ssh.rsplit_once(':').unwrap().1.split('/').next().unwrap().to_owned();
    keys.retain(|(key, _)| *key != "known_hosts");
    keys.push(("known_hosts", format!("[127.0.0.1]:{port} {STRANGER}")));
    aim(&world, (ssh, keys));
    let error = refusal(&world).await;
    assert!(error.contains("Host key verification failed"), "{error}");

    world.operator.forget();
    let nothing = json!({"url": url.replace("https://127.0.0.1", "https://localhost")});
    world.assign(|assignment| assignment.upstream = Some(serde_json::from_value(nothing).unwrap()));
    refusal(&world).await;
}

/// Another server's key.
const STRANGER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts nginx and sshd: make test"]
async fn what_passed_reaches_the_upstream_unless_that_moved_or_does_not_want_it() {
    let (world, servers) = (World::new(Role::Sync).await, Servers::start());
    let first = servers.make("app");
    aim(&world, servers.https("app"));
    sync(&world.args, &world.places).await.unwrap();

    let merge = merge_on(&world, &first);
    bring(&world, &merge, "phase-1-v1.0.0");
    for way in [servers.https("app"), servers.ssh("app")] {
        aim(&world, way);
        sync(&world.args, &world.places).await.unwrap();
        // The second time it is there already: a redo after a crash.
        assert_eq!(world.operator.delivery().push.unwrap().outcome, PushOutcome::Pushed);
        assert_eq!(servers.head("app", "refs/heads/main"), merge);
        assert_eq!(servers.head("app", "refs/tags/phase-1-v1.0.0"), world.head("refs/tags/phase-1-v1.0.0"));
    }

    // Its people were faster: nothing of ours gets in, and what they did is mirrored.
    git(&servers.dir.join("app-work"), &["pull", "-q", servers.repository("app").to_str().unwrap(), "main"]);
    let theirs = servers.add("app");
    bring(&world, &merge_on(&world, &first), "phase-2-v1.0.0");
    aim(&world, servers.https("app"));
    sync(&world.args, &world.places).await.unwrap();
    let answer = world.operator.delivery().push.unwrap();
    assert_eq!(answer.outcome, PushOutcome::Moved, "{}", answer.message);
    assert_eq!(
        (servers.head("app", "refs/heads/main"), world.head("refs/upstream/heads/main")),
        (theirs.clone(), theirs.clone())
    );

    // A run that pushed was lost before it could say so, and its people went on: it is out, and is not pushed again.
    let merge = merge_on(&world, &theirs);
    bring(&world, &merge, "phase-2-v1.0.0");
    let (bare, tag) = (servers.repository("app"), "refs/tags/phase-2-v1.0.0");
    let specs = [format!("{merge}:refs/heads/main"), format!("{tag}:{tag}")];
    git(&world.bare(), &["push", "-q", bare.to_str().unwrap(), &specs[0], &specs[1]]);
    git(&servers.dir.join("app-work"), &["pull", "-q", bare.to_str().unwrap(), "main"]);
    let theirs = servers.add("app");
    aim(&world, servers.https("app"));
    sync(&world.args, &world.places).await.unwrap();
    assert_eq!(world.operator.delivery().push.unwrap().outcome, PushOutcome::Pushed);
    assert_eq!(
        (servers.head("app", "refs/heads/main"), world.head("refs/upstream/heads/main")),
        (theirs.clone(), theirs.clone())
    );

    // As a branch, nothing goes out that was not compared with their main as it is; what they merged by then is out.
    let release = "refs/heads/release/phase-3-v1.0.0";
    let stale = merge_on(&world, &first);
    bring_branch(&world, &stale, release);
    aim(&world, servers.https("app"));
    sync(&world.args, &world.places).await.unwrap();
    let answer = world.operator.delivery().push.unwrap();
    assert_eq!(answer.outcome, PushOutcome::Moved, "{}", answer.message);
    assert_eq!(servers.head("app", release), "");
    let branch = merge_on(&world, &theirs);
    bring_branch(&world, &branch, release);
    aim(&world, servers.https("app"));
    sync(&world.args, &world.places).await.unwrap();
    assert_eq!(world.operator.delivery().push.unwrap().outcome, PushOutcome::Pushed);
    assert_eq!(servers.head("app", release), branch);
    // Somebody else's branch of the name is not overwritten.
    let other =
        git(&bare, &["commit-tree", "-p", &first, "-m", "other", &format!("{first}^{{tree}}")]).trim().to_owned();
    git(&bare, &["update-ref", release, &other]);
    aim(&world, servers.https("app"));
    sync(&world.args, &world.places).await.unwrap();
    let answer = world.operator.delivery().push.unwrap();
    assert_eq!(answer.outcome, PushOutcome::Refused);
    assert!(answer.message.contains("something else has that name there"), "{}", answer.message);
    assert_eq!(servers.head("app", release), other);

    // A protected branch.
    let hook = servers.repository("app").join("hooks/pre-receive");
    std::fs::write(&hook, "#!/bin/sh\necho 'main is protected: ask ann'\nexit 1\n").unwrap();
    Command::new("chmod").arg("+x").arg(&hook).status().unwrap();
    bring(&world, &merge_on(&world, &theirs), "phase-4-v1.0.0");
    for way in [servers.https("app"), servers.ssh("app")] {
        aim(&world, way);
        sync(&world.args, &world.places).await.unwrap();
        let answer = world.operator.delivery().push.unwrap();
        assert_eq!(answer.outcome, PushOutcome::Refused);
        assert!(
            answer.message.contains("main is protected: ask ann")
                && answer.message.contains("pre-receive hook declined"),
            "{}",
            answer.message
        );
    }
    assert_eq!(servers.head("app", "refs/heads/main"), theirs);

    // Credentials that only read.
    git(&servers.repository("app"), &["config", "http.receivepack", "false"]);
    aim(&world, servers.https("app"));
    sync(&world.args, &world.places).await.unwrap();
    assert_eq!(world.operator.delivery().push.unwrap().outcome, PushOutcome::Refused);
}
