//! One repository after the other becomes a bundle, and the bundle a part of the stream.

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{ABOUT, About, BackupArgs, BackupError, FORMAT, SUMS, entry, io, named, say};
use crate::git::{command::Git, names::RepositoryId, upkeep};

/// Longest time of one repository.
const LONGEST: Duration = Duration::from_hours(6);

/// Writes the backup to `out`.
///
/// # Errors
/// If a repository that was named is not there, git fails, or the stream breaks. What was written is no backup then: it
/// lacks its end.
pub async fn take(args: BackupArgs, out: impl Write) -> Result<(), BackupError> {
    let repositories = chosen(&args).await?;
    let scratch = tempfile::tempdir().map_err(io("make a folder in", std::env::temp_dir()))?;
    let mut archive = tar::Builder::new(out);
    let mut sums = String::new();
    let about = About {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        repositories: repositories.iter().map(|(id, _)| id.to_string()).collect(),
    };
    let about = serde_json::to_vec_pretty(&about).unwrap_or_default();
    append(&mut archive, ABOUT, &about)?;
    for (id, dir) in &repositories {
        let Some(bundle) = bundle(id, dir, scratch.path()).await? else {
            say(&format!("{id}: empty, left out"));
            continue;
        };
        let size = std::fs::metadata(&bundle).map_err(io("read", &bundle))?.len();
        sums.extend([&digest(&bundle)?, "  ", &entry(id), "\n"]);
        let mut file = File::open(&bundle).map_err(io("open", &bundle))?;
        archive
            .append_data(&mut header(size), entry(id), &mut file)
            .map_err(|source| BackupError::Stream { what: "write", source })?;
        std::fs::remove_file(&bundle).map_err(io("remove", &bundle))?;
        say(&format!("{id}: {size} bytes"));
    }
    append(&mut archive, SUMS, sums.as_bytes())?;
    let written = archive.into_inner().and_then(|mut out| out.flush());
    written.map_err(|source| BackupError::Stream { what: "write", source })
}

/// Those that were named, or all.
async fn chosen(args: &BackupArgs) -> Result<Vec<(RepositoryId, PathBuf)>, BackupError> {
    let all = upkeep::repositories(&args.root).await;
    if args.repositories.is_empty() {
        return Ok(all);
    }
    let wanted: Vec<RepositoryId> = args.repositories.iter().map(|name| named(name)).collect::<Result<_, _>>()?;
    let find = |id: RepositoryId| {
        let found = all.iter().find(|(there, _)| *there == id).cloned();
        found.ok_or_else(|| BackupError::Repository {
            name: id.to_string(),
            why: format!("there is no such repository below {}", args.root.display()),
        })
    };
    wanted.into_iter().map(find).collect()
}

/// All references and what they lead to; `None` of a repository that has none yet.
async fn bundle(id: &RepositoryId, dir: &Path, scratch: &Path) -> Result<Option<PathBuf>, BackupError> {
    if Git::new(dir, "for-each-ref").arg("--count=1").run().await?.text().is_empty() {
        return Ok(None);
    }
    let file = scratch.join(format!("{}.bundle", id.name()));
    let git = Git::new(dir, "bundle").args(["create", "--quiet"]).arg(&file).arg("--all");
    git.timeout(LONGEST).run().await?;
    Ok(Some(file))
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header
}

fn append(archive: &mut tar::Builder<impl Write>, name: &str, content: &[u8]) -> Result<(), BackupError> {
    let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let written = archive.append_data(&mut header(size), name, content);
    written.map_err(|source| BackupError::Stream { what: "write", source })
}

/// SHA-256 of a file, whatever its size.
pub(super) fn digest(path: &Path) -> Result<String, BackupError> {
    let mut file = File::open(path).map_err(io("open", path))?;
    let (mut digest, mut piece) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut piece).map_err(io("read", path))? {
            0 => return Ok(hex::encode(digest.finalize())),
            read => digest.update(&piece[..read]),
        }
    }
}
