//! Runs git: one place for its environment, its configuration, its limits and its end.
//!
//! Every process gets an empty environment, no configuration of the system or a user, no hooks but ours, and a process
//! group of its own, so that it can be ended with all its children. Nothing here knows what a command means.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicI32, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

/// Longest time of one git command of ours. A transfer has its own limit.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a git process may take to end after SIGTERM, on which it removes its lock files.
const GRACE: Duration = Duration::from_secs(5);
/// Most bytes kept of what a command says on standard error.
const MAX_STDERR: usize = 16 << 10;
/// Most bytes read of what a command answers, unless the caller says otherwise.
const MAX_STDOUT: usize = 16 << 20;

/// Bytes that are read and handed on at once where they are not kept.
pub(crate) const PIECE: usize = 64 << 10;

/// Most bytes that git takes at once, as `GIT_ALLOC_LIMIT`: what a packed object may come to in memory. Files above
/// `core.bigFileThreshold` that are not packed as differences need none.
pub(crate) const MAX_OBJECT: &str = "256m";

/// Configuration of every git process of the service. Here and not in the repositories' files, so that a new version
/// of the service changes all of them.
const CONFIG: &[(&str, &str)] = &[
    ("safe.directory", "*"),
    // What an answer says is there must be there after a power cut.
    ("core.fsync", "committed,reference"),
    ("core.filesRefLockTimeout", "5000"),
    ("core.packedRefsTimeout", "5000"),
    ("core.logAllRefUpdates", "false"),
    ("core.quotePath", "false"),
    // Larger files are read and written in pieces, neither compared nor packed as differences.
    ("core.bigFileThreshold", "64m"),
    ("merge.renames", "true"),
    ("merge.directoryRenames", "false"),
    ("merge.renameLimit", "1000"),
    ("transfer.fsckObjects", "true"),
    ("receive.denyDeletes", "true"),
    ("receive.denyNonFastForwards", "false"),
    ("receive.denyCurrentBranch", "ignore"),
    ("receive.unpackLimit", "1000"),
    // Old blemishes of honest upstream histories, harmless to every reader.
    ("receive.fsck.zeroPaddedFilemode", "ignore"),
    ("receive.fsck.badTimezone", "ignore"),
    ("receive.fsck.missingSpaceBeforeDate", "ignore"),
    ("uploadpack.allowAnySHA1InWant", "true"),
    ("uploadpack.allowFilter", "true"),
    ("http.getanyfile", "false"),
    // The service collects by itself: `upkeep`.
    ("gc.auto", "0"),
    ("receive.autogc", "false"),
    ("gc.pruneExpire", "2.weeks.ago"),
];

/// A git process that did not answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The program cannot be started.
    #[error("failed to start git {command}: {source}; the image must hold git 2.39 or newer")]
    Start {
        /// The git command.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// Its pipes broke.
    #[error("failed to talk to git {command}: {source}")]
    Pipe {
        /// The git command.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// It took too long and was ended.
    #[error("git {command} took longer than {} s and was ended", limit.as_secs())]
    Timeout {
        /// The git command.
        command: String,
        /// Its limit.
        limit: Duration,
    },
    /// It ended with an exit code its caller did not expect.
    #[error("failed to run git {command} ({status}): {stderr}")]
    Failed {
        /// The git command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// It answered more than its caller can hold.
    #[error("failed to read the answer of git {command}: it is longer than {limit} bytes")]
    TooLong {
        /// The git command.
        command: String,
        /// The limit in bytes.
        limit: usize,
    },
}

/// What a git process answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Exit code; -1 if a signal ended it.
    pub(crate) code: i32,
    /// Standard output, cut at the limit.
    pub(crate) stdout: Vec<u8>,
    /// Standard error, cut.
    pub(crate) stderr: String,
    /// Standard output was cut, and the process ended for it.
    pub(crate) truncated: bool,
    status: ExitStatus,
    command: String,
}

impl Answer {
    /// The answer if the exit code was 0 and nothing was cut.
    pub(crate) fn success(self) -> Result<Self, CommandError> {
        if self.truncated {
            return Err(CommandError::TooLong { command: self.command, limit: self.stdout.len() });
        }
        if self.code == 0 { Ok(self) } else { Err(self.failed()) }
    }

    /// The error for an exit code nobody expected.
    pub(crate) fn failed(self) -> CommandError {
        CommandError::Failed { command: self.command, status: self.status, stderr: self.stderr.trim().to_owned() }
    }

    /// Standard output as text without its last line end; bytes that are not UTF-8 are replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end_matches('\n').to_owned()
    }
}

/// An empty environment with what every git process of the service needs.
pub(crate) fn bare_command(program: &str, config: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin")))
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_COUNT", (CONFIG.len() + config.len()).to_string())
        .process_group(0);
    for (index, (key, value)) in CONFIG.iter().chain(config).enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{index}"), key).env(format!("GIT_CONFIG_VALUE_{index}"), value);
    }
    command
}

/// One git command in one repository.
pub(crate) struct Git {
    command: Command,
    name: String,
    input: Vec<u8>,
    limit: usize,
    timeout: Duration,
}

impl Git {
    /// `git {name}` with the repository at `dir`.
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let mut command = bare_command("git", &[]);
        command.arg(name).env("GIT_DIR", dir).env("GIT_ALLOC_LIMIT", MAX_OBJECT).current_dir("/");
        Self::of(command, name)
    }

    /// Makes an empty bare repository at `dir`, with nothing of a template.
    pub(crate) async fn init(dir: &Path) -> Result<(), CommandError> {
        let git = Self::new(dir, "init").args(["--quiet", "--bare", "--template=", "--object-format=sha1"]);
        git.run().await.map(drop)
    }

    /// A command that was put together elsewhere, named in errors.
    pub(crate) fn of(command: Command, name: &str) -> Self {
        Self { command, name: name.to_owned(), input: Vec::new(), limit: MAX_STDOUT, timeout: COMMAND_TIMEOUT }
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub(crate) fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    /// Sets one variable.
    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// What the command reads.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Most bytes of answer; the process is ended at the first byte beyond.
    pub(crate) fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Longest time it may take.
    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs it and expects exit code 0.
    pub(crate) async fn run(self) -> Result<Answer, CommandError> {
        self.answer().await?.success()
    }

    /// Runs it and hands on what it answers piece by piece, however long; expects exit code 0. Input is not given.
    pub(crate) async fn stream(mut self, each: &mut (impl FnMut(&[u8]) + Send)) -> Result<Answer, CommandError> {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            self.command.spawn().map_err(|source| CommandError::Start { command: self.name.clone(), source })?;
        let group = Group::of(&child);
        let Ok(said) = tokio::time::timeout(self.timeout, listen(&mut child, each)).await else {
            end(&mut child, &group).await;
            return Err(CommandError::Timeout { command: self.name, limit: self.timeout });
        };
        let stderr = said.map_err(|source| CommandError::Pipe { command: self.name.clone(), source })?;
        let status = child.wait().await.unwrap_or_default();
        group.forget();
        let code = status.code().unwrap_or(-1);
        Answer { code, stdout: Vec::new(), stderr, truncated: false, status, command: self.name }.success()
    }

    /// Runs it and hands on whatever exit code there is.
    pub(crate) async fn answer(mut self) -> Result<Answer, CommandError> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            self.command.spawn().map_err(|source| CommandError::Start { command: self.name.clone(), source })?;
        let group = Group::of(&child);
        let talk = talk(&mut child, &self.input, self.limit);
        let Ok(talked) = tokio::time::timeout(self.timeout, talk).await else {
            end(&mut child, &group).await;
            return Err(CommandError::Timeout { command: self.name, limit: self.timeout });
        };
        let pipe = |source| CommandError::Pipe { command: self.name.clone(), source };
        let (stdout, stderr, truncated) = talked.map_err(pipe)?;
        let status = if truncated { end(&mut child, &group).await } else { child.wait().await.ok() };
        group.forget();
        let status = status.unwrap_or_default();
        let code = if truncated { -1 } else { status.code().unwrap_or(-1) };
        Ok(Answer { code, stdout, stderr, truncated, status, command: self.name })
    }
}

/// Reads standard output in pieces and standard error to its limit at once.
async fn listen(child: &mut Child, each: &mut (impl FnMut(&[u8]) + Send)) -> std::io::Result<String> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = async {
        let Some(mut stdout) = stdout else { return Ok(()) };
        let mut piece = vec![0; PIECE];
        loop {
            match stdout.read(&mut piece).await? {
                0 => return Ok(()),
                read => each(&piece[..read]),
            }
            // What is done with a piece takes time, in which others wait.
            tokio::task::yield_now().await;
        }
    };
    let (out, err) = tokio::join!(read, read_up_to(stderr, MAX_STDERR, true));
    out.and(err).map(|(stderr, _)| String::from_utf8_lossy(&stderr).into_owned())
}

/// Writes the input and reads both outputs at once, so that no pipe can fill up and block.
async fn talk(child: &mut Child, input: &[u8], limit: usize) -> std::io::Result<(Vec<u8>, String, bool)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A command that ends early has said why; the broken pipe adds nothing.
            let _ = stdin.write_all(input).await;
        }
    };
    let read = async {
        let (out, err) = tokio::join!(read_up_to(stdout, limit, false), read_up_to(stderr, MAX_STDERR, true));
        Ok::<_, std::io::Error>((out?, err?))
    };
    let ((), read) = tokio::join!(write, read);
    let ((stdout, truncated), (stderr, _)) = read?;
    Ok((stdout, String::from_utf8_lossy(&stderr).into_owned(), truncated))
}

/// Reads at most `limit` bytes; with `drain` the rest is read and thrown away, so that the writer does not block.
async fn read_up_to<R: AsyncRead + Unpin>(
    pipe: Option<R>,
    limit: usize,
    drain: bool,
) -> std::io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    let Some(mut pipe) = pipe else { return Ok((bytes, false)) };
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    (&mut pipe).take(most.saturating_add(1)).read_to_end(&mut bytes).await?;
    let truncated = bytes.len() > limit;
    bytes.truncate(limit);
    if truncated && drain {
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok((bytes, truncated))
}

/// The process group of a child: told to end as a whole when this is dropped, unless it was forgotten. By SIGTERM, never
/// by SIGKILL, which would leave git's lock files behind.
pub(crate) struct Group(AtomicI32);

impl Group {
    /// The group that `bare_command` gives every child.
    pub(crate) fn of(child: &Child) -> Self {
        Self(AtomicI32::new(child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(0)))
    }

    /// Sends a signal to all of it; a group that is gone is fine.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.0.load(Ordering::Relaxed)) {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// The child was waited for: its number may belong to somebody else from now on.
    pub(crate) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
    }
}

/// SIGTERM first: git then removes its lock files. SIGKILL if that takes too long.
pub(crate) async fn end(child: &mut Child, group: &Group) -> Option<ExitStatus> {
    group.signal(Signal::TERM);
    let ended = tokio::time::timeout(GRACE, child.wait()).await;
    if ended.is_err() {
        group.signal(Signal::KILL);
    }
    let status = match ended {
        Ok(status) => status.ok(),
        Err(_) => child.wait().await.ok(),
    };
    group.forget();
    status
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A git command that runs a shell script.
    fn shell(script: &str) -> Git {
        Git::new(Path::new("/nonexistent"), "-c").arg(format!("alias.run=!{script}")).arg("run")
    }

    async fn within(git: Git, millis: u64) -> Result<Answer, CommandError> {
        Git { timeout: Duration::from_millis(millis), ..git }.answer().await
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let start = Instant::now();
        let script = format!("sleep 300 & echo $! > {}; wait", file.display());
        let error = within(shell(&script), 500).await.unwrap_err();
        assert!(matches!(error, CommandError::Timeout { .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10));
        let pid: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let ended = || std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z"));
        for _ in 0..50 {
            if ended() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the child of the command still runs");
    }

    #[tokio::test]
    async fn a_command_that_is_deaf_to_sigterm_is_killed() {
        let start = Instant::now();
        let error = within(shell("trap : TERM; while :; do sleep 1; done"), 300).await.unwrap_err();
        assert!(matches!(error, CommandError::Timeout { .. }), "{error}");
        assert!(start.elapsed() < GRACE + Duration::from_secs(5));
    }

    #[tokio::test]
    async fn an_answer_is_cut_at_its_limit_and_an_endless_one_is_ended() {
        let answer = shell("yes").limit(10).answer().await.unwrap();
        assert_eq!((answer.stdout.as_slice(), answer.truncated), (&b"y\ny\ny\ny\ny\n"[..], true));
        let error = shell("yes").limit(10).run().await.unwrap_err();
        assert!(matches!(error, CommandError::TooLong { limit: 10, .. }), "{error}");
    }

    #[tokio::test]
    async fn an_answer_of_any_length_comes_in_pieces() {
        let mut length = 0;
        shell("head -c 3000000 /dev/zero").stream(&mut |piece| length += piece.len()).await.unwrap();
        assert_eq!(length, 3_000_000);
        let error = shell("echo half; echo because >&2; exit 3").stream(&mut |_| {}).await.unwrap_err();
        assert!(error.to_string().contains("because"), "{error}");
    }

    #[tokio::test]
    async fn input_larger_than_a_pipe_reaches_a_command_that_answers_as_much() {
        let input = vec![b'x'; 1 << 20];
        let answer = shell("cat").input(input.clone()).run().await.unwrap();
        assert!(answer.stdout == input);
        shell("true").input(input).run().await.unwrap();
    }

    #[tokio::test]
    async fn a_command_sees_nothing_of_our_environment() {
        let answer = shell("env").run().await.unwrap().text();
        assert!(answer.contains("HOME=/nonexistent") && answer.contains("GIT_CONFIG_NOSYSTEM=1"), "{answer}");
        assert!(!answer.contains("CARGO"), "{answer}");
    }

    #[tokio::test]
    async fn a_failure_carries_gits_own_words() {
        let error = shell("echo because >&2; exit 3").run().await.unwrap_err();
        assert!(error.to_string().contains("because"), "{error}");
        let answer = shell("exit 3").answer().await.unwrap();
        assert_eq!(answer.code, 3);
    }
}
