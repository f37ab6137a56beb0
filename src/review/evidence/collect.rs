//! Collects the findings of one report: counts all of them, tells what the base has too, lists the worst.
//!
//! Every finding gets an id, not only those that are listed: what the base has is known by it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use super::{Around, Broken, MAX_FINDINGS, MAX_LISTED, is_direction, plain};
use crate::{
    api::evidence::{Finding, Severity, SeverityCounts},
    review::{
        cut, cut_bytes,
        findings::{even, finding_id},
    },
};

/// Most bytes of a finding's texts.
const MAX_FINDING_BYTES: usize = 1024;
/// Most bytes of the paths and rules of all findings together.
const MAX_PLACES: usize = 64 * 1024 * 1024;
/// Most bytes of their messages: what comes after is counted and identified, but says nothing.
const MAX_WORDS: usize = 32 * 1024 * 1024;

/// What makes two findings of a report the same one.
pub(super) type Key = [u8; 16];

/// A finding before it has an id.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The same key twice is one finding; without a key each is one.
    pub(super) key: Option<Key>,
    pub(super) severity: Severity,
    pub(super) rule: String,
    /// Below the work tree; empty if there is none.
    pub(super) path: String,
    /// Counted from 1; 0 if there is none.
    pub(super) line: u32,
    pub(super) message: String,
}

/// The findings of a report: exact counts, and the worst of them.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Those that the base does not have.
    pub(super) counts: SeverityCounts,
    /// Those that it has too.
    pub(super) known: SeverityCounts,
    /// Those that are charged first, the most severe first.
    pub(super) listed: Vec<Finding>,
    /// Whether some were left out.
    pub(super) truncated: bool,
}

#[derive(Default)]
pub(super) struct Collector {
    found: Vec<Found>,
    seen: HashMap<Key, usize>,
    places: usize,
    words: usize,
}

impl Collector {
    /// Takes a finding. The same one twice is one, with the worse severity.
    pub(super) fn add(&mut self, mut found: Found) -> Result<(), Broken> {
        if let Some(known) = found.key.and_then(|key| self.seen.get(&key)).and_then(|at| self.found.get_mut(*at)) {
            known.severity = known.severity.max(found.severity);
            return Ok(());
        }
        if self.found.len() >= MAX_FINDINGS {
            return Err(Broken::invalid(format!("more than {MAX_FINDINGS} findings; let the tool report less")));
        }
        found.rule = plain(&found.rule, 1024);
        found.message = plain(&found.message, 600);
        self.places += found.rule.len() + found.path.len();
        if self.places > MAX_PLACES {
            let limit = MAX_PLACES / (1024 * 1024);
            return Err(Broken::invalid(format!("its findings' rules and paths are longer than {limit} MiB together")));
        }
        self.words += found.message.len();
        if self.words > MAX_WORDS {
            "…".clone_into(&mut found.message);
        }
        if let Some(key) = found.key {
            self.seen.insert(key, self.found.len());
        }
        self.found.push(found);
        Ok(())
    }

    /// Ids of all findings.
    pub(super) fn ids(mut self, around: &Around<'_>) -> BTreeSet<String> {
        identified(&mut self.found, around).into_iter().collect()
    }

    /// Exact counts, the worst findings, and whether some were left out.
    pub(super) fn finish(mut self, around: &Around<'_>) -> Findings {
        let ids = identified(&mut self.found, around);
        let is_known = |id: &String| around.base.is_some_and(|base| base.ids.contains(id));
        let mut all: Vec<(bool, Found, String)> =
            self.found.into_iter().zip(ids).map(|(found, id)| (is_known(&id), found, id)).collect();
        let counted = |known| {
            let of_it = all.iter().filter(|found| found.0 == known);
            counts(of_it.map(|(_, found, _)| found.severity))
        };
        let (counts, known) = (counted(false), counted(true));
        all.sort_by(|a, b| (a.0, Reverse(a.1.severity), place(&a.1)).cmp(&(b.0, Reverse(b.1.severity), place(&b.1))));
        let truncated = all.len() > MAX_LISTED;
        all.truncate(MAX_LISTED);
        let listed = all.into_iter().map(|(known, found, id)| finding(found, id, known)).collect();
        Findings { counts, known, listed, truncated }
    }
}

fn counts(severities: impl Iterator<Item = Severity>) -> SeverityCounts {
    let mut counts = SeverityCounts::default();
    for severity in severities {
        *match severity {
            Severity::Critical => &mut counts.critical,
            Severity::Major => &mut counts.major,
            Severity::Minor => &mut counts.minor,
            Severity::Info => &mut counts.info,
        } += 1;
    }
    counts
}

/// An order that does not depend on the file's.
fn place(found: &Found) -> impl Ord + '_ {
    let Found { key, severity: _, rule, path, line, message } = found;
    (path, *line, rule, message, key)
}

/// Sorts findings by their places and gives each its id, in that order, so that the occurrence of equal
/// ones is stable. A file that was renamed counts under the name it had.
fn identified(found: &mut [Found], around: &Around<'_>) -> Vec<String> {
    found.sort_by(|a, b| place(a).cmp(&place(b)));
    let mut occurrences: BTreeMap<String, u32> = BTreeMap::new();
    let mut last: (&str, u32, String) = ("", 0, String::new());
    let mut ids = Vec::with_capacity(found.len());
    for Found { rule, path, line, .. } in found.iter() {
        if (last.0, last.1) != (path, *line) {
            let text = if path.is_empty() || *line == 0 { None } else { (around.lines)(path, *line) };
            last = (path, *line, even(&cut(&text.unwrap_or_default(), 4096)));
        }
        let origin = around.change.map_or(path.as_str(), |change| change.origin(path));
        let id = finding_id(rule, origin, &last.2, 0);
        let occurrence = occurrences.entry(id.clone()).or_default();
        ids.push(if *occurrence == 0 { id } else { finding_id(rule, origin, &last.2, *occurrence) });
        *occurrence += 1;
    }
    ids
}

fn finding(found: Found, id: String, known: bool) -> Finding {
    let Found { key: _, severity, rule, path, line, message } = found;
    // A name that turns a text around is told without what turns it.
    let shown: String = path.chars().filter(|c| !is_direction(*c)).collect();
    let (rule, path) = (cut_bytes(&rule, 128), cut_bytes(&shown, 512));
    let message = cut_bytes(&message, (MAX_FINDING_BYTES - id.len()).saturating_sub(rule.len() + path.len()));
    Finding {
        id,
        rule,
        severity,
        path,
        line: i32::try_from(line).unwrap_or(i32::MAX),
        message,
        evidence: String::new(),
        recommendation: String::new(),
        known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: u32, message: &str) -> Found {
        Found {
            key: None,
            severity: Severity::Minor,
            rule: "R".to_owned(),
            path: "a.py".to_owned(),
            line,
            message: message.to_owned(),
        }
    }

    #[test]
    fn findings_with_more_words_than_are_held_keep_their_counts_and_ids() {
        let mut collector = Collector { words: MAX_WORDS - 3, ..Collector::default() };
        for line in 1..=3 {
            collector.add(found(line, "one")).unwrap();
        }
        let lines = |_: &str, line: u32| Some(line.to_string());
        let Findings { counts, listed, .. } = collector.finish(&Around::new("/tree", &lines));
        assert_eq!(counts.minor, 3);
        let messages: Vec<&str> = listed.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages, ["one", "…", "…"]);
        assert_eq!(listed.iter().map(|finding| &finding.id).collect::<BTreeSet<_>>().len(), 3);
    }

    #[test]
    fn paths_that_are_too_long_together_are_refused() {
        let mut collector = Collector { places: MAX_PLACES - 10, ..Collector::default() };
        collector.add(found(1, "")).unwrap();
        let refused = collector.add(Found { path: "long".repeat(3), ..found(2, "") }).unwrap_err();
        assert!(refused.message.contains("64 MiB"), "{refused:?}");
    }
}
