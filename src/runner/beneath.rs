//! Opens files in a folder that a hostile process writes to at the same time.
//!
//! Every step of a path is opened from the folder before it and never through a link, so that nothing outside the
//! folder is reached whatever is swapped meanwhile (openat2 would do it in one call, but older seccomp profiles refuse
//! it). A pipe or device does not block, and is refused.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat},
    io::Errno,
    path::Arg,
};

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// What is in a bounded file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// All of it.
    Bytes(Vec<u8>),
    /// It, or a folder of its path, is not there.
    Missing,
    /// It is a link, a folder, a pipe or a device, or lies behind one.
    NotPlain,
    /// It is longer than the limit.
    TooLong,
}

/// Opens the folder that everything is beneath.
pub(super) fn root(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, FOLDER, Mode::empty())?)
}

/// Opens a folder in a folder.
pub(super) fn folder(parent: BorrowedFd<'_>, name: impl Arg) -> io::Result<OwnedFd> {
    Ok(openat(parent, name, FOLDER, Mode::empty())?)
}

/// Opens a plain file in a folder; `None` if it is something else.
pub(super) fn file(parent: BorrowedFd<'_>, name: impl Arg) -> io::Result<Option<(File, Stat)>> {
    let opened = match openat(parent, name, FILE, Mode::empty()) {
        Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => return Ok(None),
        opened => opened?,
    };
    let stat = fstat(&opened)?;
    let plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(plain.then(|| (File::from(opened), stat)))
}

/// A file that was asked for.
#[derive(Debug)]
pub(super) enum Opened {
    /// It is there.
    File(File),
    /// It, or a folder of its path, is not there.
    Missing,
    /// It is a link, a folder, a pipe or a device, or lies behind one.
    NotPlain,
}

/// Reads a file of at most `most` bytes by its path beneath `root`: no `..`, not absolute.
pub(super) fn read(root: &impl AsFd, path: &Path, most: u64) -> io::Result<Content> {
    let file = match open(root, path)? {
        Opened::File(file) => file,
        Opened::Missing => return Ok(Content::Missing),
        Opened::NotPlain => return Ok(Content::NotPlain),
    };
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    let long = u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most;
    Ok(if long { Content::TooLong } else { Content::Bytes(bytes) })
}

/// Opens a file by its path beneath `root`: no `..`, not absolute.
pub(super) fn open(root: &impl AsFd, path: &Path) -> io::Result<Opened> {
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => names.push(name),
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir | std::path::Component::RootDir | std::path::Component::Prefix(_) => {
                return Ok(Opened::NotPlain);
            }
        }
    }
    let Some((last, folders)) = names.split_last() else { return Ok(Opened::NotPlain) };
    let found = descend(root.as_fd(), folders).and_then(|holder| match &holder {
        Some(holder) => file(holder.as_fd(), *last),
        None => file(root.as_fd(), *last),
    });
    match found {
        Ok(Some((file, _))) => Ok(Opened::File(file)),
        Ok(None) => Ok(Opened::NotPlain),
        Err(error) => absent(error),
    }
}

fn descend(root: BorrowedFd<'_>, folders: &[&std::ffi::OsStr]) -> io::Result<Option<OwnedFd>> {
    let mut holder: Option<OwnedFd> = None;
    for name in folders {
        holder = Some(folder(holder.as_ref().map_or(root, AsFd::as_fd), *name)?);
    }
    Ok(holder)
}

fn absent(error: io::Error) -> io::Result<Opened> {
    match Errno::from_io_error(&error) {
        Some(Errno::NOENT) => Ok(Opened::Missing),
        // A link where a folder should be, or a file.
        Some(Errno::NOTDIR | Errno::LOOP) => Ok(Opened::NotPlain),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rstest::rstest;

    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join("w").join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(dir.path().join("secret"), "token").unwrap();
        std::fs::write(at("a/b/report"), "12345").unwrap();
        symlink("/etc/passwd", at("passwd")).unwrap();
        symlink("../secret", at("secret")).unwrap();
        symlink("/etc", at("etc")).unwrap();
        symlink("a", at("alias")).unwrap();
        rustix::fs::mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        dir
    }

    #[rstest]
    #[case::plain("a/b/report", Content::Bytes(b"12345".to_vec()))]
    #[case::plain_with_dots("./a/./b/report", Content::Bytes(b"12345".to_vec()))]
    #[case::missing("a/c/report", Content::Missing)]
    #[case::a_folder("a/b", Content::NotPlain)]
    #[case::the_root("", Content::NotPlain)]
    #[case::a_link_out("passwd", Content::NotPlain)]
    #[case::a_relative_link_out("secret", Content::NotPlain)]
    #[case::a_folder_that_is_a_link("etc/passwd", Content::NotPlain)]
    #[case::a_link_that_stays("alias/b/report", Content::NotPlain)]
    #[case::a_file_as_folder("a/b/report/x", Content::NotPlain)]
    #[case::a_pipe("pipe", Content::NotPlain)]
    #[case::upwards("../secret", Content::NotPlain)]
    #[case::upwards_within("a/../../secret", Content::NotPlain)]
    #[case::absolute("/etc/passwd", Content::NotPlain)]
    fn only_plain_files_beneath_the_root_are_read(#[case] path: &str, #[case] expected: Content) {
        let dir = tree();
        let root = root(&dir.path().join("w")).unwrap();
        assert_eq!(read(&root, Path::new(path), 5).unwrap(), expected);
    }

    #[test]
    fn a_file_over_the_limit_is_not_read_to_its_end() {
        let dir = tree();
        let root = root(&dir.path().join("w")).unwrap();
        assert_eq!(read(&root, Path::new("a/b/report"), 4).unwrap(), Content::TooLong);
        let huge = File::create(dir.path().join("w/huge")).unwrap();
        huge.set_len(1 << 40).unwrap();
        assert_eq!(read(&root, Path::new("huge"), 1 << 20).unwrap(), Content::TooLong);
    }
}
