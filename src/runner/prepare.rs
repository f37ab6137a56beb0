//! `prepare`: the init container. It waits until the operator knows this pod, brings the work tree to the start
//! commit, copies our executable for the main container, and writes the brief (design §6).
//!
//! It leaves two repositories: ours, out of the agent's reach, and a plain one in the work tree for agents that like
//! `git diff`. Ours never looks at the other.

mod protect;
mod resume;

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Places, PodArgs, brief,
    client::{CallError, RunnerClient},
    diff, merging,
    protocol::{Assignment, Merged, ResumedReport},
    repository::{MERGED, PodRepository, RESUMED, START, TransferError},
};
use crate::{
    api::{agent_task::Role, conflict::TaskConflict},
    git::command::{CommandError, Git, bare_command},
};
use protect::ProtectError;

/// Longest wait for the operator, and again for the git service: within the pod's margin.
const LONGEST: Duration = Duration::from_mins(5);
/// Longest time of a checkout.
const CHECKOUT: Duration = Duration::from_mins(5);
/// Longest wait for what the run on the base kept: it comes after that run's delivery, and may be gone by now.
const BASE_LOGS: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 15 });
/// Longest time to say that the run began with saved work.
const SAY: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 30 });
/// File of the git volume with the assignment, for the companion.
pub(super) const ASSIGNMENT: &str = "assignment.json";
/// The work tree holds the bytes of the commit: no line ends, keywords, encodings or filters are applied, whatever
/// `.gitattributes` says, in our repository or the agent's.
const ATTRIBUTES: &str = "* -text -eol -ident -filter -working-tree-encoding\n";

/// Why a pod cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The operator.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The git service.
    #[error("failed to fetch commit {commit}: {source}")]
    Fetch {
        /// What was asked for.
        commit: String,
        /// Why.
        source: TransferError,
    },
    /// The saved work of an earlier run. Not the same as none: starting without it would lose it.
    #[error("failed to fetch the saved work of an earlier run: {source}")]
    Saved {
        /// Why.
        source: TransferError,
    },
    /// Git here.
    #[error(transparent)]
    Git(#[from] CommandError),
    /// A volume.
    #[error("failed to write {path}: {source}; the volume must be writable for user 65532 and have room")]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What a check must find as the base has it.
    #[error(transparent)]
    Protect(#[from] ProtectError),
    /// A task of a role that works on code has no commit.
    #[error("AgentTask {0} names no commit to start from; the operator must set spec.commit")]
    NoCommit(String),
}

/// Saved work that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Resumed {
    /// The run that saved it.
    run: i32,
    /// The commit it was saved as.
    commit: String,
}

/// Prepares the pod.
pub async fn prepare(args: &PodArgs, places: &Places) -> Result<(), PrepareError> {
    let client = RunnerClient::new(args, &places.token)?;
    let assignment = client.assignment(LONGEST).await?;
    copy_executable(&places.tools)?;
    set_up(args, places, &assignment).await
}

/// The volumes, for a task that is known.
pub(super) async fn set_up(args: &PodArgs, places: &Places, assignment: &Assignment) -> Result<(), PrepareError> {
    let commit = assignment.commit.clone().ok_or_else(|| PrepareError::NoCommit(assignment.agent_task.clone()))?;
    let repository = PodRepository::new(args, &places.git, &assignment.clone_path, &places.token);
    repository.init().await?;
    let fetched = repository.fetch_start(&commit, LONGEST).await;
    fetched.map_err(|source| PrepareError::Fetch { commit: commit.clone(), source })?;
    let merged = match &assignment.conflict {
        Some(conflict) => Some(merge(&repository, conflict).await?),
        None => None,
    };
    let resumed = resume::fetch(&repository, assignment).await?;
    let assignment = Assignment { resumed: resumed.as_ref().map(|resumed| resumed.run), merged, ..assignment.clone() };
    lay_out(places, &repository, &assignment, &commit).await?;
    if let Some(resumed) = resumed {
        say(args, places, &resumed).await?;
    }
    Ok(())
}

/// What git can merge of both sides.
async fn merge(repository: &PodRepository, conflict: &TaskConflict) -> Result<Merged, PrepareError> {
    let fetched = repository.fetch_other(&conflict.commit, merging::other(conflict.with), LONGEST).await;
    fetched.map_err(|source| PrepareError::Fetch { commit: conflict.commit.clone(), source })?;
    merging::merge(repository, conflict).await
}

/// Tells the operator what the run began with: people see it, and whether the next run may do the same depends on it.
async fn say(args: &PodArgs, places: &Places, resumed: &Resumed) -> Result<(), PrepareError> {
    let Resumed { run, commit } = resumed;
    tracing::info!(run, commit, "continues saved work");
    let report = ResumedReport { from_run: *run, commit: commit.clone() };
    RunnerClient::new(args, &places.token)?.resumed(&report, SAY).await?;
    Ok(())
}

/// The volumes, once the repository has the commit.
pub(super) async fn lay_out(
    places: &Places,
    repository: &PodRepository,
    assignment: &Assignment,
    commit: &str,
) -> Result<(), PrepareError> {
    checkout(repository, &places.workspace, assignment, commit).await?;
    if let Some(conflict) = &assignment.conflict {
        merging::show_sides(repository, &places.workspace, conflict).await?;
    }
    match (assignment.resumed, &assignment.merged) {
        (Some(_), _) => resume::check_out(repository, &places.workspace, RESUMED).await?,
        (None, Some(_)) => resume::check_out(repository, &places.workspace, MERGED).await?,
        (None, None) => {}
    }
    if assignment.role == Role::Check {
        compare_with_base(repository, &places.workspace, assignment).await?;
    }
    for report in assignment.check.iter().flat_map(|check| &check.reports) {
        clear(&places.workspace, &report.path)?;
    }
    for (name, text) in brief::files(assignment) {
        write(&places.brief.join(name), text.as_bytes())?;
    }
    if let (Role::Reviewer, Some(base)) = (assignment.role, &assignment.base) {
        let changes = diff::framed(repository, &base.commit, commit).await?;
        write(&places.brief.join(brief::review::DIFF), &changes)?;
    }
    for (name, text) in brief::home_files(assignment.role) {
        write(&places.home.join(name), text.as_bytes())?;
    }
    let known = serde_json::to_vec(assignment).map_err(io::Error::from);
    let file = places.git.join(ASSIGNMENT);
    let known = known.map_err(|source| PrepareError::Write { path: file.clone(), source })?;
    write(&file, &known)?;
    tracing::info!(%commit, task = assignment.task, "prepared");
    Ok(())
}

/// What a check needs of the base: the protected paths in the work tree, and what is known of it in our repository.
async fn compare_with_base(
    repository: &PodRepository,
    workspace: &Path,
    assignment: &Assignment,
) -> Result<(), PrepareError> {
    let Some(base) = &assignment.base else { return Ok(()) };
    protect::restore(workspace, &base.commit, &base.protected_paths).await?;
    if let Some(known) = &base.evidence {
        // Without it all counts as new, which is no reason not to run the check.
        let fetched = repository.fetch_base_logs(&known.uid, known.run, BASE_LOGS).await;
        if let Err(error) = fetched {
            tracing::warn!(%error, task = known.task, "what is known of the base cannot be fetched");
        }
    }
    Ok(())
}

/// The running executable: the main container's image knows nothing of us.
fn copy_executable(tools: &Path) -> Result<(), PrepareError> {
    let target = tools.join("phasegate");
    let unfinished = tools.join("phasegate.new");
    let copied = std::env::current_exe()
        .and_then(|ours| std::fs::copy(ours, &unfinished))
        .and_then(|_| std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o755)))
        .and_then(|()| std::fs::rename(&unfinished, &target));
    copied.map_err(|source| PrepareError::Write { path: target, source })
}

/// The work tree, with a repository of its own that nobody but the agent uses.
async fn checkout(
    repository: &PodRepository,
    workspace: &Path,
    assignment: &Assignment,
    commit: &str,
) -> Result<(), PrepareError> {
    let write_error = |source| PrepareError::Write { path: workspace.to_owned(), source };
    // The kubelet runs init containers again if it has lost the sandbox.
    empty(workspace).map_err(write_error)?;
    let branch = assignment.branch.as_deref().unwrap_or("work");
    let source = repository.dir().to_string_lossy();
    let refspec = format!("{START}:{START}");
    let head = format!("refs/heads/{branch}");
    let steps: [&[&str]; 4] = [
        &["init", "--quiet", "--template=", "--initial-branch", branch],
        &["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", &source, &refspec],
        &["update-ref", &head, commit],
        &["reset", "--quiet", "--hard"],
    ];
    for (index, step) in steps.into_iter().enumerate() {
        in_work_tree(workspace, step).await?;
        if index == 0 {
            write(&workspace.join(".git/info/attributes"), ATTRIBUTES.as_bytes())?;
        }
    }
    Ok(())
}

/// A git command in the agent's repository, before the agent has it.
pub(super) async fn in_work_tree(workspace: &Path, step: &[&str]) -> Result<(), PrepareError> {
    let mut command = bare_command("git", &[("core.fsync", "none"), ("advice.detachedHead", "false")]);
    command.args(step).env("GIT_ALLOW_PROTOCOL", "file").current_dir(workspace);
    Git::of(command, step.first().unwrap_or(&"")).timeout(CHECKOUT).run().await?;
    Ok(())
}

/// Removes a report that was committed: what a check did not write in this pod is no evidence. A link on the way is left
/// alone, since reports are never read through one. Nothing of the commit runs yet, so nothing moves meanwhile.
fn clear(workspace: &Path, report: &str) -> Result<(), PrepareError> {
    let mut path = workspace.to_owned();
    for part in Path::new(report) {
        path.push(part);
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) if path == workspace.join(report) => break,
            Ok(_) | Err(_) => return Ok(()),
        }
    }
    let folder = path.is_dir();
    let removed = if folder { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
    removed.map_err(|source| PrepareError::Write { path, source })
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PrepareError> {
    let folders = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = folders.and_then(|()| std::fs::write(path, bytes));
    written.map_err(|source| PrepareError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod clear_tests {
    use super::*;

    #[test]
    fn a_committed_report_is_removed_and_nothing_is_reached_through_a_link() {
        let tree = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("junit.xml"), "precious").unwrap();
        std::fs::create_dir(tree.path().join("reports")).unwrap();
        std::fs::write(tree.path().join("reports/junit.xml"), "<testsuites/>").unwrap();
        std::os::unix::fs::symlink(outside.path(), tree.path().join("linked")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", tree.path().join("reports/link.sarif")).unwrap();
        for report in ["reports/junit.xml", "reports/link.sarif", "linked/junit.xml", "missing/x.xml"] {
            clear(tree.path(), report).unwrap();
        }
        assert_eq!(std::fs::read_dir(tree.path().join("reports")).unwrap().count(), 0);
        assert_eq!(std::fs::read_to_string(outside.path().join("junit.xml")).unwrap(), "precious");
        assert!(Path::new("/etc/passwd").exists());
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, sync::atomic::Ordering};

    use super::*;
    use crate::runner::world::World;

    /// A command as the agent would run it.
    fn agent(world: &World, command: &str) -> String {
        let output = Command::new("sh")
            .args(["-c", command])
            .env("HOME", &world.places.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(&world.places.workspace)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn everything(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(everything(&path));
            } else {
                found.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
        found
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_pod_that_is_not_pinned_yet_waits_and_is_then_prepared() {
        let world = World::new(Role::Developer).await;
        world.operator.unavailable.store(3, Ordering::SeqCst);
        prepare(&world.args, &world.places).await.unwrap();
        let copied = std::fs::metadata(world.places.tools.join("phasegate")).unwrap();
        assert_eq!((copied.len(), copied.permissions().mode() & 0o777), {
            let ours = std::env::current_exe().unwrap();
            (std::fs::metadata(ours).unwrap().len(), 0o755)
        });
        let greet = std::fs::read_to_string(world.places.workspace.join("greet.py")).unwrap();
        assert_eq!(greet, "print('hello')\n");
        for file in ["task.md", "task.json", "findings.json", "mcp.json", "opencode.json", "cline_mcp_settings.json"] {
            assert!(world.places.brief.join(file).is_file(), "{file}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_agent_has_a_repository_of_its_own_on_its_branch() {
        let world = World::new(Role::Developer).await;
        set_up(&world.args, &world.places, &world.assignment()).await.unwrap();
        assert_eq!(agent(&world, "git status --porcelain"), "");
        assert_eq!(agent(&world, "git branch --show-current").trim(), "bugfix/phase-1-review-2");
        assert_eq!(agent(&world, "git log --format=%s"), "start\n");
        assert_eq!(agent(&world, "git remote"), "");
        agent(&world, "echo more >> greet.py; git commit -qam mine; git diff --stat HEAD~1");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_token_is_left_nowhere() {
        use base64::Engine as _;
        let world = World::new(Role::Developer).await;
        set_up(&world.args, &world.places, &world.assignment()).await.unwrap();
        let basic = base64::engine::general_purpose::STANDARD.encode("klein:pod-token");
        let places = &world.places;
        for folder in [&places.workspace, &places.git, &places.brief, &places.home, &places.out] {
            for (path, bytes) in everything(folder) {
                let text = String::from_utf8_lossy(&bytes);
                assert!(!text.contains("pod-token") && !text.contains(&basic), "{}", path.display());
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_sandbox_that_was_lost_is_prepared_again() {
        let world = World::new(Role::Check).await;
        for _ in 0..2 {
            set_up(&world.args, &world.places, &world.assignment()).await.unwrap();
            world.write("left/behind", "x");
            std::fs::write(world.places.workspace.join("greet.py"), "changed").unwrap();
        }
        set_up(&world.args, &world.places, &world.assignment()).await.unwrap();
        assert_eq!(agent(&world, "git status --porcelain --ignored"), "");
        assert!(!world.places.workspace.join("left").exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_work_tree_holds_the_bytes_of_the_commit_whatever_its_attributes_say() {
        let world = World::new(Role::Check).await;
        let work = world.dir().join("seed");
        std::fs::write(work.join(".gitattributes"), "*.bat text eol=crlf\n*.id ident\n*.f filter=evil\n").unwrap();
        std::fs::write(work.join("a.bat"), "one\ntwo\n").unwrap();
        std::fs::write(work.join("a.id"), "$Id$\n").unwrap();
        std::fs::write(work.join("a.f"), "raw\n").unwrap();
        crate::runner::world::git(&work, &["add", "-A"]);
        crate::runner::world::git(&work, &["commit", "-qm", "more"]);
        let bare = world.bare();
        crate::runner::world::git(&work, &["push", "-q", bare.to_str().unwrap(), "HEAD:refs/heads/main"]);
        let mut assignment = world.assignment();
        assignment.commit = Some(world.head("refs/heads/main"));
        set_up(&world.args, &world.places, &assignment).await.unwrap();
        for (file, bytes) in [("a.bat", "one\ntwo\n"), ("a.id", "$Id$\n"), ("a.f", "raw\n")] {
            assert_eq!(std::fs::read_to_string(world.places.workspace.join(file)).unwrap(), bytes);
        }
        assert_eq!(agent(&world, "git status --porcelain"), "");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_commit_that_is_not_there_is_named() {
        let world = World::new(Role::Check).await;
        let mut assignment = world.assignment();
        let commit = "0123456789012345678901234567890123456789";
        assignment.commit = Some(commit.to_owned());
        let error = set_up(&world.args, &world.places, &assignment).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("failed to fetch commit {commit}")), "{error}");
        assignment.commit = None;
        let error = set_up(&world.args, &world.places, &assignment).await.unwrap_err().to_string();
        assert!(error.contains("names no commit"), "{error}");
    }
}
