//! A judgement that the API server refuses would be made for ever: whatever the evidence says, the
//! status keeps the limits of its CRD and the weight of an object.

use serde_json::Value;

use super::support::*;
use crate::{
    api::{
        ReviewResultSpec, ReviewResultStatus,
        agent_task::{FindingAnswer, FindingAnswerKind, Opinion},
        crds,
        evidence::{GamingSign, GamingSignType, ReportState, Severity},
        phase::Judge,
        review_result::{CategoryCounts, ReviewerEvidence},
    },
    review::{bounded_evidence, bounded_result, judge},
};

/// The schema of a property of ReviewResult, as JSON.
fn schema(property: &str) -> Value {
    let (_, crd) = crds().into_iter().find(|(file, _)| *file == "reviewresults.yaml").unwrap();
    let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
    schema["openAPIV3Schema"]["properties"][property].clone()
}

/// What breaks a limit, with its place.
fn breaches(value: &Value, schema: &Value, place: &str) -> Vec<String> {
    let limit = |name: &str| schema[name].as_f64();
    let over = |size: usize, name: &str| schema[name].as_u64().is_some_and(|most| size as u64 > most);
    match value {
        Value::String(text) if over(text.chars().count(), "maxLength") => vec![format!("{place} is too long")],
        Value::Array(items) => {
            let own = over(items.len(), "maxItems").then(|| format!("{place} has {} items", items.len()));
            let inner = items
                .iter()
                .enumerate()
                .flat_map(|(n, item)| breaches(item, &schema["items"], &format!("{place}[{n}]")));
            own.into_iter().chain(inner).collect()
        }
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| {
                let known = &schema["properties"][name];
                if known.is_null() {
                    return vec![format!("{place}.{name} is unknown")];
                }
                breaches(field, known, &format!("{place}.{name}"))
            })
            .collect(),
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            let out = limit("minimum").is_some_and(|least| number < least)
                || limit("maximum").is_some_and(|most| number > most);
            out.then(|| format!("{place} is {number}")).into_iter().collect()
        }
        Value::Null | Value::Bool(_) | Value::String(_) => Vec::new(),
    }
}

/// As much of everything as the API lets in, with texts as long as it lets in.
fn heaviest() -> ReviewResultSpec {
    let names: Vec<String> = (0..16).map(|n| format!("{n:0>40}")).collect();
    let categories: Vec<(&str, i32, u16)> = names.iter().map(|name| (name.as_str(), 1000, 100)).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let long = "\"é".repeat(512);
    let checks = (0..64).map(|n| {
        let mut check = failed(check(&format!("{n:0>40}"), &all), -1);
        check.message.clone_from(&long);
        check.blocking = n % 3 == 0;
        for report in 0..n % 8 {
            let mut facts = if report == 1 { broken(ReportState::Invalid) } else { sarif(9, i32::MAX, 9, 9) };
            facts.path = long.chars().take(512).collect();
            if facts.state == ReportState::Invalid {
                facts.message = long.chars().take(600).collect();
            } else {
                let place = (facts.path.as_str(), i32::MAX);
                let message: String = long.chars().take(300).collect();
                facts.findings = (0..100)
                    .map(|m| {
                        finding(&format!("{n}-{report}-{m:0>50}"), &"R".repeat(128), Severity::Major, place, &message)
                    })
                    .collect();
            }
            check = with(check, facts);
        }
        if n % 7 == 0 { not_started(check) } else { check }
    });
    let mut spec = spec(&categories, bounded_evidence(checks.collect()));
    let proofs: Vec<String> = (0..32).map(|n| format!("{n:0>40}")).collect();
    let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
    spec.criteria = (0..32).map(|n| criterion(&format!("{n:0>40}"), Judge::Checks, &proofs)).collect();
    spec.previous_findings = (0..500).map(|n| format!("{n:0>64}")).collect();
    spec.reviews = (0..8).map(|n| heavy_review(n, &all, &long)).collect();
    let text = |length: usize| long.chars().take(length).collect::<String>();
    spec.gaming_signs = (0..100)
        .map(|n| GamingSign {
            id: format!("{n:0>64}"),
            kind: GamingSignType::AssertionDeleted,
            path: text(512),
            line: i32::MAX,
            text: text(300),
            message: text(600),
        })
        .collect();
    let answer = |n: usize| FindingAnswer {
        finding: format!("{n:0>64}"),
        answer: FindingAnswerKind::Disputed,
        note: "n".repeat(1024),
    };
    spec.answers = (0..100).map(answer).collect();
    let waived: Vec<String> = (0..100).map(|n| format!("waived-{n:0>57}")).collect();
    let waived: Vec<&str> = waived.iter().map(String::as_str).collect();
    spec.waivers = (0..8).map(|_| waiver(&waived, &[])).collect();
    spec
}

/// A reviewer that says as much as it can.
fn heavy_review(n: usize, categories: &[&str], long: &str) -> ReviewerEvidence {
    let text: String = long.chars().take(600).collect();
    let path: String = long.chars().take(512).collect();
    let findings = (0..100)
        .map(|m| {
            let id = format!("{:0>64}", n * 50 + m);
            let mut found = finding(&id, categories[m % 16], Severity::Minor, (&path, i32::MAX), &text);
            (found.evidence, found.recommendation) = (text.clone(), text.clone());
            found
        })
        .collect();
    let mut reviewer = reviewer(&format!("{n:0>40}"), categories, findings);
    for criterion in 0..32 {
        reviewer = saying(reviewer, &format!("{criterion:0>40}"), Opinion::Unmet);
    }
    let review = reviewer.review.as_mut().unwrap();
    review.summary = long.repeat(4).chars().take(4096).collect();
    review.examined.iter_mut().for_each(|examined| examined.what = long.to_owned());
    review.criteria.iter_mut().for_each(|criterion| criterion.evidence = long.to_owned());
    reviewer
}

#[test]
fn the_heaviest_judgement_keeps_the_limits_of_its_kind() {
    let spec = bounded_result(heaviest());
    assert_eq!(breaches(&serde_json::to_value(&spec).unwrap(), &schema("spec"), "spec"), [""; 0]);
    let status = judge(&spec);
    assert_eq!(breaches(&serde_json::to_value(&status).unwrap(), &schema("status"), "status"), [""; 0]);
    assert!(status.findings.len() > 20, "{} findings are listed", status.findings.len());
}

#[test]
fn evidence_and_judgement_fit_into_one_object() {
    let spec = bounded_result(heaviest());
    let parts = [serde_json::to_value(&spec).unwrap(), serde_json::to_value(judge(&spec)).unwrap()];
    let sizes: Vec<(&str, usize)> = parts
        .iter()
        .flat_map(|part| part.as_object().unwrap())
        .map(|(field, value)| (field.as_str(), value.to_string().len()))
        .collect();
    let weight: usize = sizes.iter().map(|(_, size)| size).sum();
    assert!(weight < 1_500_000, "{weight} bytes: {sizes:?}");
}

#[test]
fn making_evidence_lighter_changes_no_score() {
    let (heavy, light) = (judge(&heaviest()), judge(&bounded_result(heaviest())));
    let scores = |status: &ReviewResultStatus| -> Vec<_> { status.categories.iter().map(|c| c.score).collect() };
    assert_eq!(scores(&heavy), scores(&light));
    assert_eq!((heavy.verdict, heavy.score), (light.verdict, light.score));
    assert_eq!((light.known, light.reviewers), (heavy.known, heavy.reviewers));
}

#[test]
fn reviewers_findings_that_leave_their_lists_are_counted() {
    let all: Vec<String> = (0..16).map(|n| format!("{n:0>40}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut spec = heaviest();
    let mut worst = heavy_review(0, &all, &"\"é".repeat(512));
    let found = &mut worst.review.as_mut().unwrap().findings;
    found[99].severity = Severity::Critical;
    spec.reviews[0] = worst;
    for reviewer in &bounded_result(spec).reviews {
        let listed = &reviewer.review.as_ref().unwrap().findings;
        let count = |of: &CategoryCounts| of.counts.minor + of.counts.major + of.counts.critical;
        let left_out: i32 = reviewer.left_out.iter().map(count).sum();
        assert_eq!(listed.len() + usize::try_from(left_out).unwrap(), 100);
    }
}

#[test]
fn light_evidence_stays_as_it_is() {
    let mut spec = spec(&SEED, vec![with(check("c", &["security"]), listing(vec![found("1", "R", Severity::Minor)]))]);
    spec.reviews = vec![reviewer("eyes", &["security"], vec![found("2", "security", Severity::Major)])];
    assert_eq!(bounded_result(spec.clone()), spec);
    let light = bounded_result(heaviest());
    assert_eq!(bounded_result(light.clone()), light, "bounding again changes nothing");
}

#[test]
fn the_limits_are_those_of_the_crd() {
    let long = serde_json::json!({ "score": "123456789", "reasons": vec![0; 129], "scoreThousandths": 10_001, "x": 1 });
    assert_eq!(breaches(&long, &schema("status"), "s").len(), 4);
}
