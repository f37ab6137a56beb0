//! Files as they are at the commit: from the pod's own repository, never from the work tree, which the agent writes to.

use std::collections::HashMap;

use super::{super::Companion, locate::Lines};
use crate::{
    git::command::CommandError,
    runner::{protocol::MAX_PATH, repository::START},
};

/// Most bytes of a file that is looked into.
const MAX_BYTES: usize = 4 << 20;
/// Bytes at the beginning of a file that tell whether it is text, as git does it.
const TEXT: usize = 8000;

/// What a path names at the commit.
pub(super) enum Source {
    /// A text.
    Text(Lines),
    /// A file that cannot be quoted, and why.
    Opaque(&'static str),
    /// No file; what it is instead.
    None(&'static str),
}

/// What the phase did to which file, by the path at the commit: the path on the base, the same unless it was renamed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    origins: HashMap<String, String>,
    /// Whether the base is known.
    known: bool,
}

impl Changed {
    /// The path of the file on the base, so that ids survive renames.
    pub(super) fn origin<'a>(&'a self, path: &'a str) -> &'a str {
        self.origins.get(path).map_or(path, String::as_str)
    }

    /// Whether the base has the file just as it is.
    pub(super) fn is_untouched(&self, path: &str) -> bool {
        self.known && !self.origins.contains_key(path)
    }
}

/// A path as git has it: below the work tree, plain.
pub(super) fn path(given: &str, workspace: &str) -> Result<String, String> {
    let given = given.trim();
    let below = given.strip_prefix(workspace).and_then(|rest| rest.strip_prefix('/')).unwrap_or(given);
    let below = below.strip_prefix("./").unwrap_or(below);
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let named: String = given.chars().filter(|c| !c.is_control()).take(120).collect();
    if below.chars().count() > MAX_PATH || below.contains(char::is_control) || !below.split('/').all(plain) {
        return Err(format!("{named:?} is no path of the repository; name the file from the root of the repository"));
    }
    Ok(below.to_owned())
}

impl Companion {
    /// What the path names at the commit.
    pub(super) async fn source(&self, path: &str) -> Result<Source, CommandError> {
        // The name is one line of the input, which `path` has made sure of.
        let git = self.repository.git(&["cat-file", "--batch"]).input(format!("{START}:{path}\n"));
        let answer = git.limit(MAX_BYTES + 256).answer().await?;
        if !answer.truncated && answer.code != 0 {
            return Err(answer.failed());
        }
        let head = answer.stdout.iter().position(|byte| *byte == b'\n').unwrap_or(answer.stdout.len());
        let (head, rest) = answer.stdout.split_at(head);
        let head = String::from_utf8_lossy(head);
        let words: Vec<&str> = head.split(' ').collect();
        let (kind, size) = match words.as_slice() {
            [_, kind, size] if !head.ends_with(" missing") => (*kind, size.parse::<usize>().unwrap_or(usize::MAX)),
            _ => return Ok(Source::None("there is no such file at that commit")),
        };
        if kind != "blob" {
            return Ok(Source::None("it is a folder, not a file"));
        }
        if size > MAX_BYTES {
            return Ok(Source::Opaque("it is larger than 4 MiB"));
        }
        let bytes = rest.get(1..).unwrap_or_default();
        let bytes = bytes.get(..size).unwrap_or(bytes);
        if bytes.iter().take(TEXT).any(|byte| *byte == 0) {
            return Ok(Source::Opaque("it is no text"));
        }
        Ok(Source::Text(Lines::of(&String::from_utf8_lossy(bytes))))
    }

    /// What the phase changed.
    pub(super) async fn changed(&self) -> Result<Changed, CommandError> {
        let Some(base) = &self.assignment.base else { return Ok(Changed::default()) };
        let arguments = ["diff-tree", "-r", "-z", "--find-renames", "--name-status", &base.commit, START];
        let answer = self.repository.git(&arguments).run().await?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        let mut words = text.split('\0').filter(|word| !word.is_empty());
        let mut origins = HashMap::new();
        while let (Some(status), Some(before)) = (words.next(), words.next()) {
            let renamed = status.starts_with(['R', 'C']);
            let after = if renamed { words.next().unwrap_or(before) } else { before };
            origins.insert(after.to_owned(), before.to_owned());
        }
        Ok(Changed { origins, known: true })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("src/a.py", Some("src/a.py"))]
    #[case::with_a_dot("./src/a.py", Some("src/a.py"))]
    #[case::in_the_work_tree("/workspace/src/a.py", Some("src/a.py"))]
    #[case::with_spaces_around(" a b.py ", Some("a b.py"))]
    #[case::with_colons("a:b", Some("a:b"))]
    #[case::elsewhere("/etc/passwd", None)]
    #[case::beside_the_work_tree("/workspaces/a", None)]
    #[case::upwards("../a", None)]
    #[case::upwards_within("a/../../b", None)]
    #[case::nothing("", None)]
    #[case::a_folder("src/", None)]
    #[case::a_second_line("a\nHEAD:b", None)]
    #[case::with_nul("a\0b", None)]
    fn a_path_is_one_of_the_repository(#[case] given: &str, #[case] expected: Option<&str>) {
        assert_eq!(path(given, "/workspace").ok().as_deref(), expected);
    }

    #[test]
    fn an_endless_path_is_refused_in_few_words() {
        assert!(path(&"a".repeat(5000), "/workspace").unwrap_err().len() < 300);
    }
}
