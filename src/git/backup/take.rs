//! One repository after the other becomes a bundle, and the bundle a part of the stream.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{ABOUT, About, BackupArgs, BackupError, FORMAT, SUMS, entry, io, named, say};
use crate::git::{
    command::{Git, bare_command},
    names::RepositoryId,
    upkeep,
};

/// Longest time of one repository.
const LONGEST: Duration = Duration::from_hours(6);
/// Looks at a repository's references until two in a row are the same.
const LOOKS: usize = 500;

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
    // Each once, however often it is named.
    let wanted: BTreeSet<RepositoryId> = args.repositories.iter().map(|name| named(name)).collect::<Result<_, _>>()?;
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
    let references = references(id, dir).await?;
    if references.is_empty() {
        return Ok(None);
    }
    let still = still(dir, &references, scratch).await?;
    let file = scratch.join(format!("{}.bundle", id.name()));
    let git = Git::new(&still, "bundle").args(["create", "--quiet"]).arg(&file).arg("--all");
    git.timeout(LONGEST).run().await?;
    std::fs::remove_dir_all(&still).map_err(io("remove", &still))?;
    Ok(Some(file))
}

/// Names and objects of one moment. Git reads one reference after the other, and a merge moves several: only what was the
/// same twice was so at the moment between.
async fn references(id: &RepositoryId, dir: &Path) -> Result<String, BackupError> {
    let list = || Git::new(dir, "for-each-ref").arg("--format=%(refname) %(objectname)").run();
    let mut before = list().await?.text();
    for _ in 0..LOOKS {
        let now = list().await?.text();
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    let why = "its references never stand still; take it at a quieter time".to_owned();
    Err(BackupError::Repository { name: id.to_string(), why })
}

/// A repository with these references that borrows the objects of the one at `dir`. `git bundle create` reads references
/// twice, and leaves out those that have moved between.
async fn still(dir: &Path, references: &str, scratch: &Path) -> Result<PathBuf, BackupError> {
    let still = scratch.join("still.git");
    Git::init(&still).await?;
    let borrows = still.join("objects/info/alternates");
    std::fs::create_dir_all(still.join("objects/info")).map_err(io("make the folder of", &borrows))?;
    let objects = std::path::absolute(dir.join("objects")).map_err(io("find", dir))?;
    let objects = format!("{}\n", objects.display());
    std::fs::write(&borrows, objects).map_err(io("write", &borrows))?;
    let head = Git::new(dir, "symbolic-ref").args(["--quiet", "HEAD"]).answer().await?.text();
    if !head.is_empty() {
        Git::new(&still, "symbolic-ref").args(["HEAD", &head]).run().await?;
    }
    let lines: String = references.lines().flat_map(|line| ["create ", line, "\n"]).collect();
    // It is gone in a moment: nothing has to survive a power cut.
    let mut command = bare_command("git", &[("core.fsync", "none")]);
    command.args(["update-ref", "--no-deref", "--stdin"]).env("GIT_DIR", &still).current_dir("/");
    Git::of(command, "update-ref").input(lines).timeout(LONGEST).run().await?;
    Ok(still)
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
