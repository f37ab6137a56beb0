//! What was planted: commits, and the defects in them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tokio::process::Command;

use crate::{
    git::command::{CommandError, Git},
    review::rubric::SEED_CATEGORIES,
    runner::protocol::MAX_CATEGORIES,
};

/// Most cases of a set, and most defects of a case.
const MAX_CASES: usize = 500;
const MAX_DEFECTS: usize = 100;
/// Most bytes of a set.
const MAX_BYTES: u64 = 4 << 20;

/// Commits with and without planted defects.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Set {
    /// The repository, relative to the set.
    pub(super) repository: PathBuf,
    /// What the changes are for, as a phase would say it.
    #[serde(default)]
    pub(super) objective: String,
    /// What the reviewer is to look at in particular.
    #[serde(default)]
    pub(super) focus: Vec<String>,
    /// Categories to examine; the seed's five unless set.
    #[serde(default)]
    pub(super) categories: Vec<String>,
    /// The commits.
    pub(super) cases: Vec<Case>,
}

/// One commit to review.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Case {
    /// Name, for the result. The reviewer does not see it.
    pub(super) name: String,
    /// Commit that it is compared with, an ancestor.
    pub(super) base: String,
    /// The commit.
    pub(super) commit: String,
    /// What was planted; nothing: the commit is clean.
    #[serde(default)]
    pub(super) defects: Vec<Defect>,
}

/// One planted defect.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Defect {
    /// Category that it belongs to.
    pub(super) category: String,
    /// File, at the commit.
    pub(super) file: String,
    /// First and last line; the whole file unless set.
    #[serde(default)]
    pub(super) lines: Option<[u32; 2]>,
}

/// Why a set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// It cannot be read.
    #[error("failed to read the set {path}: {message}")]
    Read {
        /// File.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// Something in it is wrong.
    #[error("{field} of the set: {message}")]
    Field {
        /// The field.
        field: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// Git cannot be asked.
    #[error(transparent)]
    Git(#[from] CommandError),
}

fn wrong(field: impl Into<String>, message: impl Into<String>) -> SetError {
    SetError::Field { field: field.into(), message: message.into() }
}

impl Set {
    /// Reads a set. Commits come back as full ids, and everything in it is there.
    pub(super) async fn read(path: &Path) -> Result<Self, SetError> {
        let bad = |message: String| SetError::Read { path: path.to_owned(), message };
        let size = tokio::fs::metadata(path).await.map_err(|error| bad(error.to_string()))?.len();
        if size > MAX_BYTES {
            return Err(bad("it is larger than 4 MiB".to_owned()));
        }
        let text = tokio::fs::read_to_string(path).await.map_err(|error| bad(error.to_string()))?;
        let mut set: Self = serde_yaml::from_str(&text).map_err(|error| bad(error.to_string()))?;
        set.repository = path.parent().unwrap_or(Path::new(".")).join(&set.repository);
        set.check()?;
        let repository = set.repository.clone();
        for (index, case) in set.cases.iter_mut().enumerate() {
            case.resolve(&repository, index).await?;
        }
        Ok(set)
    }

    /// What can be seen without the repository.
    fn check(&mut self) -> Result<(), SetError> {
        if self.categories.is_empty() {
            self.categories = SEED_CATEGORIES.iter().map(|(name, ..)| (*name).to_owned()).collect();
        }
        if self.categories.len() > MAX_CATEGORIES {
            return Err(wrong("categories", format!("at most {MAX_CATEGORIES}, not {}", self.categories.len())));
        }
        if self.cases.is_empty() || self.cases.len() > MAX_CASES {
            return Err(wrong("cases", format!("1 to {MAX_CASES} are taken, not {}", self.cases.len())));
        }
        let mut names = BTreeSet::new();
        for (index, case) in self.cases.iter().enumerate() {
            let field = format!("cases[{index}]");
            if case.name.trim().is_empty() || !names.insert(&case.name) {
                return Err(wrong(format!("{field}.name"), "every case needs a name of its own"));
            }
            if case.defects.len() > MAX_DEFECTS {
                return Err(wrong(format!("{field}.defects"), format!("at most {MAX_DEFECTS}")));
            }
            for (nth, defect) in case.defects.iter().enumerate() {
                let field = format!("{field}.defects[{nth}]");
                if !self.categories.contains(&defect.category) {
                    let known = self.categories.join(", ");
                    let message =
                        format!("{:?} is not examined; name one of {known}, or add it to categories", defect.category);
                    return Err(wrong(format!("{field}.category"), message));
                }
                if defect.lines.is_some_and(|[from, to]| from == 0 || to < from) {
                    return Err(wrong(format!("{field}.lines"), "first and last line, counted from 1: [from, to]"));
                }
            }
        }
        Ok(())
    }
}

impl Case {
    async fn resolve(&mut self, repository: &Path, index: usize) -> Result<(), SetError> {
        let field = |name: &str| format!("cases[{index}].{name}");
        self.base = commit(repository, &self.base, &field("base")).await?;
        self.commit = commit(repository, &self.commit, &field("commit")).await?;
        let ancestor = git(repository, &["merge-base", "--is-ancestor", &self.base, &self.commit]);
        if ancestor.answer().await?.code != 0 {
            return Err(wrong(
                field("base"),
                "it is no ancestor of the commit; name the commit that the change started from",
            ));
        }
        for (nth, defect) in self.defects.iter().enumerate() {
            let field = |name: &str| field(&format!("defects[{nth}].{name}"));
            let shown =
                git(repository, &["cat-file", "blob", &format!("{}:{}", self.commit, defect.file)]).answer().await?;
            if shown.code != 0 && !shown.truncated {
                return Err(wrong(field("file"), format!("there is no file {} at the commit", defect.file)));
            }
            let lines = String::from_utf8_lossy(&shown.stdout).lines().count();
            let last = defect.lines.map_or(0, |[_, to]| usize::try_from(to).unwrap_or(usize::MAX));
            if last > lines && !shown.truncated {
                return Err(wrong(field("lines"), format!("{} has {lines} lines at the commit", defect.file)));
            }
        }
        Ok(())
    }
}

/// The full id of a commit that somebody named.
async fn commit(repository: &Path, named: &str, field: &str) -> Result<String, SetError> {
    let revision = format!("{named}^{{commit}}");
    let found = git(repository, &["rev-parse", "--verify", "--quiet", "--end-of-options", &revision]).answer().await?;
    if found.code == 0 {
        return Ok(found.text());
    }
    let message = format!("{named:?} is no commit of the repository {}", repository.display());
    Err(wrong(field, message))
}

/// Git in the repository of the set, which belongs to whoever runs this.
fn git(repository: &Path, arguments: &[&str]) -> Git {
    let mut command = Command::new("git");
    command.arg("-C").arg(repository).args(arguments).env("GIT_TERMINAL_PROMPT", "0").process_group(0);
    Git::of(command, arguments.first().unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::runner::world::git as run;

    const GOOD: &str = "repository: code\ncases:\n  - name: one\n    base: HEAD~1\n    commit: HEAD\n    defects:\n      - {category: security, file: a.py, lines: [1, 2]}\n  - {name: two, base: HEAD~1, commit: HEAD}\n";

    fn folder(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let code = folder.path().join("code");
        std::fs::create_dir(&code).unwrap();
        run(&code, &["init", "-q"]);
        run(&code, &["commit", "-q", "--allow-empty", "-m", "base"]);
        std::fs::write(code.join("a.py"), "1\n2\n").unwrap();
        run(&code, &["add", "-A"]);
        run(&code, &["commit", "-qm", "change"]);
        std::fs::write(folder.path().join("set.yaml"), text).unwrap();
        folder
    }

    async fn read(text: &str) -> Result<Set, SetError> {
        Set::read(&folder(text).path().join("set.yaml")).await
    }

    #[tokio::test]
    async fn a_set_has_full_ids_and_the_seeds_categories() {
        let set = read(GOOD).await.unwrap();
        assert_eq!((set.cases[0].commit.len(), set.categories.len()), (40, 5));
        assert_eq!(set.cases[1].defects.len(), 0);
    }

    #[rstest]
    #[case::an_unknown_field("cases:", "casess:", "unknown field `casess`")]
    #[case::no_such_commit(
        "commit: HEAD\n",
        "commit: nonsense\n",
        "cases[0].commit of the set: \"nonsense\" is no commit"
    )]
    #[case::an_option_for_a_commit(
        "commit: HEAD\n",
        "commit: --all\n",
        "cases[0].commit of the set: \"--all\" is no commit"
    )]
    #[case::not_an_ancestor(
        "base: HEAD~1\n    commit: HEAD\n",
        "base: HEAD\n    commit: HEAD~1\n",
        "cases[0].base of the set: it is no ancestor"
    )]
    #[case::no_such_file("a.py", "b.py", "cases[0].defects[0].file of the set: there is no file b.py")]
    #[case::lines_beyond_the_end("[1, 2]", "[1, 3]", "a.py has 2 lines at the commit")]
    #[case::lines_the_wrong_way_round("[1, 2]", "[2, 1]", "cases[0].defects[0].lines of the set")]
    #[case::a_category_nobody_examines("security", "taste", "\"taste\" is not examined")]
    #[case::a_name_twice("name: two", "name: one", "cases[1].name of the set")]
    #[case::no_repository("repository: code", "repository: none", "cases[0].base of the set")]
    #[tokio::test]
    async fn what_is_wrong_in_a_set_is_named(#[case] from: &str, #[case] to: &str, #[case] why: &str) {
        let error = read(&GOOD.replacen(from, to, 1)).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
