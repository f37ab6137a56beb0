//! What `.gitignore` says, asked of git one path at a time.
//!
//! Git never looks into the work tree: it would open whatever is named `.gitignore` there, and wait for ever at a pipe.
//! It is given a shadow of the tree instead, out of the agent's reach: the folders of the walk, and of each a copy of
//! its `.gitignore`, if that is a plain file. The rules are git's own that way, and the bytes are bounded.

use std::{
    ffi::CStr,
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd as _, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags, mkdirat, openat},
    io::Errno,
};
use tempfile::TempDir;

use super::{Limits, SnapshotError};
use crate::runner::{
    beneath::{self, Content},
    repository::PodRepository,
};

const RULES: &str = ".gitignore";

/// A `git check-ignore` that stays, and the shadow that it looks at.
#[derive(Debug)]
pub(super) struct Ignore {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    levels: Vec<Level>,
    limits: Limits,
    deadline: Instant,
    /// Nobody waits for the walk any more.
    given_up: Arc<AtomicBool>,
    /// Gone with it.
    shadow: TempDir,
}

/// A folder that the walk is in.
#[derive(Debug)]
struct Level {
    shadow: OwnedFd,
    /// Bytes of the rules that are in force here.
    bytes: u64,
}

impl Ignore {
    pub(super) fn start(
        repository: &PodRepository,
        limits: Limits,
        given_up: Arc<AtomicBool>,
    ) -> Result<Self, SnapshotError> {
        let io = |error: io::Error| ended(&error.to_string());
        let shadow = tempfile::Builder::new().prefix("shadow-").tempdir_in(repository.folder()).map_err(io)?;
        // Not verbose it would say nothing about what is not ignored, and we would wait for ever.
        let mut command =
            repository.command(&["check-ignore", "--no-index", "--stdin", "-z", "--verbose", "--non-matching"]);
        command.env("GIT_WORK_TREE", shadow.path()).current_dir(shadow.path());
        let mut command = command.into_std();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(io)?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ended("it has no pipes"));
        };
        let deadline = Instant::now() + limits.time;
        Ok(Self {
            child,
            ask,
            answers: BufReader::new(answers),
            levels: Vec::new(),
            limits,
            deadline,
            given_up,
            shadow,
        })
    }

    /// The walk goes into a folder of the work tree: the root, or one of the folder it is in.
    pub(super) fn enter(&mut self, folder: BorrowedFd<'_>, name: &CStr, path: &[u8]) -> Result<(), SnapshotError> {
        let shadow = match self.levels.last() {
            None => beneath::root(self.shadow.path()).map_err(|error| ended(&error.to_string()))?,
            Some(Level { shadow, .. }) => {
                make(shadow.as_fd(), name)?;
                beneath::folder(shadow.as_fd(), name).map_err(|error| ended(&error.to_string()))?
            }
        };
        let before = self.levels.last().map_or(0, |level| level.bytes);
        let most = self.limits.ignore_bytes;
        let left = most.saturating_sub(before);
        let named = || super::walk::printable(&super::walk::joined(path, RULES.as_bytes()));
        let rules = match beneath::read(&folder, Path::new(RULES), left) {
            Ok(Content::Bytes(rules)) => rules,
            // As git has it: a link is not followed, and what is no file says nothing.
            Ok(Content::Missing | Content::NotPlain) => Vec::new(),
            Ok(Content::TooLong) => return Err(SnapshotError::TooManyRules { path: named(), most }),
            Err(source) => return Err(SnapshotError::Read { path: named(), source }),
        };
        if !rules.is_empty() {
            write(shadow.as_fd(), &rules).map_err(|error| ended(&error.to_string()))?;
        }
        let bytes = before + u64::try_from(rules.len()).unwrap_or(u64::MAX);
        self.levels.push(Level { shadow, bytes });
        Ok(())
    }

    /// The walk goes back to the folder before.
    pub(super) fn leave(&mut self) {
        self.levels.pop();
    }

    /// Whether a folder of the folder that the walk is in is ignored.
    pub(super) fn ignores_folder(&mut self, name: &CStr, path: &[u8]) -> Result<bool, SnapshotError> {
        if let Some(level) = self.levels.last() {
            // Git looks whether it is one.
            make(level.shadow.as_fd(), name)?;
        }
        self.ignores(path)
    }

    /// Whether a file that the start commit does not know is ignored.
    pub(super) fn ignores(&mut self, path: &[u8]) -> Result<bool, SnapshotError> {
        let io = |error: io::Error| ended(&error.to_string());
        // As a path of the root, whatever it begins with.
        let question = [b"./", path, b"\0"].concat();
        self.ask.write_all(&question).map_err(io)?;
        self.ask.flush().map_err(io)?;
        // Source, line, pattern, path: three of them empty if nothing matches.
        let mut pattern = Vec::new();
        for field in 0..4 {
            let mut value = Vec::new();
            self.wait()?;
            self.answers.read_until(0, &mut value).map_err(io)?;
            if value.pop() != Some(0) {
                return Err(ended(&format!("it ended at {}", String::from_utf8_lossy(path))));
            }
            if field == 2 {
                pattern = value;
            }
        }
        Ok(pattern.first().is_some_and(|first| *first != b'!'))
    }

    /// Waits for an answer. Patterns can be made that git takes years for.
    fn wait(&self) -> Result<(), SnapshotError> {
        while self.answers.buffer().is_empty() {
            let left = self.in_time()?;
            let left = Timespec::try_from(left).map_err(|error| ended(&error.to_string()))?;
            match poll(&mut [PollFd::new(self.answers.get_ref(), PollFlags::IN)], Some(&left)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => break,
                Err(errno) => return Err(ended(&errno.to_string())),
            }
        }
        Ok(())
    }

    /// The time that is left for the whole walk.
    pub(super) fn in_time(&self) -> Result<Duration, SnapshotError> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(ended("nobody waits for it any more"));
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(SnapshotError::TooSlow(self.limits.time.as_secs())) } else { Ok(left) }
    }
}

impl Drop for Ignore {
    fn drop(&mut self) {
        // Its input ends with it, but it may be busy with a pattern, or hang at a slow disk.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn make(shadow: BorrowedFd<'_>, name: &CStr) -> Result<(), SnapshotError> {
    match mkdirat(shadow, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(ended(&errno.to_string())),
    }
}

fn write(shadow: BorrowedFd<'_>, rules: &[u8]) -> io::Result<()> {
    let how = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    std::fs::File::from(openat(shadow, RULES, how, Mode::RUSR | Mode::WUSR)?).write_all(rules)
}

fn ended(message: &str) -> SnapshotError {
    SnapshotError::Ended { command: "check-ignore", message: message.to_owned() }
}
