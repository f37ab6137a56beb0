//! The findings of a judgement, the dearest first: what several report is one finding, what costs nothing is shown
//! with the reason; and which of the previous judgement are gone.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    cut,
    piece::{Standing, broken, failure_id, less},
    reviews,
    waived::{Waived, is_known, one_more},
};
use crate::{
    api::{
        ReviewResultSpec,
        agent_task::{FindingAnswer, FindingAnswerKind},
        evidence::{Finding, ReportFacts, Severity, SeverityCounts},
        review_result::{CheckEvidence, JudgedFinding, Uncharged},
    },
    review::{
        evidence::bound::{MAX_EVIDENT, MAX_EVIDENT_BYTES, fitting},
        findings::resolved,
    },
};

/// Most reporters of one finding that are named (the limit of the API).
const MAX_REPORTERS: usize = 16;

pub(super) struct Open {
    /// What is charged, exactly.
    pub(super) counts: SeverityCounts,
    /// What the base has too, exactly.
    pub(super) known: SeverityCounts,
    pub(super) findings: Vec<JudgedFinding>,
    pub(super) resolved: Vec<String>,
}

/// What one check or reviewer says of one finding.
struct Claim<'a> {
    by: &'a str,
    shadow: bool,
    uncharged: Option<Uncharged>,
    /// Categories that count and that it speaks of.
    categories: Vec<&'a String>,
    finding: Finding,
}

pub(super) fn open(spec: &ReviewResultSpec, waived: &Waived<'_>) -> Open {
    let claims = claims(spec, waived);
    let (mut counts, mut known) = totals(spec, waived);
    let mut groups: BTreeMap<&str, Vec<&Claim<'_>>> = BTreeMap::new();
    for claim in &claims {
        groups.entry(&claim.finding.id).or_default().push(claim);
    }
    let mut findings: Vec<JudgedFinding> = Vec::with_capacity(groups.len());
    for group in groups.values_mut() {
        group.sort_by(|a, b| a.order().cmp(&b.order()));
        findings.extend(judged(spec, group));
        let (twice, known_twice) = counted_twice(group);
        counts = less(counts, twice);
        known = less(known, known_twice);
    }
    findings.sort_by_cached_key(|judged| order(spec, judged));
    let listed = fitting(&findings, MAX_EVIDENT, MAX_EVIDENT_BYTES);
    let mut left_out = findings.split_off(listed);
    left_out.retain(|judged| judged.uncharged != Some(Uncharged::Shadow));
    let whole = spec.checks.iter().all(is_whole) && reviews::are_whole(spec) && left_out.is_empty();
    let counting = findings.iter().filter(|judged| judged.uncharged != Some(Uncharged::Shadow));
    let ids: BTreeSet<&str> = counting.map(|judged| judged.finding.id.as_str()).collect();
    let resolved = resolved(&spec.previous_findings, &ids, whole);
    Open { counts, known, findings, resolved }
}

/// Everything that is listed anywhere, as often as it is.
fn claims<'a>(spec: &'a ReviewResultSpec, waived: &Waived<'_>) -> Vec<Claim<'a>> {
    let counts = |name: &&String| spec.rubric.categories.iter().any(|category| category.name == **name);
    let mut claims = Vec::new();
    for check in &spec.checks {
        let claim = |finding: Finding, known: bool| Claim {
            by: &check.name,
            shadow: false,
            uncharged: uncharged(known, waived.has(&finding.id)),
            categories: check.categories.iter().filter(counts).collect(),
            finding,
        };
        for report in check.reports.iter().filter(|report| broken(report).is_none()) {
            claims.extend(report.findings.iter().map(|found| claim(found.clone(), is_known(report, found))));
        }
        claims.extend(failure(check).map(|finding| claim(finding, false)));
    }
    for reviewer in &spec.reviews {
        claims.extend(reviewer.review.iter().flat_map(|review| &review.findings).map(|found| Claim {
            by: &reviewer.name,
            shadow: reviewer.shadow,
            uncharged: if reviewer.shadow {
                Some(Uncharged::Shadow)
            } else {
                uncharged(found.known, waived.has(&found.id))
            },
            categories: Some(&found.rule).into_iter().filter(counts).collect(),
            finding: found.clone(),
        }));
    }
    claims
}

const fn uncharged(known: bool, waived: bool) -> Option<Uncharged> {
    match (known, waived) {
        (true, _) => Some(Uncharged::Known),
        (false, true) => Some(Uncharged::Waived),
        (false, false) => None,
    }
}

/// What is charged and what is known, counted where it is reported: exact, however long the lists.
fn totals(spec: &ReviewResultSpec, waived: &Waived<'_>) -> (SeverityCounts, SeverityCounts) {
    let (mut counts, mut known) = (SeverityCounts::default(), SeverityCounts::default());
    for check in &spec.checks {
        for report in check.reports.iter().filter(|report| broken(report).is_none()) {
            let charged = less(report.counts.unwrap_or_default(), waived.listed(report));
            reviews::add(&mut counts, charged);
            let base = report.base.as_ref().and_then(|base| base.known);
            reviews::add(&mut known, base.unwrap_or_default());
        }
        if failure(check).is_some_and(|finding| !waived.has(&finding.id)) {
            one_more(&mut counts, Severity::Minor);
        }
    }
    for (reviewer, review) in reviews::counting(spec) {
        for finding in &review.findings {
            match uncharged(finding.known, waived.has(&finding.id)) {
                None => one_more(&mut counts, finding.severity),
                Some(Uncharged::Known) => one_more(&mut known, finding.severity),
                Some(Uncharged::Waived | Uncharged::Shadow) => {}
            }
        }
        for left_out in &reviewer.left_out {
            reviews::add(&mut counts, left_out.counts);
        }
    }
    (counts, known)
}

impl Claim<'_> {
    /// Those that charge come first, then the most severe: the first one speaks for the finding.
    fn order(&self) -> impl Ord + '_ {
        let Self { by, shadow: _, uncharged, categories: _, finding } = self;
        let Finding { id: _, rule, severity, path, line, message, evidence, recommendation, known } = finding;
        (rank(*uncharged), Reverse(*severity), *by, path, *line, rule, message, (evidence, recommendation, *known))
    }
}

/// What is charged comes before what is waived, known, and said by a shadow reviewer alone.
const fn rank(uncharged: Option<Uncharged>) -> u8 {
    match uncharged {
        None => 0,
        Some(Uncharged::Waived) => 1,
        Some(Uncharged::Known) => 2,
        Some(Uncharged::Shadow) => 3,
    }
}

/// What of a group was counted more than once: all that is charged but its first, and all that is known but, if
/// nothing is charged, its first.
fn counted_twice(group: &[&Claim<'_>]) -> (SeverityCounts, SeverityCounts) {
    let (mut twice, mut known_twice) = (SeverityCounts::default(), SeverityCounts::default());
    for claim in group.iter().skip(1) {
        match claim.uncharged {
            None => one_more(&mut twice, claim.finding.severity),
            Some(Uncharged::Known) => one_more(&mut known_twice, claim.finding.severity),
            Some(Uncharged::Waived | Uncharged::Shadow) => {}
        }
    }
    (twice, known_twice)
}

/// One finding out of all that is said of it. `group` is in the order of [`Claim::order`].
fn judged(spec: &ReviewResultSpec, group: &[&Claim<'_>]) -> Option<JudgedFinding> {
    let spoken = group.first()?;
    let finding = spoken.finding.clone();
    let alike = group.iter().filter(|claim| claim.uncharged == spoken.uncharged);
    let cost: BTreeSet<&String> = alike.flat_map(|claim| claim.categories.iter().copied()).collect();
    let categories = spec.rubric.categories.iter().map(|category| &category.name);
    let names = |shadow: bool| {
        let claims = group.iter().filter(move |claim| claim.shadow == shadow);
        claims.map(|claim| claim.by).collect::<BTreeSet<&str>>()
    };
    let mut reporters: Vec<String> = names(false).into_iter().chain(names(true)).map(str::to_owned).collect();
    reporters.truncate(MAX_REPORTERS);
    let persisting = spec.previous_findings.contains(&finding.id);
    Some(JudgedFinding {
        check: reporters.first().cloned().unwrap_or_default(),
        reported_by: if reporters.len() > 1 { reporters } else { Vec::new() },
        uncharged: spoken.uncharged,
        dispute: if persisting { dispute(spec, &finding.id) } else { String::new() },
        categories: categories.filter(|name| cost.contains(name)).cloned().collect(),
        persisting,
        finding,
    })
}

/// What the developer said against a finding; empty if nothing.
fn dispute(spec: &ReviewResultSpec, id: &str) -> String {
    let disputes = |answer: &&FindingAnswer| match answer.answer {
        FindingAnswerKind::Disputed => answer.finding == id,
        FindingAnswerKind::Fixed => false,
    };
    let said = spec.answers.iter().filter(disputes).map(|answer| answer.note.trim()).max();
    match said {
        None => String::new(),
        Some("") => "disputed without a word why".to_owned(),
        Some(note) => cut(note, 1024),
    }
}

/// The dearest first: what is charged, the most severe, then what weighs most in the total.
fn order(spec: &ReviewResultSpec, judged: &JudgedFinding) -> impl Ord + use<> {
    let JudgedFinding { check, categories, persisting: _, finding, reported_by: _, uncharged, dispute: _ } = judged;
    let Finding { id, rule, severity, path, line, message: _, evidence: _, recommendation: _, known: _ } = finding;
    let of_cost = spec.rubric.categories.iter().filter(|category| categories.contains(&category.name));
    let weight: i64 = of_cost.map(|category| i64::from(category.weight)).sum();
    let place = (check.clone(), path.clone(), *line, rule.clone(), id.clone());
    (rank(*uncharged), Reverse(*severity), Reverse(weight), place)
}

/// The one Minor that a failed check without reports is, if it does not block.
fn failure(check: &CheckEvidence) -> Option<Finding> {
    match Standing::of(check) {
        Standing::Failed(why) if !check.blocking && check.reports.is_empty() => Some(Finding {
            id: failure_id(check),
            rule: check.name.clone(),
            severity: Severity::Minor,
            path: String::new(),
            line: 0,
            message: cut(&why, 600),
            evidence: String::new(),
            recommendation: String::new(),
            known: false,
        }),
        Standing::Passed | Standing::Failed(_) | Standing::NotStarted(_) => None,
    }
}

/// Whether a check's lists show all it could have found.
fn is_whole(check: &CheckEvidence) -> bool {
    let shown = |report: &ReportFacts| broken(report).is_none() && !report.truncated;
    !matches!(Standing::of(check), Standing::NotStarted(_)) && check.reports.iter().all(shown)
}
