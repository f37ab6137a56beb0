//! `waive`: which findings, signs and criteria a person accepts, told apart from what needs no waiver. Pure.

use k8s_openapi::jiff::Timestamp;

use super::{
    decide::Refused,
    follow::place_of,
    reading,
    text::{Look, plain},
};
use crate::api::{
    Phase, ReviewResult, ReviewResultStatus,
    evidence::GamingSign,
    review_result::{CriterionState, JudgedFinding, Uncharged},
};

/// Characters of an id that the report shows, and that tell it from others.
pub(crate) const SHOWN_ID: usize = 12;
/// Least characters that name an id.
const LEAST_ID: usize = 6;
/// Most ids and criteria of one Decision (the limit of the API).
const MAX_IDS: usize = 100;
const MAX_CRITERIA: usize = 32;
/// Ids named where one is unknown.
const NAMED: usize = 10;

/// The first characters of an id, as the report shows them.
pub(crate) fn short_id(id: &str) -> String {
    plain(id).chars().take(SHOWN_ID).collect()
}

/// The full ids of the findings and signs that are named by their first characters.
///
/// # Errors
/// When one does not name exactly one finding or sign that refuses something; the text names what does.
pub(crate) fn ids(
    phase: &Phase,
    result: Option<&ReviewResult>,
    given: &[String],
    look: &Look,
) -> Result<Vec<String>, Refused> {
    let name = reading::name(phase);
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let judged = result.and_then(|result| result.status.as_ref()).filter(|status| status.verdict.is_some());
    let Some(status) = judged else {
        return Err(Refused(format!("{name} has not been reviewed yet, so there is no finding to waive")));
    };
    if given.len() > MAX_IDS {
        return Err(Refused(format!(
            "{} findings are too many for one Decision: waive at most {MAX_IDS}",
            given.len()
        )));
    }
    let report = look.command(&format!("report {name}"));
    let mut full: Vec<String> = Vec::new();
    for id in given {
        let found = one(status, id, &report)?;
        if !full.contains(&found) {
            full.push(found);
        }
    }
    Ok(full)
}

/// What has an id.
#[derive(Clone, Copy)]
enum Named<'a> {
    Finding(&'a JudgedFinding),
    Sign { sign: &'a GamingSign, waived: bool },
}

impl Named<'_> {
    fn id(&self) -> &str {
        match self {
            Self::Finding(judged) => &judged.finding.id,
            Self::Sign { sign, .. } => &sign.id,
        }
    }

    /// Why it needs no waiver; none if it refuses something.
    fn needless(&self) -> Option<&'static str> {
        match self {
            Self::Finding(judged) => judged.uncharged.map(|uncharged| match uncharged {
                Uncharged::Known => "is known debt of the base, which costs nothing",
                Uncharged::Waived => "is waived already",
                Uncharged::Shadow => "is said by a shadow reviewer alone, which costs nothing",
            }),
            Self::Sign { waived, .. } => waived.then_some("is waived already"),
        }
    }

    /// `c56e564319c4 (gateway.py:41 B602)`.
    fn words(&self) -> String {
        let what = match self {
            Self::Finding(JudgedFinding { finding, .. }) => {
                format!("{} {}", place_of(&finding.path, finding.line), plain(&finding.rule))
            }
            Self::Sign { sign, .. } => format!("{} {:?}", place_of(&sign.path, sign.line), sign.kind),
        };
        format!("{} ({what})", short_id(self.id()))
    }
}

fn all(status: &ReviewResultStatus) -> Vec<Named<'_>> {
    let signs = status.gaming_signs.iter().map(|judged| Named::Sign { sign: &judged.sign, waived: judged.waived });
    signs.chain(status.findings.iter().map(Named::Finding)).collect()
}

fn one(status: &ReviewResultStatus, given: &str, report: &str) -> Result<String, Refused> {
    let all = all(status);
    let exact: Vec<&Named<'_>> = all.iter().filter(|named| named.id() == given).collect();
    let starts = |named: &&Named<'_>| given.len() >= LEAST_ID && named.id().starts_with(given);
    let found = if exact.is_empty() { all.iter().filter(starts).collect() } else { exact };
    match found.as_slice() {
        [] => {
            let open: Vec<String> =
                all.iter().filter(|named| named.needless().is_none()).take(NAMED).map(Named::words).collect();
            let known =
                if open.is_empty() { "it has none to waive".to_owned() } else { format!("it has {}", open.join(", ")) };
            Err(Refused(format!(
                "{:?} is no id of a finding or sign of the last review (at least its first {LEAST_ID} characters): {known}. See {report}",
                plain(given)
            )))
        }
        [named] => match named.needless() {
            Some(why) => Err(Refused(format!("{} {why}: there is nothing to waive", named.words()))),
            None => Ok(named.id().to_owned()),
        },
        [_, ..] => {
            let alike: Vec<String> = found.iter().take(NAMED).map(|named| named.words()).collect();
            Err(Refused(format!("{:?} can mean {}: give more characters", plain(given), alike.join(" or "))))
        }
    }
}

/// The criteria that are named, each once.
///
/// # Errors
/// When the Phase has no such criterion, or it is waived already.
pub(crate) fn criteria(phase: &Phase, result: Option<&ReviewResult>, given: &[String]) -> Result<Vec<String>, Refused> {
    let known: Vec<&str> = phase.spec.success_criteria.iter().map(|criterion| criterion.name.as_str()).collect();
    if given.len() > MAX_CRITERIA {
        return Err(Refused(format!("a Decision waives at most {MAX_CRITERIA} criteria")));
    }
    let mut named: Vec<String> = Vec::new();
    for name in given {
        if !known.contains(&name.as_str()) {
            let all = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
            return Err(Refused(format!("{} has no success criterion {}: {all}", reading::name(phase), plain(name))));
        }
        let waived = result.is_some_and(|result| {
            reading::judged_criteria(result)
                .any(|judged| judged.name == *name && judged.state == CriterionState::Waived)
        });
        if waived {
            return Err(Refused(format!("criterion {name} is waived already: there is nothing to waive")));
        }
        if !named.contains(name) {
            named.push(name.clone());
        }
    }
    Ok(named)
}

/// A waiver that is over already would do nothing.
///
/// # Errors
/// When its end is not after `now`.
pub(crate) fn still_ahead(until: Timestamp, now: Timestamp) -> Result<(), Refused> {
    if until > now {
        return Ok(());
    }
    Err(Refused(format!("--until {until} is over already: name a later day, or leave it out for a waiver without end")))
}
