//! Changes as they are made, with the signs that they should give: `gamed.txt` and `clean.txt`.
//!
//! A case is a head (`# what it is :: kinds of signs`), and for each file `@@ path` (or `@@ old => new`, with `-` for
//! none) and its lines as in a diff: ` ` both, `-` before, `+` after.

use std::collections::HashSet;

use crate::{
    api::evidence::GamingSignType,
    review::rail::{Rail, Signs},
};

/// A change.
pub(crate) struct Case {
    pub(crate) title: &'static str,
    /// Kinds of the signs, sorted.
    pub(crate) signs: Vec<&'static str>,
    pub(crate) files: Vec<Change>,
}

/// A file before and after.
pub(crate) struct Change {
    pub(crate) old: Option<&'static str>,
    pub(crate) new: Option<&'static str>,
    pub(crate) lines: Vec<&'static str>,
}

impl Change {
    /// Its content on one side: the lines that do not begin with `without`.
    pub(crate) fn content(&self, without: char) -> String {
        let kept = self.lines.iter().filter(|line| !line.starts_with(without));
        kept.flat_map(|line| [line.get(1..).unwrap_or_default(), "\n"]).collect()
    }

    fn diff(&self) -> String {
        let (before, after) = (self.content('+').lines().count(), self.content('-').lines().count());
        let name =
            |side: &str, path: Option<&str>| path.map_or("/dev/null".to_owned(), |path| format!("{side}/{path}"));
        let (old, new) = (name("a", self.old), name("b", self.new));
        let made = if self.old.is_none() { "new file mode 100644\n" } else { "" };
        let gone = if self.new.is_none() { "deleted file mode 100644\n" } else { "" };
        let renamed = match (self.old, self.new) {
            (Some(old), Some(new)) if old != new => format!("rename from {old}\nrename to {new}\n"),
            _ => String::new(),
        };
        let git = format!(
            "diff --git a/{} b/{}\n",
            self.old.or(self.new).unwrap_or_default(),
            self.new.or(self.old).unwrap_or_default()
        );
        if self.lines.iter().all(|line| line.starts_with(' ') || line.is_empty())
            && self.old.is_some()
            && self.new.is_some()
        {
            return format!("{git}{renamed}");
        }
        let begin = |count: usize| usize::from(count > 0);
        let lines: String = self.lines.iter().flat_map(|line| [*line, "\n"]).collect();
        format!(
            "{git}{made}{gone}{renamed}--- {old}\n+++ {new}\n@@ -{},{before} +{},{after} @@\n{lines}",
            begin(before),
            begin(after)
        )
    }
}

impl Case {
    /// As a diff.
    pub(crate) fn diff(&self) -> String {
        self.files.iter().map(Change::diff).collect()
    }
}

/// Kinds of signs, sorted.
pub(crate) fn kinds(signs: &Signs) -> Vec<String> {
    let mut kinds: Vec<String> = signs.signs.iter().map(|sign| format!("{:?}", sign.kind)).collect();
    kinds.sort();
    kinds
}

/// Changes that weaken what judges them.
pub(crate) fn gamed() -> Vec<Case> {
    cases(include_str!("gamed.txt"))
}

/// Changes that do not.
pub(crate) fn clean() -> Vec<Case> {
    cases(include_str!("clean.txt"))
}

fn cases(text: &'static str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# ") {
            let (title, signs) = head.split_once(" :: ").unwrap_or((head, ""));
            let mut signs: Vec<&str> = signs.split_whitespace().collect();
            signs.sort_unstable();
            cases.push(Case { title, signs, files: Vec::new() });
        } else if let Some(paths) = line.strip_prefix("@@ ") {
            let (old, new) = paths.split_once(" => ").unwrap_or((paths, paths));
            let path = |path: &'static str| Some(path).filter(|path| *path != "-");
            let case = cases.last_mut().expect("a head before the files");
            case.files.push(Change { old: path(old), new: path(new), lines: Vec::new() });
        } else if let Some(change) = cases.last_mut().and_then(|case| case.files.last_mut()) {
            change.lines.push(if line.is_empty() { " " } else { line });
        }
    }
    for change in cases.iter_mut().flat_map(|case| &mut case.files) {
        while change.lines.last() == Some(&" ") {
            change.lines.pop();
        }
    }
    cases
}

/// The signs of a diff.
pub(crate) fn signs(diff: &str) -> Signs {
    let mut rail = Rail::default();
    rail.push(diff.as_bytes());
    rail.finish(&[], &HashSet::new())
}

#[test]
fn what_is_gamed_is_seen_and_what_is_not_is_not() {
    let (gamed, clean) = (gamed(), clean());
    assert!(gamed.len() >= 60 && clean.len() >= 40, "{} and {}", gamed.len(), clean.len());
    assert!(gamed.iter().all(|case| !case.signs.is_empty()) && clean.iter().all(|case| case.signs.is_empty()));
    let mut wrong = Vec::new();
    for case in gamed.iter().chain(&clean) {
        let found = signs(&case.diff());
        if kinds(&found) != case.signs {
            wrong.push(format!("{}\n  wanted {:?}\n  got {:#?}", case.title, case.signs, found.signs));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), gamed.len() + clean.len(), wrong.join("\n"));
}

#[test]
fn a_sign_shows_the_line_where_it_is() {
    for case in gamed() {
        for sign in signs(&case.diff()).signs.iter().filter(|sign| !sign.text.is_empty()) {
            let (side, content) = match sign.text.split_at(1) {
                ("-", text) => ('+', text),
                (_, text) => ('-', text),
            };
            let of = |change: &Change| if side == '+' { change.old } else { change.new };
            let change = case.files.iter().find(|change| of(change) == Some(&sign.path)).expect(case.title);
            let line = usize::try_from(sign.line).unwrap();
            let there = change.content(side).lines().nth(line - 1).unwrap_or_default().trim().to_owned();
            assert_eq!(there, content, "{}", case.title);
        }
    }
}

#[test]
fn ids_survive_lines_that_move_and_differ_for_every_sign() {
    for case in gamed() {
        let moved: String = case.diff();
        let before = signs(&moved).signs;
        let ids: HashSet<&str> = before.iter().map(|sign| sign.id.as_str()).collect();
        assert_eq!(ids.len(), before.len(), "{}", case.title);
        // Ten further lines at the begin of every file.
        let shifted: String = case
            .files
            .iter()
            .map(|change| {
                let mut lines = vec![" "; 10];
                lines.extend(&change.lines);
                let lines = if change.old.is_none() || change.new.is_none() { change.lines.clone() } else { lines };
                Change { lines, ..*change }.diff()
            })
            .collect();
        let after = signs(&shifted).signs;
        assert_eq!(after.iter().map(|sign| sign.id.as_str()).collect::<HashSet<_>>(), ids, "{}", case.title);
    }
}

#[test]
fn every_kind_of_sign_is_in_the_corpus() {
    let all: HashSet<&str> = gamed().iter().flat_map(|case| case.signs.clone()).collect();
    // Protected paths are told by git, not by a diff.
    for kind in [
        GamingSignType::FewerTests,
        GamingSignType::TestSkipped,
        GamingSignType::AssertionDeleted,
        GamingSignType::AssertionWeakened,
        GamingSignType::SuppressionAdded,
    ] {
        assert!(all.contains(format!("{kind:?}").as_str()), "{kind:?}");
    }
}
