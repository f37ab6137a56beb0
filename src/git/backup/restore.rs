//! A stream becomes repositories: all of it is read and checked first, built beside, and put in place at the end.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use super::{ABOUT, About, BackupError, FORMAT, RestoreArgs, SCRATCH, SUMS, entry, io, named, say, take::digest};
use crate::git::{command::Git, files, names::RepositoryId};

/// Longest time of one repository.
const LONGEST: Duration = Duration::from_hours(6);
/// Most bytes of the entries that are read into memory.
const MAX_TEXT: u64 = 16 << 20;

/// Reads a backup from `input` and puts its repositories in place.
///
/// # Errors
/// If the stream is not a whole backup, a repository is there already and `--replace` was not given, or git finds fault
/// with one. The volume is as it was then.
pub async fn restore(args: RestoreArgs, input: impl Read) -> Result<(), BackupError> {
    let wanted: Vec<RepositoryId> = args.repositories.iter().map(|name| named(name)).collect::<Result<_, _>>()?;
    let scratch = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(&args.root);
    let scratch = scratch.map_err(io("make a folder in", &args.root))?;
    let bundles = read(input, scratch.path())?;
    let chosen = choose(bundles, &wanted)?;
    if let Some(id) = chosen.keys().find(|id| !args.replace && place(&args.root, id).exists()) {
        let why = "it is there already; restore with --replace to put the backup in its place, or name others";
        return Err(BackupError::Repository { name: id.to_string(), why: why.to_owned() });
    }
    let mut built = Vec::new();
    for (id, bundle) in chosen {
        let dir = build(&id, &bundle, scratch.path()).await?;
        std::fs::remove_file(&bundle).map_err(io("remove", &bundle))?;
        say(&format!("{id}: read and checked"));
        built.push((id, dir));
    }
    put_all(&built, &args.root)
}

fn place(root: &Path, id: &RepositoryId) -> PathBuf {
    root.join(id.namespace()).join(format!("{}.git", id.name()))
}

/// The bundles of a whole backup, as files below `scratch`.
fn read(input: impl Read, scratch: &Path) -> Result<BTreeMap<RepositoryId, PathBuf>, BackupError> {
    let broken = |source| BackupError::Stream { what: "read", source };
    let mut archive = tar::Archive::new(input);
    let mut about: Option<About> = None;
    let mut sums: Option<String> = None;
    let mut found = BTreeMap::new();
    for part in archive.entries().map_err(broken)? {
        let mut part = part.map_err(|error| BackupError::Archive(format!("it is cut, or no tar archive: {error}")))?;
        let name = part.path().map_err(broken)?.to_string_lossy().into_owned();
        if !part.header().entry_type().is_file() || sums.is_some() {
            return Err(BackupError::Archive(format!("{name} does not belong there")));
        }
        match (&about, name.as_str()) {
            (None, ABOUT) => about = Some(understand(&text(&mut part)?)?),
            (None, _) => return Err(BackupError::Archive(format!("it begins with {name}, not with {ABOUT}"))),
            (Some(_), SUMS) => sums = Some(text(&mut part)?),
            (Some(about), _) => {
                let id = name.strip_suffix(".bundle").map(named).transpose().ok().flatten();
                let id = id.filter(|id| about.repositories.contains(&id.to_string()) && !found.contains_key(id));
                let id = id.ok_or_else(|| BackupError::Archive(format!("{name} does not belong there")))?;
                // By number: no name of the archive becomes a name of the volume.
                let file = scratch.join(format!("{}.bundle", found.len()));
                let mut out = std::fs::File::create_new(&file).map_err(io("make", &file))?;
                std::io::copy(&mut part, &mut out).map_err(io("write", &file))?;
                found.insert(id, file);
            }
        }
    }
    let cut = "it ends too early: take it again, and keep only what ended with exit code 0";
    let sums = sums.ok_or_else(|| BackupError::Archive(cut.to_owned()))?;
    verify(&sums, &found)?;
    Ok(found)
}

fn text(part: &mut tar::Entry<'_, impl Read>) -> Result<String, BackupError> {
    if part.size() > MAX_TEXT {
        let name = part.path_bytes();
        let name = String::from_utf8_lossy(&name);
        return Err(BackupError::Archive(format!("{name} is longer than {MAX_TEXT} bytes")));
    }
    let mut text = String::new();
    part.read_to_string(&mut text).map_err(|source| BackupError::Stream { what: "read", source })?;
    Ok(text)
}

fn understand(text: &str) -> Result<About, BackupError> {
    let about: About = serde_json::from_str(text).map_err(|error| BackupError::Archive(format!("{ABOUT}: {error}")))?;
    if about.format != FORMAT {
        let (format, version) = (about.format, &about.version);
        let words = format!("it has format {format}, written by version {version}; this version reads format {FORMAT}");
        return Err(BackupError::Archive(words));
    }
    Ok(about)
}

/// Every bundle is as it was written, and none is missing.
fn verify(sums: &str, found: &BTreeMap<RepositoryId, PathBuf>) -> Result<(), BackupError> {
    let mut expected: BTreeMap<&str, &str> =
        sums.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
    for (id, file) in found {
        let name = entry(id);
        if expected.remove(name.as_str()) != Some(digest(file)?.as_str()) {
            return Err(BackupError::Archive(format!("{name} is not what {SUMS} says: the file is damaged")));
        }
    }
    match expected.keys().next() {
        Some(name) => Err(BackupError::Archive(format!("{name} of {SUMS} is missing"))),
        None => Ok(()),
    }
}

fn choose(
    mut bundles: BTreeMap<RepositoryId, PathBuf>,
    wanted: &[RepositoryId],
) -> Result<BTreeMap<RepositoryId, PathBuf>, BackupError> {
    if let Some(missing) = wanted.iter().find(|id| !bundles.contains_key(id)) {
        let why = "it is not in this backup".to_owned();
        return Err(BackupError::Repository { name: missing.to_string(), why });
    }
    bundles.retain(|id, _| wanted.is_empty() || wanted.contains(id));
    Ok(bundles)
}

/// A repository with the references of a bundle, checked by git.
async fn build(id: &RepositoryId, bundle: &Path, scratch: &Path) -> Result<PathBuf, BackupError> {
    let dir = scratch.join(format!("{}.git", bundle.file_stem().unwrap_or_default().to_string_lossy()));
    Git::init(&dir).await?;
    let from = bundle.to_string_lossy();
    let fetch = ["--quiet", "--no-tags", "--no-write-fetch-head", "--", &*from, "+refs/*:refs/*"];
    // What is on the volume by now was checked when it was pushed; an old blemish must not keep a backup from being restored.
    let git = Git::new(&dir, "fetch").env("GIT_ALLOW_PROTOCOL", "file").args(fetch);
    git.timeout(LONGEST).run().await?;
    Git::new(&dir, "fsck")
        .args(["--connectivity-only", "--no-dangling", "--no-progress"])
        .timeout(LONGEST)
        .run()
        .await?;
    let head = Git::new(&dir, "bundle").args(["list-heads", &*from, "HEAD"]).answer().await?.text();
    point(&dir, head.split(' ').next().unwrap_or_default()).await?;
    files::settle(&dir).await.map_err(io("write to the disk", &dir))?;
    tracing::debug!(repository = %id, "built");
    Ok(dir)
}

/// HEAD, on the branch that is where it was; the operator sets it to the base branch in any case.
async fn point(dir: &Path, commit: &str) -> Result<(), BackupError> {
    if commit.is_empty() {
        return Ok(());
    }
    let git = Git::new(dir, "for-each-ref").args(["--format=%(refname)", "--points-at", commit, "refs/heads"]);
    let names = git.run().await?.text();
    let branch = names.lines().find(|name| *name == "refs/heads/main").or_else(|| names.lines().next());
    if let Some(branch) = branch {
        Git::new(dir, "symbolic-ref").args(["HEAD", branch]).run().await?;
    }
    Ok(())
}

/// All of them, or none: what was put before one that fails is taken back.
fn put_all(built: &[(RepositoryId, PathBuf)], root: &Path) -> Result<(), BackupError> {
    let mut done = Vec::new();
    for (id, dir) in built {
        match put(id, dir, root) {
            Ok(replaced) => done.push((id, dir, replaced)),
            Err(error) => {
                done.into_iter().rev().for_each(|(id, dir, replaced)| take_back(id, dir, root, replaced));
                return Err(error);
            }
        }
    }
    for (id, ..) in done {
        say(&format!("{id}: restored"));
    }
    Ok(())
}

/// One rename. What was there is where the new one was then; whether there was something.
fn put(id: &RepositoryId, dir: &Path, root: &Path) -> Result<bool, BackupError> {
    let place = place(root, id);
    let namespace = root.join(id.namespace());
    std::fs::create_dir_all(&namespace).map_err(io("make", &namespace))?;
    if place.exists() {
        exchange(dir, &place).map(|()| true).map_err(io("replace", &place))
    } else {
        std::fs::rename(dir, &place).map(|()| false).map_err(io("put in place", &place))
    }
}

fn take_back(id: &RepositoryId, dir: &Path, root: &Path, replaced: bool) {
    let place = place(root, id);
    let moved = if replaced { exchange(dir, &place) } else { std::fs::rename(&place, dir) };
    match moved {
        Ok(()) => say(&format!("{id}: taken back")),
        Err(error) => say(&format!("{id}: stays as in the backup, since it cannot be taken back: {error}")),
    }
}

/// Two folders change their places in one step, so that there is no moment without a repository in which somebody may pull
/// the plug. Not every file system can (NFS): there in three.
fn exchange(new: &Path, place: &Path) -> std::io::Result<()> {
    match renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
        done => return Ok(done?),
    }
    let old = new.with_extension("old");
    std::fs::rename(place, &old)?;
    if let Err(error) = std::fs::rename(new, place) {
        std::fs::rename(&old, place)?;
        return Err(error);
    }
    std::fs::rename(&old, new)
}
