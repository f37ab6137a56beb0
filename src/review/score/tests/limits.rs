//! A judgement that the API server refuses would be made for ever: whatever the evidence says, the
//! status keeps the limits of its CRD and the weight of an object.

use serde_json::Value;

use super::support::*;
use crate::{
    api::{
        ReviewResultSpec, crds,
        evidence::{ReportState, Severity},
        phase::Judge,
    },
    review::{bounded_evidence, judge},
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
    spec
}

#[test]
fn the_heaviest_judgement_keeps_the_limits_of_its_kind() {
    let status = judge(&heaviest());
    assert_eq!(breaches(&serde_json::to_value(&status).unwrap(), &schema("status"), "status"), [""; 0]);
    assert!(status.findings.len() > 50, "{} findings are listed", status.findings.len());
}

#[test]
fn evidence_and_judgement_fit_into_one_object() {
    let spec = heaviest();
    let weight = serde_json::to_vec(&spec).unwrap().len() + serde_json::to_vec(&judge(&spec)).unwrap().len();
    assert!(weight < 1_500_000, "{weight} bytes");
}

#[test]
fn the_limits_are_those_of_the_crd() {
    let long = serde_json::json!({ "score": "123456789", "reasons": vec![0; 129], "scoreThousandths": 10_001, "x": 1 });
    assert_eq!(breaches(&long, &schema("status"), "s").len(), 4);
}
