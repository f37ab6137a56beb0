//! Signs of gaming: the diff of a phase is streamed through `review::rail`, protected paths are asked for by pathspec.

use std::collections::HashSet;

use super::{Execute, Repo, StoreError, refs};
use crate::{
    git::{
        command::{CommandError, Git},
        names::CommitId,
        ops::{GamingSigns, GamingSignsAnswer},
    },
    review::rail::{Protected, Rail, Signs},
};

/// Lines of context: whole files, so that it is known which test a changed line is in.
const CONTEXT: &str = "--unified=100000";
/// Most protected paths that are told apart.
const MAX_PROTECTED: usize = 5_000;
/// Most bytes of their names.
const MAX_NAMES: usize = 4 << 20;

impl Execute for GamingSigns {
    const WRITES: bool = false;

    async fn execute(self, repo: &Repo) -> Result<GamingSignsAnswer, StoreError> {
        let (from, to) = (refs::require(repo, &self.from).await?, refs::require(repo, &self.to).await?);
        let protected = protected(repo, &from, &to, &self.protected_paths).await?;
        let mut rail = Rail::default();
        // As text whatever attributes say: a file must not hide by calling itself binary.
        let git = Git::new(&repo.dir, "diff-tree")
            .args(["-r", "-p", "--find-renames", "--diff-algorithm=histogram", CONTEXT, "--text", "--no-color"])
            .args(["--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/", "--ignore-submodules=none"])
            .args([from.as_str(), to.as_str()]);
        git.stream(&mut |piece| rail.push(piece)).await?;
        let accepted = self.accepted;
        // To compare what was found may take long, and others wait meanwhile.
        let compare = move || rail.finish(&protected, &accepted.iter().map(String::as_str).collect::<HashSet<&str>>());
        let signs = tokio::task::spawn_blocking(compare).await;
        let Signs { signs, total, truncated } =
            signs.map_err(|error| StoreError::unexpected("diff-tree", &error.to_string()))?;
        Ok(GamingSignsAnswer { signs, total, truncated })
    }
}

/// Protected paths that differ.
async fn protected(
    repo: &Repo,
    from: &CommitId,
    to: &CommitId,
    pathspecs: &[String],
) -> Result<Vec<Protected>, StoreError> {
    if pathspecs.is_empty() {
        return Ok(Vec::new());
    }
    // Without a work tree git has no attributes: such a pathspec would match nothing, and say nothing.
    if let Some(pathspec) = pathspecs.iter().find(|pathspec| pathspec.starts_with(":(") && pathspec.contains("attr:")) {
        return Err(unknown(&format!("pathspec magic attr has no attributes to look at here, in {pathspec}")));
    }
    let git = Git::new(&repo.dir, "diff-tree")
        .args(["-r", "-z", "--no-renames", "--name-status", "--ignore-submodules=none"])
        .args([from.as_str(), to.as_str(), "--"])
        .args(pathspecs)
        .limit(MAX_NAMES);
    let answer = git.answer().await?;
    if answer.code != 0 && !answer.truncated {
        return Err(refused(answer.failed()));
    }
    let text = String::from_utf8_lossy(&answer.stdout);
    let fields: Vec<&str> = text.split_terminator('\0').collect();
    Ok(fields.chunks_exact(2).take(MAX_PROTECTED).map(|pair| changed(pair[0], pair[1])).collect())
}

fn unknown(words: &str) -> StoreError {
    StoreError::invalid(
        "protectedPaths",
        format!("{words}; mend spec.protectedPaths of the Repository, which are git pathspecs"),
    )
}

/// Both commits are there, so that only a pathspec can be what git does not like.
fn refused(error: CommandError) -> StoreError {
    match error {
        CommandError::Failed { stderr, .. } => {
            unknown(&format!("git says {}", stderr.lines().next().unwrap_or_default().trim_start_matches("fatal: ")))
        }
        CommandError::Start { .. }
        | CommandError::Pipe { .. }
        | CommandError::Timeout { .. }
        | CommandError::TooLong { .. } => error.into(),
    }
}

fn changed(letter: &str, path: &str) -> Protected {
    let what = match letter {
        "A" => "added",
        "D" => "removed",
        "T" => "made into something else",
        _ => "changed",
    };
    Protected { path: path.to_owned(), what }
}
