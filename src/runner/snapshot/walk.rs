//! The walk over the work tree.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    path::Path,
};

use rustix::{
    fd::{AsFd as _, BorrowedFd},
    fs::{AtFlags, Dir, FileType, Stat, readlinkat, statat},
    io::Errno,
};

use super::{
    Limits, SnapshotError,
    ignore::Ignore,
    import::{Import, ReadOrGit},
    start::Start,
};
use crate::runner::beneath;

/// Streams every file that counts into the commit, and finishes it.
pub(super) fn walk(
    workspace: &Path,
    start: &Start,
    ignore: Ignore,
    import: Import,
    limits: Limits,
) -> Result<(), SnapshotError> {
    let read = |source| SnapshotError::Read { path: workspace.display().to_string(), source };
    let root = beneath::root(workspace).map_err(read)?;
    let mut walk = Walk { start, ignore, import, limits, files: 0, new_bytes: 0 };
    walk.folder(root.as_fd(), c".", &[], 0)?;
    walk.import.finish()
}

struct Walk<'a> {
    start: &'a Start,
    ignore: Ignore,
    import: Import,
    limits: Limits,
    files: usize,
    new_bytes: u64,
}

impl Walk<'_> {
    fn folder(&mut self, folder: BorrowedFd<'_>, name: &CStr, path: &[u8], depth: usize) -> Result<(), SnapshotError> {
        if depth > self.limits.depth {
            return Err(SnapshotError::TooDeep { path: printable(path), most: self.limits.depth });
        }
        let names = names(folder).map_err(|source| SnapshotError::Read { path: printable(path), source })?;
        self.ignore.enter(folder, name, path)?;
        for name in names {
            let path = joined(path, name.as_bytes());
            match self.entry(folder, &name, &path, depth) {
                // Gone since the folder was listed, or something else by now.
                Err(SnapshotError::Read { source, .. }) if is_gone(&source) => {}
                done => done?,
            }
        }
        self.ignore.leave();
        Ok(())
    }

    fn entry(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &CString,
        path: &[u8],
        depth: usize,
    ) -> Result<(), SnapshotError> {
        self.ignore.in_time()?;
        let read = |source: io::Error| SnapshotError::Read { path: printable(path), source };
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| read(errno.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                if let Some(commit) = self.start.gitlink(path) {
                    self.count()?;
                    return self.import.gitlink(path, commit);
                }
                if self.start.has_folder(path) || !self.ignore.ignores_folder(name, path)? {
                    let inner = beneath::folder(folder, name).map_err(read)?;
                    self.folder(inner.as_fd(), name, path, depth + 1)?;
                }
                Ok(())
            }
            FileType::RegularFile if self.counts(path)? => match beneath::file(folder, name).map_err(read)? {
                Some((file, stat)) => self.file(path, file, &stat),
                None => Ok(()),
            },
            FileType::Symlink if self.counts(path)? => {
                let target = readlinkat(folder, name, Vec::new()).map_err(|errno| read(errno.into()))?;
                self.count()?;
                self.import.bytes(path, "120000", target.as_bytes())
            }
            // Pipes, sockets and devices are no content, as git has it.
            FileType::RegularFile
            | FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Ok(()),
        }
    }

    /// What the start commit knows counts, ignored or not, as git has it.
    fn counts(&mut self, path: &[u8]) -> Result<bool, SnapshotError> {
        Ok(self.start.size(path).is_some() || !self.ignore.ignores(path)?)
    }

    fn file(&mut self, path: &[u8], file: File, stat: &Stat) -> Result<(), SnapshotError> {
        let bytes = u64::try_from(stat.st_size).unwrap_or(0);
        self.count()?;
        if self.start.size(path) != Some(bytes) {
            let most = self.limits.file_bytes;
            if bytes > most {
                return Err(SnapshotError::TooLarge { path: printable(path), bytes, most });
            }
            self.new_bytes += bytes;
            if self.new_bytes > self.limits.new_bytes {
                return Err(SnapshotError::TooMuch(self.limits.new_bytes));
            }
        }
        // Git knows two modes of files; the owner's bit decides.
        let mode = if stat.st_mode & 0o100 == 0 { "100644" } else { "100755" };
        match self.import.file(path, mode, bytes, file) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SnapshotError::Moving { path: printable(path) }),
            Err(ReadOrGit::Git(error)) => Err(error),
            Err(ReadOrGit::Read(error)) if is_gone(&error) => Err(SnapshotError::Moving { path: printable(path) }),
            Err(ReadOrGit::Read(source)) => Err(SnapshotError::Read { path: printable(path), source }),
        }
    }

    fn count(&mut self) -> Result<(), SnapshotError> {
        self.files += 1;
        if self.files > self.limits.files { Err(SnapshotError::TooMany(self.limits.files)) } else { Ok(()) }
    }
}

/// What is in a folder, in order, without git's own folders wherever they are: the work tree's own, and those of
/// repositories within it, which thereby are plain folders.
fn names(folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") && !is_dot_git(name.as_bytes()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// `.git` as any file system may spell it; git refuses trees with such names (CVE-2014-9390).
fn is_dot_git(name: &[u8]) -> bool {
    let end = name.iter().rposition(|byte| !matches!(byte, b'.' | b' ')).map_or(0, |last| last + 1);
    let trimmed = name.get(..end).unwrap_or_default();
    trimmed.eq_ignore_ascii_case(b".git") || trimmed.eq_ignore_ascii_case(b"git~1")
}

fn is_gone(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

pub(super) fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}

pub(super) fn printable(path: &[u8]) -> String {
    if path.is_empty() { ".".to_owned() } else { crate::text::cut(&String::from_utf8_lossy(path), 300) }
}
