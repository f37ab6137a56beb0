//! Taking findings: each is looked up at the commit, and filed or rejected with what to do about it.

use serde::Serialize;

use super::{
    super::Companion,
    Filed,
    locate::Lines,
    source::{self, Changed, Source},
    tools::FindingArgs,
};
use crate::{
    api::evidence::{Finding, Severity},
    git::command::CommandError,
    review::finding_id,
    runner::protocol::{MAX_FINDING_TEXT, MAX_FINDINGS, MAX_REVIEW_BYTES},
    text::cut,
};

/// Apart from each other are the ids of several findings of one category at one line.
const STRIDE: u32 = 1 << 24;

/// What became of a call.
#[derive(Debug, Default, Serialize)]
pub(super) struct Taken {
    /// Findings that are filed.
    filed: Vec<Accepted>,
    /// Findings that are not.
    pub(super) rejected: Vec<Rejected>,
    /// Findings of this review in all.
    in_all: usize,
}

#[derive(Debug, Serialize)]
struct Accepted {
    /// Which of the call, counted from 0.
    index: usize,
    id: String,
    /// Where it is; 0 without a line.
    line: i32,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Rejected {
    /// Which of the call, counted from 0.
    pub(super) index: usize,
    pub(super) why: String,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("the review is submitted, and nothing is taken any more; end the run")]
    Submitted,
    #[error("findings must hold 1 to {MAX_FINDINGS} findings; it holds {0}")]
    Count(usize),
    #[error("failed to look at the commit: {0}; call again")]
    Git(#[from] CommandError),
    #[error("failed to keep the findings: {0}; call again")]
    Keep(#[from] std::io::Error),
}

/// Where a finding is, once it has been found.
struct Place {
    path: String,
    line: usize,
    text: String,
    occurrence: usize,
}

impl Companion {
    /// Files findings. Each for itself: one that is rejected keeps no other out.
    pub(super) async fn file(&self, given: Vec<FindingArgs>) -> Result<Taken, FileError> {
        if given.is_empty() || given.len() > MAX_FINDINGS {
            return Err(FileError::Count(given.len()));
        }
        let mut held = self.review.lock().await;
        if held.submitted {
            return Err(FileError::Submitted);
        }
        let changed = self.changed().await?;
        let mut filed = held.clone();
        // Findings of one file come together, so the last file is kept.
        let mut last = None;
        let mut taken = Taken::default();
        for (index, finding) in given.into_iter().enumerate() {
            let made = self.finding(finding, &changed, &mut last).await?;
            match made.and_then(|(finding, occurrence)| filed.take(finding, occurrence, &changed)) {
                Ok(accepted) => taken.filed.push(Accepted { index, ..accepted }),
                Err(why) => taken.rejected.push(Rejected { index, why }),
            }
        }
        if filed != *held {
            filed.write(&self.places.git)?;
        }
        taken.in_all = filed.findings.len();
        *held = filed;
        Ok(taken)
    }

    /// The finding as it would be filed, without its id, and how often its line's text comes before in the file; or why
    /// it is rejected.
    async fn finding(
        &self,
        args: FindingArgs,
        changed: &Changed,
        last: &mut Option<(String, Source)>,
    ) -> Result<Result<(Finding, usize), String>, CommandError> {
        let FindingArgs { severity, category, file, line, evidence, message, recommendation } = args;
        let asked = self.assignment.review.iter().flat_map(|review| &review.categories);
        let asked: Vec<&str> = asked.map(String::as_str).collect();
        let rule = category.trim().to_lowercase();
        if !asked.contains(&rule.as_str()) {
            return Ok(Err(format!("category must be one of {}; it is {:?}", asked.join(", "), cut(&rule, 80))));
        }
        let (message, recommendation) = (plain(&message), plain(&recommendation));
        if message.is_empty() {
            return Ok(Err("message is empty; say what is wrong".to_owned()));
        }
        if evidence.chars().count() > MAX_FINDING_TEXT {
            return Ok(Err(format!(
                "evidence is longer than {MAX_FINDING_TEXT} characters; quote the lines that show it"
            )));
        }
        let place = match self.place(file.as_deref(), line, &evidence, last).await? {
            Ok(place) => place,
            Err(why) => return Ok(Err(why)),
        };
        let severity = Severity::from(severity);
        if place.line == 0 && severity > Severity::Minor {
            return Ok(Err(format!(
                "a finding without a line is one word against another and counts at most Minor, not {severity:?}; name \
                 the file and the line, and quote the line that shows it, or file it as Minor or Info"
            )));
        }
        let Place { path, line, text, occurrence } = place;
        let finding = Finding {
            // The text of the line, until `take` knows the id.
            id: text,
            rule,
            severity,
            // What is missing is not in the file, so an untouched one says nothing of it.
            known: line > 0 && changed.is_untouched(&path),
            path,
            line: i32::try_from(line).unwrap_or(i32::MAX),
            message,
            evidence: clean(&evidence),
            recommendation,
        };
        Ok(Ok((finding, occurrence)))
    }

    async fn place(
        &self,
        file: Option<&str>,
        line: Option<u32>,
        quote: &str,
        last: &mut Option<(String, Source)>,
    ) -> Result<Result<Place, String>, CommandError> {
        let line = line.filter(|line| *line > 0).and_then(|line| usize::try_from(line).ok());
        let (quoted, file) = (!quote.trim().is_empty(), file.map(str::trim).filter(|file| !file.is_empty()));
        let Some(file) = file else {
            let nowhere = Place { path: String::new(), line: 0, text: String::new(), occurrence: 0 };
            let why = "a line or quote is named without its file; name the file";
            return Ok(if quoted || line.is_some() { Err(why.to_owned()) } else { Ok(nowhere) });
        };
        let path = match source::path(file, &self.places.workspace.to_string_lossy()) {
            Ok(path) => path,
            Err(why) => return Ok(Err(why)),
        };
        let source = match last.take() {
            Some((known, source)) if known == path => source,
            Some(_) | None => self.source(&path).await?,
        };
        let named = quoted || line.is_some();
        let commit = self.assignment.commit.as_deref().unwrap_or_default();
        let place = match &source {
            Source::None(why) => Err(format!("file {path}: {why}; name a file of commit {commit}")),
            Source::Opaque(why) if named => {
                Err(format!("file {path} cannot be quoted, since {why}; name it without line and evidence"))
            }
            Source::Text(lines) if named => located(&path, lines, line, quote),
            Source::Opaque(_) | Source::Text(_) => {
                Ok(Place { path: path.clone(), line: 0, text: String::new(), occurrence: 0 })
            }
        };
        *last = Some((path, source));
        Ok(place)
    }
}

fn located(path: &str, lines: &Lines, line: Option<usize>, quote: &str) -> Result<Place, String> {
    let line = lines.locate(line, quote).map_err(|why| format!("file {path} {why}"))?;
    Ok(Place { path: path.to_owned(), line, text: lines.text(line).to_owned(), occurrence: lines.before(line) })
}

impl Filed {
    /// Takes a finding in. The place alone makes the id, so that two reviewers agree on it; a second finding of the same
    /// category at the same place gets the next one.
    fn take(&mut self, finding: Finding, occurrence: usize, changed: &Changed) -> Result<Accepted, String> {
        let text = finding.id.clone();
        let occurrence = u32::try_from(occurrence).unwrap_or(u32::MAX) % STRIDE;
        let id = |nth: u32| {
            let occurrence = occurrence.saturating_add(nth.saturating_mul(STRIDE));
            finding_id(&finding.rule, changed.origin(&finding.path), &text, occurrence)
        };
        let mut nth = 0;
        while let Some(known) = self.findings.iter().find(|known| known.id == id(nth)) {
            let again = (&known.message, known.severity) == (&finding.message, finding.severity);
            if again {
                let note = "filed before; this call changed nothing".to_owned();
                return Ok(Accepted { index: 0, id: known.id.clone(), line: known.line, note });
            }
            nth += 1;
        }
        let finding = Finding { id: id(nth), ..finding };
        let accepted = Accepted { index: 0, id: finding.id.clone(), line: finding.line, note: note(&finding) };
        self.make_room(&finding)?;
        self.findings.push(finding);
        Ok(accepted)
    }

    /// A flood of notes must not keep a Critical out: where there is no room, the last of the least severe goes.
    fn make_room(&mut self, finding: &Finding) -> Result<(), String> {
        let weight = |finding: &Finding| serde_json::to_vec(finding).map_or(usize::MAX, |json| json.len() + 1);
        let mut kept = self.findings.clone();
        let mut bytes: usize = kept.iter().map(weight).sum();
        while kept.len() >= MAX_FINDINGS || bytes.saturating_add(weight(finding)) + 2 > MAX_REVIEW_BYTES {
            let least = (0..kept.len()).rev().min_by_key(|at| kept[*at].severity);
            match least.filter(|at| kept[*at].severity < finding.severity) {
                Some(at) => bytes -= weight(&kept.remove(at)),
                None => {
                    return Err(format!(
                        "a review holds {MAX_FINDINGS} findings and {} KiB, and there is no room for another that is no \
                         more severe; submit the review",
                        MAX_REVIEW_BYTES >> 10
                    ));
                }
            }
        }
        self.findings = kept;
        Ok(())
    }
}

fn note(finding: &Finding) -> String {
    if finding.known {
        return format!(
            "the phase did not change {}, so this counts as known debt and costs nothing; if the phase is to blame, file \
             it at the changed line that causes it",
            finding.path
        );
    }
    String::new()
}

/// A text on its own: no control characters, cut.
fn plain(text: &str) -> String {
    cut(clean(text).trim(), MAX_FINDING_TEXT)
}

/// Control characters have no place in what people read in terminals.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !"\n\t".contains(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, message: &str) -> Finding {
        Finding {
            id: "run(x)".to_owned(),
            rule: "security".to_owned(),
            severity,
            path: "a.py".to_owned(),
            line: 3,
            message: message.to_owned(),
            evidence: "run(x)".to_owned(),
            recommendation: String::new(),
            known: false,
        }
    }

    fn take(filed: &mut Filed, finding: Finding) -> Result<Accepted, String> {
        filed.take(finding, 0, &Changed::default())
    }

    #[test]
    fn two_findings_at_one_place_are_two_and_the_same_again_is_one() {
        let mut filed = Filed::default();
        let first = take(&mut filed, finding(Severity::Major, "a")).unwrap();
        assert_eq!(first.id, finding_id("security", "a.py", "run(x)", 0), "as any other reviewer would name it");
        let second = take(&mut filed, finding(Severity::Major, "b")).unwrap();
        assert_ne!(first.id, second.id);
        for (message, id) in [("a", &first.id), ("b", &second.id)] {
            let again = take(&mut filed, finding(Severity::Major, message)).unwrap();
            assert_eq!((&again.id, again.note.contains("filed before")), (id, true));
        }
        assert_eq!(filed.findings.len(), 2);
    }

    #[test]
    fn a_flood_of_notes_does_not_keep_a_critical_out() {
        let mut filed = Filed::default();
        for n in 0..100 {
            take(&mut filed, finding(Severity::Info, &n.to_string())).unwrap();
        }
        let why = take(&mut filed, finding(Severity::Info, "one more")).unwrap_err();
        assert!(why.contains("no room"), "{why}");
        take(&mut filed, finding(Severity::Critical, "a hole")).unwrap();
        assert_eq!(filed.findings.len(), 100);
        assert_eq!(filed.findings[98].message, "98", "the last note made room");
        assert_eq!(filed.findings[99].severity, Severity::Critical);
    }

    #[test]
    fn long_findings_are_bounded_together() {
        let mut filed = Filed::default();
        let long = |n: usize| finding(Severity::Minor, &format!("{n}{}", "ä".repeat(590)));
        let taken = (0..100).take_while(|n| take(&mut filed, long(*n)).is_ok()).count();
        assert!((70..90).contains(&taken), "{taken}");
        assert!(serde_json::to_vec(&filed.findings).unwrap().len() <= MAX_REVIEW_BYTES);
        take(&mut filed, Finding { message: "m".repeat(600), ..finding(Severity::Major, "") }).unwrap();
        assert!(serde_json::to_vec(&filed.findings).unwrap().len() <= MAX_REVIEW_BYTES);
    }
}
