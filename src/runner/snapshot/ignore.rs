//! What `.gitignore` says, asked of git one path at a time.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use super::SnapshotError;
use crate::runner::repository::PodRepository;

/// A `git check-ignore` that stays.
#[derive(Debug)]
pub(super) struct Ignore {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Ignore {
    pub(super) fn start(repository: &PodRepository, workspace: &Path) -> Result<Self, SnapshotError> {
        // Not verbose it would say nothing about what is not ignored, and we would wait for ever.
        let mut command =
            repository.command(&["check-ignore", "--no-index", "--stdin", "-z", "--verbose", "--non-matching"]);
        command.env("GIT_WORK_TREE", workspace).current_dir(workspace);
        let mut command = command.into_std();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| ended(&error.to_string()))?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ended("it has no pipes"));
        };
        Ok(Self { child, ask, answers: BufReader::new(answers) })
    }

    /// Whether a path that the start commit does not know is ignored.
    pub(super) fn ignores(&mut self, path: &[u8]) -> Result<bool, SnapshotError> {
        let io = |error: std::io::Error| ended(&error.to_string());
        // As a path of the root, whatever it begins with.
        let question = [b"./", path, b"\0"].concat();
        self.ask.write_all(&question).map_err(io)?;
        self.ask.flush().map_err(io)?;
        // Source, line, pattern, path: three of them empty if nothing matches.
        let mut pattern = Vec::new();
        for field in 0..4 {
            let mut value = Vec::new();
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
}

impl Drop for Ignore {
    fn drop(&mut self) {
        // Its input ends with it, but it may hang in a pipe or a slow disk.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ended(message: &str) -> SnapshotError {
    SnapshotError::Ended { command: "check-ignore", message: message.to_owned() }
}
