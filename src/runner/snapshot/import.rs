//! One commit, streamed into `git fast-import`.

use std::{
    io::{self, BufWriter, Read, Write as _},
    process::{Child, ChildStdin, Stdio},
};

use super::{Authorship, SnapshotError};
use crate::runner::repository::PodRepository;

/// Who made the tree. The person or model behind it is not known here.
const AUTHOR: &str = "phasegate agent <agent@phasegate.dev>";
/// Who made the commit; the git service commits under the same name.
const COMMITTER: &str = "phasegate <git@phasegate.dev>";

/// A commit in the making. Without [`Import::finish`] no reference moves.
#[derive(Debug)]
pub(super) struct Import {
    child: Child,
    stream: Option<BufWriter<ChildStdin>>,
}

impl Import {
    /// Starts a commit that replaces all files of its parent.
    pub(super) fn start(
        repository: &PodRepository,
        reference: &str,
        authorship: &Authorship,
        parent: Option<&str>,
    ) -> Result<Self, SnapshotError> {
        let mut command =
            repository.command(&["fast-import", "--quiet", "--force", "--done", "--date-format=raw"]).into_std();
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| ended(error.to_string()))?;
        let stream = child.stdin.take().map(|stdin| BufWriter::with_capacity(256 << 10, stdin));
        let mut import = Self { child, stream };
        let Authorship { seconds, message } = authorship;
        let from = parent.map(|commit| format!("from {commit}\n")).unwrap_or_default();
        // `reset` first: without `from` a commit would continue what the reference has.
        let head = format!(
            "reset {reference}\ncommit {reference}\nauthor {AUTHOR} {seconds} +0000\ncommitter {COMMITTER} {seconds} +0000\ndata {}\n{message}\n{from}deleteall\n",
            message.len()
        );
        import.write(head.as_bytes())?;
        Ok(import)
    }

    /// Adds a small file or a link.
    pub(super) fn bytes(&mut self, path: &[u8], mode: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.entry(path, mode, u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
        self.write(bytes)?;
        self.write(b"\n")
    }

    /// Adds a file of exactly `size` bytes. `Ok(false)` if there were fewer: then the commit is lost.
    pub(super) fn file(&mut self, path: &[u8], mode: &str, size: u64, from: impl Read) -> Result<bool, ReadOrGit> {
        self.entry(path, mode, size)?;
        let mut from = from.take(size);
        let mut chunk = vec![0; 64 << 10];
        let mut left = size;
        while left > 0 {
            let read = from.read(&mut chunk).map_err(ReadOrGit::Read)?;
            if read == 0 {
                return Ok(false);
            }
            self.write(chunk.get(..read).unwrap_or_default())?;
            left = left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        }
        self.write(b"\n")?;
        Ok(true)
    }

    /// Keeps a submodule as it was.
    pub(super) fn gitlink(&mut self, path: &[u8], commit: &str) -> Result<(), SnapshotError> {
        let line = [b"M 160000 ", commit.as_bytes(), b" ", &quoted(path), b"\n"].concat();
        self.write(&line)
    }

    /// Makes the commit and moves the reference.
    pub(super) fn finish(mut self) -> Result<(), SnapshotError> {
        self.write(b"\ndone\n")?;
        if let Some(mut stream) = self.stream.take() {
            stream.flush().map_err(|error| self.complaint(&error))?;
        }
        let status = self.child.wait().map_err(|error| ended(error.to_string()))?;
        if status.success() { Ok(()) } else { Err(ended(self.words())) }
    }

    fn entry(&mut self, path: &[u8], mode: &str, size: u64) -> Result<(), SnapshotError> {
        let line = [b"M ", mode.as_bytes(), b" inline ", &quoted(path), format!("\ndata {size}\n").as_bytes()].concat();
        self.write(&line)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let Some(stream) = &mut self.stream else { return Err(ended("its input is closed".to_owned())) };
        stream.write_all(bytes).map_err(|error| self.complaint(&error))
    }

    /// Git ended early: its own words say why.
    fn complaint(&mut self, error: &io::Error) -> SnapshotError {
        let words = self.words();
        ended(if words.is_empty() { error.to_string() } else { words })
    }

    fn words(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut words = String::new();
        if let Some(stderr) = self.child.stderr.take() {
            let _ = stderr.take(16 << 10).read_to_string(&mut words);
        }
        words.trim().to_owned()
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What was not finished must not be finished by the end of its input.
        self.stream = None;
    }
}

/// Either end of a copy.
#[derive(Debug)]
pub(super) enum ReadOrGit {
    /// The file could not be read.
    Read(io::Error),
    /// Git could not take it.
    Git(SnapshotError),
}

impl From<SnapshotError> for ReadOrGit {
    fn from(error: SnapshotError) -> Self {
        Self::Git(error)
    }
}

/// A path as fast-import reads it: quoted, with what would end the quotes or the line escaped.
fn quoted(path: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in path {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            b'\n' => quoted.extend(b"\\n"),
            other => quoted.push(*other),
        }
    }
    quoted.push(b'"');
    quoted
}

fn ended(message: String) -> SnapshotError {
    SnapshotError::Ended { command: "fast-import", message }
}
