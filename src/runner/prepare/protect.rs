//! Protected paths: a check runs with the gate and acceptance files of the base, whatever the change did to
//! them (design §7). Only the work tree is touched; the commit stays what it is.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt as _, path::Path};

use super::{CHECKOUT, START};
use crate::git::command::{CommandError, Git, bare_command};

/// Most bytes of the names of files that differ.
const MAX_NAMES: usize = 64 << 20;
/// Index of the base, so that the one of the work tree stays as it is.
const INDEX: &str = ".git/phasegate-base-index";

/// Why the protected paths are not as the base has them.
#[derive(Debug, thiserror::Error)]
pub enum ProtectError {
    /// Git said no: most likely to a pathspec.
    #[error(
        "failed to restore the protected paths from base commit {base}: {source}; spec.protectedPaths of the \
         Repository must be git pathspecs within the repository"
    )]
    Git {
        /// The base commit.
        base: String,
        /// Git's words.
        source: CommandError,
    },
    /// Attributes would decide.
    #[error(
        "spec.protectedPaths: {pathspec:?} asks for attributes, which the change itself sets in .gitattributes; name the \
         paths instead"
    )]
    Attributes {
        /// The pathspec.
        pathspec: String,
    },
    /// A file of the change cannot be removed.
    #[error("failed to remove {path}, which is protected and not on the base: {source}")]
    Remove {
        /// The path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Something in the work tree withstood.
    #[error("failed to restore {path} from base commit {base}; it still differs, so nothing can be judged here")]
    Differs {
        /// The first path that differs.
        path: String,
        /// The base commit.
        base: String,
    },
}

/// Brings what the pathspecs match to the state of the base: changed files are put back, files that the base
/// does not have are removed. Nothing but this process writes to the work tree meanwhile.
pub(super) async fn restore(workspace: &Path, base: &str, pathspecs: &[String]) -> Result<(), ProtectError> {
    if pathspecs.is_empty() {
        return Ok(());
    }
    if let Some(pathspec) = pathspecs.iter().find(|pathspec| asks_for_attributes(pathspec)) {
        return Err(ProtectError::Attributes { pathspec: pathspec.clone() });
    }
    let tree = Tree { workspace, base };
    let Differing { changed, added } = tree.differing(pathspecs).await?;
    if changed.is_empty() && added.is_empty() {
        return Ok(());
    }
    for name in &added {
        remove(workspace, name).map_err(|source| ProtectError::Remove { path: shown(name), source })?;
    }
    tree.git(&["read-tree", base], &[], Vec::new()).await?;
    let names = changed.iter().flat_map(|name| [name.as_slice(), b"\0"].concat()).collect();
    tree.git(&["checkout-index", "--force", "--quiet", "-z", "--stdin"], &[], names).await?;
    let differs = ["diff", "--name-only", "-z", "--no-ext-diff", "--no-relative", "--ignore-submodules", "--"];
    let differs = tree.git(&differs, pathspecs, Vec::new()).await?;
    let others = tree.git(&["ls-files", "--others", "-z", "--"], pathspecs, Vec::new()).await?;
    let _ = tokio::fs::remove_file(workspace.join(INDEX)).await;
    match [differs, others].concat().split(|byte| *byte == 0).find(|name| !name.is_empty()) {
        None => Ok(()),
        Some(name) => Err(ProtectError::Differs { path: shown(name), base: base.to_owned() }),
    }
}

/// Whether `.gitattributes` would have a say: those are the change's own.
fn asks_for_attributes(pathspec: &str) -> bool {
    let magic = pathspec.strip_prefix(":(").and_then(|rest| rest.split_once(')'));
    magic.is_some_and(|(magic, _)| magic.split(',').any(|word| word.trim_start().starts_with("attr")))
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Removes a file of the commit, and the folders that it leaves empty. Its folders are folders, since git has
/// just made them. What is gone is fine, and whether all is as it should be is looked at in the end.
fn remove(workspace: &Path, name: &[u8]) -> io::Result<()> {
    let path = workspace.join(OsStr::from_bytes(name));
    match std::fs::symlink_metadata(&path) {
        // A submodule is an empty folder.
        Ok(found) if found.is_dir() => drop(std::fs::remove_dir(&path)),
        Ok(_) => std::fs::remove_file(&path)?,
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {}
        Err(error) => return Err(error),
    }
    let above = path.ancestors().skip(1).take_while(|folder| *folder != workspace);
    // The first that is not empty ends it.
    let _ = above.map(std::fs::remove_dir).find(Result::is_err);
    Ok(())
}

/// Names of files that differ between the base and the commit.
struct Differing {
    /// Those that the base has.
    changed: Vec<Vec<u8>>,
    /// Those that only the commit has.
    added: Vec<Vec<u8>>,
}

struct Tree<'a> {
    workspace: &'a Path,
    base: &'a str,
}

impl Tree<'_> {
    async fn differing(&self, pathspecs: &[String]) -> Result<Differing, ProtectError> {
        let listing =
            ["diff", "--name-status", "-z", "--no-renames", "--no-ext-diff", "--no-relative", self.base, START];
        let listing = [&listing[..], &["--"]].concat();
        let listed = self.git(&listing, pathspecs, Vec::new()).await?;
        let mut words = listed.split(|byte| *byte == 0).map(<[u8]>::to_vec);
        let mut differing = Differing { changed: Vec::new(), added: Vec::new() };
        while let (Some(status), Some(name)) = (words.next(), words.next()) {
            if status == b"A" { &mut differing.added } else { &mut differing.changed }.push(name);
        }
        Ok(differing)
    }

    /// Git in the work tree, with an index of its own.
    async fn git(&self, arguments: &[&str], pathspecs: &[String], input: Vec<u8>) -> Result<Vec<u8>, ProtectError> {
        let mut command = bare_command("git", &[("core.fsync", "none")]);
        command.args(arguments).args(pathspecs).env("GIT_INDEX_FILE", INDEX).current_dir(self.workspace);
        let git = Git::of(command, arguments.first().unwrap_or(&"")).limit(MAX_NAMES).timeout(CHECKOUT).input(input);
        let answer = git.run().await;
        answer.map(|answer| answer.stdout).map_err(|source| ProtectError::Git { base: self.base.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, path::PathBuf};

    use rstest::rstest;

    use super::*;
    use crate::runner::world::git as person;

    /// What a path is; none if it is not there.
    #[derive(Clone, Copy)]
    enum Is {
        File(&'static str),
        Link(&'static str),
        Gone,
    }

    /// A work tree at the second of two commits, as `prepare` makes it.
    struct Tree {
        dir: tempfile::TempDir,
        base: String,
    }

    impl Tree {
        fn new(base: &[(&str, Is)], head: &[(&str, Is)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            person(dir.path(), &["init", "-q"]);
            let mut tree = Self { dir, base: String::new() };
            tree.base = tree.commit(base);
            tree.commit(head);
            person(tree.path(), &["update-ref", START, "HEAD"]);
            tree
        }

        fn path(&self) -> &Path {
            self.dir.path()
        }

        fn at(&self, path: &str) -> PathBuf {
            self.path().join(path)
        }

        fn commit(&self, changes: &[(&str, Is)]) -> String {
            for (path, is) in changes {
                let path = self.at(path);
                if path.is_dir() && !path.is_symlink() {
                    std::fs::remove_dir_all(&path).unwrap();
                } else if path.is_symlink() || path.exists() {
                    std::fs::remove_file(&path).unwrap();
                }
                match is {
                    Is::Gone => continue,
                    Is::File(_) | Is::Link(_) => std::fs::create_dir_all(path.parent().unwrap()).unwrap(),
                }
                match is {
                    Is::File(text) => std::fs::write(&path, text).unwrap(),
                    Is::Link(target) => symlink(target, &path).unwrap(),
                    Is::Gone => {}
                }
            }
            person(self.path(), &["add", "-A"]);
            person(self.path(), &["commit", "-qm", "c", "--allow-empty"]);
            person(self.path(), &["rev-parse", "HEAD"]).trim().to_owned()
        }

        async fn restore(&self, pathspecs: &[&str]) -> Result<(), ProtectError> {
            let pathspecs: Vec<String> = pathspecs.iter().map(|pathspec| (*pathspec).to_owned()).collect();
            restore(self.path(), &self.base, &pathspecs).await
        }
    }

    #[rstest]
    #[case::changed(&["ci/"], &[("ci/run.sh", Is::File("test"))], &[("ci/run.sh", Is::File("true"))], &[("ci/run.sh", Some("test"))])]
    #[case::removed(&["ci/"], &[("ci/run.sh", Is::File("test"))], &[("ci/run.sh", Is::Gone)], &[("ci/run.sh", Some("test"))])]
    #[case::added(&["ci/"], &[("a", Is::File("1"))], &[("ci/more.sh", Is::File("x"))], &[("ci/more.sh", None)])]
    #[case::others_stay(&["ci/"], &[("src/a", Is::File("1"))], &[("src/a", Is::File("2")), ("ci/x", Is::File("3"))], &[("src/a", Some("2")), ("ci/x", None)])]
    #[case::by_a_pattern(&["*_gate.py"], &[("deep/a_gate.py", Is::File("1"))], &[("deep/a_gate.py", Is::File("2")), ("b_gate.py", Is::File("x"))], &[("deep/a_gate.py", Some("1")), ("b_gate.py", None)])]
    #[case::with_magic(&[":(glob)**/gate/**", ":(exclude)docs/gate/free"], &[("docs/gate/a", Is::File("1"))], &[("docs/gate/a", Is::File("2")), ("docs/gate/free", Is::File("3"))], &[("docs/gate/a", Some("1")), ("docs/gate/free", Some("3"))])]
    #[case::nothing_matches(&["none/", "never*"], &[("a", Is::File("1"))], &[("a", Is::File("2"))], &[("a", Some("2"))])]
    #[case::one_of_two_matches(&["none/", "a"], &[("a", Is::File("1"))], &[("a", Is::File("2"))], &[("a", Some("1"))])]
    #[case::a_name_that_looks_like_a_pattern(&["ci/"], &[("ci/[x]*.sh", Is::File("1")), ("ci/:(top)y", Is::File("3"))], &[("ci/[x]*.sh", Is::File("2")), ("ci/:(top)y", Is::Gone)], &[("ci/[x]*.sh", Some("1")), ("ci/:(top)y", Some("3"))])]
    #[case::a_file_became_a_folder(&["gate"], &[("gate", Is::File("1"))], &[("gate", Is::Gone), ("gate/x", Is::File("2"))], &[("gate", Some("1"))])]
    #[case::a_folder_became_a_file(&["gate"], &[("gate/x", Is::File("1"))], &[("gate", Is::File("2"))], &[("gate/x", Some("1"))])]
    #[case::a_folder_became_a_link(&["tests/acceptance/"], &[("tests/acceptance/a.py", Is::File("1"))], &[("tests", Is::Gone), ("fake/acceptance/a.py", Is::File("2")), ("tests", Is::Link("fake"))], &[("tests/acceptance/a.py", Some("1")), ("fake/acceptance/a.py", Some("2"))])]
    #[case::a_file_became_a_link(&["gate"], &[("gate", Is::File("1"))], &[("gate", Is::Link("/etc/passwd"))], &[("gate", Some("1"))])]
    #[tokio::test]
    async fn protected_files_are_as_the_base_has_them(
        #[case] pathspecs: &[&str],
        #[case] base: &[(&str, Is)],
        #[case] head: &[(&str, Is)],
        #[case] expected: &[(&str, Option<&str>)],
    ) {
        let tree = Tree::new(base, head);
        tree.restore(pathspecs).await.unwrap();
        for (path, text) in expected {
            let path = tree.at(path);
            let is_plain = std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
            assert_eq!(is_plain, text.is_some(), "{}", path.display());
            assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), *text, "{}", path.display());
        }
        assert!(!tree.at(INDEX).exists());
        tree.restore(pathspecs).await.unwrap();
    }

    #[rstest]
    #[case::unknown_magic(":(nope)x", "nope")]
    #[case::magic_without_end(":(glob", "magic")]
    #[case::outside("../x", "outside")]
    #[case::absolute("/etc", "outside")]
    #[case::by_attribute(":(top,attr:x)a", "which the change itself sets")]
    #[case::by_attribute_alone(":(attr:x)", "which the change itself sets")]
    #[tokio::test]
    async fn an_invalid_pathspec_is_named_with_the_remedy(#[case] pathspec: &str, #[case] words: &str) {
        let tree = Tree::new(&[("a", Is::File("1"))], &[("a", Is::File("2"))]);
        let error = tree.restore(&["a", pathspec]).await.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("spec.protectedPaths"), "{error}");
        assert_eq!(std::fs::read_to_string(tree.at("a")).unwrap(), "2", "nothing is half done");
    }

    #[tokio::test]
    async fn a_base_that_is_not_there_is_named() {
        let tree = Tree::new(&[("a", Is::File("1"))], &[]);
        let base = "0123456789012345678901234567890123456789";
        let error = restore(tree.path(), base, &["a".to_owned()]).await.unwrap_err().to_string();
        assert!(error.contains(base), "{error}");
    }
}
