//! The pod's own git folder, and the way from it to the git service (design §6, "Who commits").
//!
//! The folder is out of the agent's reach and knows no work tree. The token is handed to git in its
//! environment only, as a header for one address, so that it is on no disk and no command line.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{process::Command, time::Instant};

use super::{PodArgs, upstream::Remote};
use crate::git::command::{Answer, CommandError, Git, bare_command};

/// The reference of the commit the work tree starts from.
pub(super) const START: &str = "refs/phasegate/start";
/// The reference of what the run on the base kept, if it is there.
pub(super) const BASE_LOGS: &str = "refs/phasegate/base-logs";
/// The reference of the work that an earlier run saved, if this run takes it up.
pub(super) const RESUMED: &str = "refs/phasegate/resumed";
/// The reference of the merge that the work tree starts with, if the task has one to make.
pub(super) const MERGED: &str = "refs/phasegate/merged";
/// Longest time of one transfer.
const TRANSFER: Duration = Duration::from_mins(5);
/// Longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Nothing of the pod's volumes outlives the pod.
const CONFIG: &[(&str, &str)] = &[
    ("core.fsync", "none"),
    // The git service checks what is pushed, and lets old blemishes of honest histories pass.
    ("transfer.fsckObjects", "false"),
    ("fetch.fsckObjects", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.version", "2"),
    ("http.followRedirects", "false"),
    ("credential.helper", ""),
];

/// What git says where a reference is not what the caller has last seen (git-push(1), `--force-with-lease`).
const STALE: &str = "stale info";
/// Time for a fetch from an upstream before it is begun anew.
const FIRST_TRY: Duration = Duration::from_secs(120);
/// References of a mirror that are written at once: their names go on a command line.
const MIRRORED_AT_ONCE: usize = 500;

/// Why something could not be fetched or pushed.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The pod's token cannot be read.
    #[error("failed to read the pod's token from {path}: {source}")]
    Token {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Git said no, or could not ask.
    #[error(transparent)]
    Git(#[from] CommandError),
}

/// A bare repository of this pod.
#[derive(Debug, Clone)]
pub struct PodRepository {
    dir: PathBuf,
    url: String,
    user: String,
    token: PathBuf,
}

impl PodRepository {
    /// The repository below the git volume `folder`; `clone_path` as the assignment has it.
    pub fn new(args: &PodArgs, folder: &Path, clone_path: &str, token: &Path) -> Self {
        Self {
            dir: folder.join("repository.git"),
            url: format!("{}/{}", args.git_url.trim_end_matches('/'), clone_path.trim_start_matches('/')),
            user: args.task.clone(),
            token: token.to_owned(),
        }
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The git volume that it is on.
    pub(super) fn folder(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }

    /// A git command here, with nothing of the environment and no protocol.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare_command("git", CONFIG);
        command.args(arguments).env("GIT_DIR", &self.dir).env("GIT_ALLOW_PROTOCOL", "none").current_dir("/");
        command
    }

    /// The same, to be run to its end. The first argument names it in errors.
    pub(super) fn git(&self, arguments: &[&str]) -> Git {
        Git::of(self.command(arguments), arguments.first().unwrap_or(&""))
    }

    /// Makes it, empty. What is there from an earlier try is removed.
    pub async fn init(&self) -> Result<(), CommandError> {
        if self.dir.exists() {
            let _ = tokio::fs::remove_dir_all(&self.dir).await;
        }
        let dir = self.dir.to_string_lossy().into_owned();
        self.git(&["init", "--quiet", "--bare", "--template=", &dir]).run().await?;
        Ok(())
    }

    /// Fetches one commit and its history to [`START`].
    pub async fn fetch_start(&self, commit: &str, longest: Duration) -> Result<(), TransferError> {
        self.fetch(commit, START, longest).await
    }

    /// Fetches the other side of a conflict to a branch of this name.
    pub async fn fetch_other(&self, commit: &str, branch: &str, longest: Duration) -> Result<(), TransferError> {
        self.fetch(commit, &format!("refs/heads/{branch}"), longest).await
    }

    /// Fetches what a run kept to [`BASE_LOGS`]. It may come a little later than the end of its run.
    pub async fn fetch_base_logs(&self, uid: &str, run: i32, longest: Duration) -> Result<(), TransferError> {
        self.fetch(&format!("refs/phasegate/logs/{uid}/{run}"), BASE_LOGS, longest).await
    }

    /// Runs of this task that have saved work.
    pub async fn saved_runs(&self, uid: &str, longest: Duration) -> Result<Vec<i32>, TransferError> {
        let folder = format!("refs/phasegate/wip/{uid}/");
        let listed = self.insist(&["ls-remote", "--quiet", &self.url, &format!("{folder}*")], longest).await?;
        let names = listed.lines().filter_map(|line| line.split_once('\t')?.1.strip_prefix(&folder)?.parse().ok());
        Ok(names.collect())
    }

    /// Fetches the work that a run saved to [`RESUMED`].
    pub async fn fetch_saved(&self, uid: &str, run: i32, longest: Duration) -> Result<(), TransferError> {
        self.fetch(&format!("refs/phasegate/wip/{uid}/{run}"), RESUMED, longest).await
    }

    async fn fetch(&self, from: &str, to: &str, longest: Duration) -> Result<(), TransferError> {
        self.fetch_with(&[], from, to, longest).await
    }

    async fn fetch_with(&self, options: &[&str], from: &str, to: &str, longest: Duration) -> Result<(), TransferError> {
        let refspec = format!("+{from}:{to}");
        let arguments = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
        let arguments = [&arguments, options, &[&*self.url, &*refspec]].concat();
        self.insist(&arguments, longest).await.map(drop)
    }

    /// Fetches one commit and its history from a repository on this machine to [`START`].
    pub async fn fetch_local(&self, source: &Path, commit: &str) -> Result<(), CommandError> {
        let source = std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
        let (source, refspec) = (source.to_string_lossy(), format!("+{commit}:{START}"));
        let mut command =
            self.command(&["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", &source, &refspec]);
        command.env("GIT_ALLOW_PROTOCOL", "file");
        Git::of(command, "fetch").timeout(TRANSFER).run().await?;
        Ok(())
    }

    /// Mirrors the heads and tags of an upstream to `refs/upstream/*`. With its own credentials, if it has any: the pod's
    /// token is for the git service only.
    pub(super) async fn fetch_upstream(&self, remote: &Remote, longest: Duration) -> Result<(), CommandError> {
        let (heads, tags) = ("+refs/heads/*:refs/upstream/heads/*", "+refs/tags/*:refs/upstream/tags/*");
        let fetch = || {
            let mut command = remote.command(&self.dir, CONFIG);
            command.args(["fetch", "--quiet", "--no-tags", "--prune", "--no-write-fetch-head", "--"]);
            command.args([remote.url(), heads, tags]);
            Git::of(command, "fetch")
        };
        // A connection whose other end is gone without a word looks like a slow one. Most that take long are of that kind, and a
        // second one is answered.
        match fetch().timeout(longest.min(FIRST_TRY)).run().await {
            Err(CommandError::Timeout { .. }) if longest > FIRST_TRY => {
                tracing::info!(url = remote.url(), "no end in sight; fetching anew, with more time");
                fetch().timeout(longest).run().await?;
            }
            done => drop(done?),
        }
        Ok(())
    }

    /// Fetches what is below `from` in the git service to below `to`.
    pub(super) async fn fetch_folder(&self, from: &str, to: &str, longest: Duration) -> Result<(), TransferError> {
        self.fetch(&format!("{from}/*"), &format!("{to}/*"), longest).await
    }

    /// Pushes to an upstream once, all references or none, and never by force: what git answers, whatever that is.
    pub(super) async fn push_upstream(
        &self,
        remote: &Remote,
        options: &[&str],
        refspecs: &[String],
        longest: Duration,
    ) -> Result<Answer, CommandError> {
        let mut command = remote.command(&self.dir, CONFIG);
        command.args(["push", "--porcelain", "--no-verify"]).args(options).args(["--", remote.url()]).args(refspecs);
        Git::of(command, "push").timeout(longest).answer().await
    }

    /// Pushes. An earlier run's work on the same reference is replaced: the service decides whether it may be.
    pub async fn push(&self, refspecs: &[String], longest: Duration) -> Result<(), TransferError> {
        let mut arguments = vec!["push", "--quiet", "--force", self.url.as_str()];
        arguments.extend(refspecs.iter().map(String::as_str));
        self.insist(&arguments, longest).await.map(drop)
    }

    /// Makes this folder what it is in the git service: what is not there any more goes here, too.
    pub(super) async fn fetch_mirror(&self, longest: Duration) -> Result<(), TransferError> {
        self.fetch_with(&["--prune"], "refs/upstream/*", "refs/upstream/*", longest).await
    }

    /// The mirror of an upstream, as it is here: names and objects.
    pub(super) async fn mirror(&self) -> Result<BTreeMap<String, String>, CommandError> {
        let listed = self.git(&["for-each-ref", "--format=%(refname) %(objectname)", "refs/upstream"]).run().await?;
        let pair = |line: &str| line.split_once(' ').map(|(name, object)| (name.to_owned(), object.to_owned()));
        Ok(listed.text().lines().filter_map(pair).collect())
    }

    /// Pushes the mirror of an upstream as it is here, if the service still has it as it was `before`. Another Sync may have
    /// seen more of the upstream meanwhile: then [`is_stale`] holds of the error. What was pushed.
    pub(super) async fn push_mirror(
        &self,
        before: &BTreeMap<String, String>,
        longest: Duration,
    ) -> Result<BTreeMap<String, String>, TransferError> {
        let now = self.mirror().await?;
        let gone: Vec<(&String, &str)> =
            before.keys().filter(|name| !now.contains_key(*name)).map(|name| (name, "")).collect();
        let moved = now.iter().filter(|(name, object)| before.get(*name) != Some(object));
        let moved: Vec<(&String, &str)> = moved.map(|(name, object)| (name, object.as_str())).collect();
        // What is gone first: its name may be a folder now, and git cannot do both at once.
        for some in gone.chunks(MIRRORED_AT_ONCE).chain(moved.chunks(MIRRORED_AT_ONCE)) {
            let was = |name: &String| before.get(name).map_or("", String::as_str);
            let leases = some.iter().map(|(name, _)| format!("--force-with-lease={name}:{}", was(name)));
            let specs = some.iter().map(|(name, object)| format!("{object}:{name}"));
            let start = ["push", "--quiet", "--no-verify", "--atomic"].map(str::to_owned).into_iter();
            let arguments: Vec<String> = start.chain(leases).chain([self.url.clone()]).chain(specs).collect();
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            self.insist(&arguments, longest).await?;
        }
        Ok(now)
    }

    /// Whether a commit is in the history of another; not if one of them is not here.
    pub(super) async fn is_ancestor(&self, commit: &str, of: &str) -> Result<bool, CommandError> {
        Ok(self.git(&["merge-base", "--is-ancestor", commit, of]).answer().await?.code == 0)
    }

    /// Transfers are repeated: a service that restarts, or has not seen yet which pod is the live one, answers later.
    async fn insist(&self, arguments: &[&str], longest: Duration) -> Result<String, TransferError> {
        let deadline = Instant::now() + longest;
        let mut pause = Duration::from_millis(300);
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).min(TRANSFER).max(Duration::from_secs(1));
            let error = match self.transfer(arguments, left).await {
                Ok(said) => return Ok(said),
                Err(error) => error,
            };
            if is_final(&error) || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::info!(%error, "transferring again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn transfer(&self, arguments: &[&str], longest: Duration) -> Result<String, TransferError> {
        let token = tokio::fs::read_to_string(&self.token).await;
        let token = token.map_err(|source| TransferError::Token { path: self.token.clone(), source })?;
        let basic = STANDARD.encode(format!("{}:{}", self.user, token.trim()));
        let header = (format!("http.{}.extraHeader", self.url), format!("Authorization: Basic {basic}"));
        let mut config = CONFIG.to_vec();
        config.push((&header.0, &header.1));
        let mut command = bare_command("git", &config);
        command.args(arguments).env("GIT_DIR", &self.dir).env("GIT_ALLOW_PROTOCOL", "http:https").current_dir("/");
        let answer = Git::of(command, arguments.first().unwrap_or(&"")).timeout(longest).run().await?;
        Ok(answer.text())
    }
}

/// Whether a push of the mirror met another Sync's.
pub(super) fn is_stale(error: &TransferError) -> bool {
    matches!(error, TransferError::Git(CommandError::Failed { stderr, .. }) if stderr.contains(STALE) || is_busy(stderr))
}

/// Whether git says that a reference was locked by another writer, or moved under its hands: another try may find it free.
pub(super) fn is_busy(words: &str) -> bool {
    ["cannot lock ref", "failed to update ref", "atomic transaction failed"].iter().any(|busy| words.contains(busy))
}

/// Whether the same transfer would fail again: the service knows the caller, and says no.
fn is_final(error: &TransferError) -> bool {
    match error {
        TransferError::Git(CommandError::Failed { stderr, .. }) => {
            ["error: 403", "remote rejected", "not our ref", STALE].iter().any(|words| stderr.contains(words))
        }
        TransferError::Git(CommandError::Start { .. } | CommandError::TooLong { .. }) => true,
        TransferError::Git(CommandError::Pipe { .. } | CommandError::Timeout { .. }) | TransferError::Token { .. } => {
            false
        }
    }
}
