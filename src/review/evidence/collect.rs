//! Collects the findings of one report: counts all of them, lists the worst, holds little.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{Broken, Lines, MAX_FINDINGS, MAX_LISTED, plain};
use crate::{
    api::evidence::{Finding, Severity, SeverityCounts},
    review::{
        cut, cut_bytes,
        findings::{even, finding_id},
    },
};

/// Most bytes of a finding's texts.
const MAX_FINDING_BYTES: usize = 1024;

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

#[derive(Default)]
pub(super) struct Collector {
    counts: BTreeMap<Severity, usize>,
    seen: BTreeMap<Key, Severity>,
    worst: Vec<Found>,
}

impl Collector {
    /// Counts a finding, unless the same one was counted with at least this severity.
    pub(super) fn add(&mut self, mut found: Found) -> Result<(), Broken> {
        if let Some(key) = found.key {
            match self.seen.insert(key, found.severity) {
                Some(known) if known >= found.severity => {
                    self.seen.insert(key, known);
                    return Ok(());
                }
                Some(known) => *self.counts.entry(known).or_default() -= 1,
                None if self.seen.len() > MAX_FINDINGS => {
                    let message = format!("more than {MAX_FINDINGS} findings; let the tool report less");
                    return Err(Broken::invalid(message));
                }
                None => {}
            }
        }
        *self.counts.entry(found.severity).or_default() += 1;
        found.rule = plain(&found.rule, 1024);
        found.message = plain(&found.message, 600);
        self.worst.push(found);
        if self.worst.len() >= 2 * MAX_LISTED {
            self.compact();
        }
        Ok(())
    }

    /// Keeps the worst, in an order that does not depend on the file's.
    fn compact(&mut self) {
        self.worst.sort_by(|a, b| order(a).cmp(&order(b)));
        let mut keys = BTreeSet::new();
        self.worst.retain(|found| found.key.is_none_or(|key| keys.insert(key)));
        self.worst.truncate(MAX_LISTED);
    }

    /// Exact counts, the worst findings with their ids, and whether some were left out.
    pub(super) fn finish(mut self, lines: &Lines<'_>) -> (SeverityCounts, Vec<Finding>, bool) {
        self.compact();
        let total: usize = self.counts.values().sum();
        let count = |severity| i32::try_from(self.counts.get(&severity).copied().unwrap_or(0)).unwrap_or(i32::MAX);
        let counts = SeverityCounts {
            critical: count(Severity::Critical),
            major: count(Severity::Major),
            minor: count(Severity::Minor),
            info: count(Severity::Info),
        };
        let truncated = total > self.worst.len();
        let mut occurrences = BTreeMap::new();
        let findings = self.worst.into_iter().map(|found| identified(found, lines, &mut occurrences)).collect();
        (counts, findings, truncated)
    }
}

fn order(found: &Found) -> impl Ord + '_ {
    let Found { key, severity, rule, path, line, message } = found;
    (Reverse(*severity), path, *line, rule, message, key)
}

/// Gives a finding its id. Findings come in order of their lines, so the occurrence is stable.
fn identified(found: Found, lines: &Lines<'_>, occurrences: &mut BTreeMap<(String, String, String), u32>) -> Finding {
    let Found { key: _, severity, rule, path, line, message } = found;
    let text = if path.is_empty() || line == 0 { None } else { lines(&path, line) };
    let text = even(&cut(&text.unwrap_or_default(), 4096));
    let occurrence = occurrences.entry((rule.clone(), path.clone(), text.clone())).or_default();
    let id = finding_id(&rule, &path, &text, *occurrence);
    *occurrence += 1;
    let (rule, path) = (cut_bytes(&rule, 128), cut_bytes(&path, 512));
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
        known: false,
    }
}
