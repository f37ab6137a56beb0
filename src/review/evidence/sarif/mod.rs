//! SARIF 2.1.0: findings of a static analyser. The file is walked twice, since a run may list its
//! results before the rules and bases that say what they mean; neither walk holds a list.

mod heads;
mod model;
mod walk;

use sha2::{Digest, Sha256};

use super::{Broken, Facts, collect::Collector, collect::Found, collect::Key, place::Place};
use crate::api::evidence::{ReportLevels, Severity};

use heads::Heads;
use model::{Level, ResultObject, Rule};
use walk::{At, Sink, walk};

/// Reads a SARIF report. One without a run is Empty; one whose runs found nothing says so.
pub(super) fn read(text: &str, levels: Option<&ReportLevels>, root: &str) -> Result<Facts, Broken> {
    let mut heads = Heads::default();
    walk(text, &mut heads)?;
    if heads.runs.is_empty() {
        return Err(Broken::empty("no run is in it"));
    }
    let mut results = Results { heads: &heads, levels, root, run: None, collector: Collector::default() };
    walk(text, &mut results)?;
    Ok(Facts { found: Some(results.collector), ..Facts::default() })
}

/// The second walk: judges one result after the other.
struct Results<'a> {
    heads: &'a Heads,
    levels: Option<&'a ReportLevels>,
    root: &'a str,
    /// Index of the run that is walked.
    run: Option<usize>,
    collector: Collector,
}

impl Sink for Results<'_> {
    fn wants(&self, at: At) -> bool {
        matches!(at, At::Runs | At::Run | At::Results)
    }

    fn run(&mut self) -> Result<(), Broken> {
        self.run = Some(self.run.map_or(0, |run| run + 1));
        Ok(())
    }

    fn result(&mut self, result: ResultObject) -> Result<(), Broken> {
        let Some(head) = self.run.and_then(|run| self.heads.runs.get(run)) else { return Ok(()) };
        if !result.is_open() {
            return Ok(());
        }
        let rule = head.rule(&result);
        let (place, line) = head.place(&result, self.root);
        let name = result.rule_name().or(rule.map(|rule| rule.id.as_str())).unwrap_or("unnamed").to_owned();
        let mut message = result.message_text().or(rule.map(|rule| rule.text.as_str())).unwrap_or_default().to_owned();
        let key = key(&name, &place, &result, &message);
        let path = match place {
            Place::Inside(path) => path,
            Place::Nowhere => String::new(),
            Place::Outside(address) => {
                message = format!("{message} (outside of the work tree: {address})");
                String::new()
            }
        };
        self.collector.add(Found {
            key: Some(key),
            severity: severity(&result, rule, self.levels),
            rule: name,
            line: if path.is_empty() { 0 } else { line },
            path,
            message,
        })
    }
}

/// The same rule at the same place with the same words is the same finding.
fn key(rule: &str, place: &Place, result: &ResultObject, message: &str) -> Key {
    let mut hash = Sha256::new();
    for part in [rule, &format!("{place:?} {:?}", result.region()), message] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let mut key = Key::default();
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}

/// Severity of a result (design §7): what the Repository says of its level, else the rule's
/// `security-severity` (a CVSS number), else what the level means.
fn severity(result: &ResultObject, rule: Option<&Rule>, levels: Option<&ReportLevels>) -> Severity {
    let level = result.level().or(rule.and_then(|rule| rule.level)).unwrap_or(Level::Warning);
    let set = levels.and_then(|levels| match level {
        Level::Error => levels.error,
        Level::Warning => levels.warning,
        Level::Note => levels.note,
        Level::None => None,
    });
    let score = || result.security_severity().or(rule.and_then(|rule| rule.security_severity));
    set.or_else(|| score().map(of_security_severity)).unwrap_or(match level {
        Level::Error => Severity::Major,
        Level::Warning => Severity::Minor,
        Level::Note | Level::None => Severity::Info,
    })
}

fn of_security_severity(score: f64) -> Severity {
    match score {
        score if score >= 9.0 => Severity::Critical,
        score if score >= 7.0 => Severity::Major,
        score if score >= 4.0 => Severity::Minor,
        _ => Severity::Info,
    }
}
