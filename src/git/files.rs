//! Files of a volume on which others work at the same time: what is gone is no error.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// What is in a folder; nothing if it is not there, or no folder.
pub(super) fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(found) => found.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether it was last written so long ago. Of no age at all is everything that is there, whatever the clock says.
pub(super) fn is_older(path: &Path, age: Duration) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|facts| facts.modified());
    modified.is_ok_and(|modified| age.is_zero() || modified.elapsed().is_ok_and(|elapsed| elapsed >= age))
}

/// Removes a file, or a folder with all in it. A link is removed, not what it leads to.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Brings a bare repository that was just made to the disk: `git init` itself leaves that to chance, and a repository without
/// its HEAD is none. What was fetched into it git has seen to.
pub(super) async fn settle(repository: &Path) -> io::Result<()> {
    for name in ["HEAD", "config", "packed-refs", "objects/pack", "objects", "refs/heads", "refs/tags", "refs", "."] {
        match tokio::fs::File::open(repository.join(name)).await {
            Ok(file) => file.sync_all().await?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::at_once(0, 0, true)]
    #[case::not_yet(10, 20, false)]
    #[case::long_ago(20, 10, true)]
    #[case::of_the_future(-3600, 10, false)]
    #[case::of_the_future_when_all_goes(-3600, 0, true)]
    fn age_is_counted_from_the_last_write(#[case] written_before: i64, #[case] age: u64, #[case] older: bool) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let apart = Duration::from_secs(written_before.unsigned_abs());
        let now = SystemTime::now();
        let written = if written_before < 0 { now + apart } else { now - apart };
        file.as_file().set_modified(written).unwrap();
        assert_eq!(is_older(file.path(), Duration::from_secs(age)), older);
    }

    #[test]
    fn what_is_gone_is_no_error_and_has_no_age() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        remove(&gone).unwrap();
        assert!(!is_older(&gone, Duration::ZERO));
        assert_eq!(entries(&gone).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_link_goes_and_what_it_leads_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (there, link) = (folder.path().join("there"), folder.path().join("link"));
        fs::create_dir(&there).unwrap();
        std::os::unix::fs::symlink(&there, &link).unwrap();
        remove(&link).unwrap();
        assert_eq!(entries(folder.path()).unwrap(), [there]);
    }
}
