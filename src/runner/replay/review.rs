//! A scripted reviewer: files the findings that were written for this phase, reviewer and attempt, and submits.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::{Agent, ReplayArgs, ReplayError, listed};
use crate::runner::{
    brief::TaskFile,
    companion::review::tools::{ExaminedArgs, FileArgs, FindingArgs, NotExaminedArgs, OpinionArgs, SubmitReviewArgs},
};

/// Formats of a script, in the order in which they are looked for. JSON is YAML too.
const ENDS: [&str; 3] = ["yaml", "yml", "json"];

/// A review as it was written beforehand: the arguments of the tools.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    #[serde(default)]
    findings: Vec<FindingArgs>,
    #[serde(default)]
    examined: Vec<ExaminedArgs>,
    #[serde(default, alias = "notExamined")]
    not_examined: Vec<NotExaminedArgs>,
    #[serde(default)]
    criteria: Vec<OpinionArgs>,
    #[serde(default, alias = "ownScore")]
    own_score: Option<f64>,
    summary: String,
}

/// Reviews as the script says.
pub(super) async fn review(args: &ReplayArgs, task: &TaskFile) -> Result<(), ReplayError> {
    let path = find(&args.patches, task).await?;
    let Script { findings, examined, not_examined, criteria, own_score, summary } = read(&path).await?;
    let agent = Agent::connect(&args.mcp_url).await?;
    agent.call("get_review_request", json!({})).await?;
    if !findings.is_empty() {
        agent.call("file_findings", json!(FileArgs { findings })).await?;
    }
    let submission = SubmitReviewArgs { examined, not_examined, criteria, own_score, summary };
    agent.call("submit_review", json!(submission)).await?;
    agent.close().await;
    Ok(())
}

async fn find(folder: &Path, task: &TaskFile) -> Result<PathBuf, ReplayError> {
    let stem = format!("{}.{}.{}.review", task.phase, task.task, task.attempt);
    for end in ENDS {
        let path = folder.join(format!("{stem}.{end}"));
        if tokio::fs::try_exists(&path).await.unwrap_or(false) {
            return Ok(path);
        }
    }
    let there = listed(folder, |name| name.contains(".review.")).await;
    Err(ReplayError::NoScript { wanted: format!("{stem}.yaml"), folder: folder.to_owned(), there })
}

async fn read(path: &Path) -> Result<Script, ReplayError> {
    let bad = |message: String| ReplayError::Script { path: path.to_owned(), message };
    let text = tokio::fs::read_to_string(path).await.map_err(|error| bad(error.to_string()))?;
    serde_yaml::from_str(&text).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;
    use serde_json::Value;

    use super::*;
    use crate::{
        api::{PhaseSpec, RepositorySpec},
        review::{finding_id, gate, judge, rubric::GateReviewer},
    };

    fn task() -> TaskFile {
        serde_json::from_value(json!({"phase": "hello-1", "task": "security", "attempt": 2, "run": 1,
            "role": "Reviewer", "repository": "hello", "mcpUrl": ""}))
        .unwrap()
    }

    #[rstest]
    #[case::yaml(
        "hello-1.security.2.review.yaml",
        "summary: s\nownScore: 8\nexamined: [{category: security, what: w}]\n"
    )]
    #[case::short("hello-1.security.2.review.yml", "summary: s\nown_score: 8\n")]
    #[case::json(
        "hello-1.security.2.review.json",
        "{\"summary\": \"s\", \"notExamined\": [{\"category\": \"c\", \"why\": \"w\"}]}"
    )]
    #[tokio::test]
    async fn a_script_is_found_by_phase_reviewer_and_attempt(#[case] name: &str, #[case] text: &str) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let path = find(folder.path(), &task()).await.unwrap();
        assert_eq!(read(&path).await.unwrap().summary, "s");
    }

    #[tokio::test]
    async fn a_missing_script_is_an_error_that_lists_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hello-1.security.1.review.yaml"), "").unwrap();
        let error = find(folder.path(), &task()).await.unwrap_err().to_string();
        assert!(error.contains("no review script hello-1.security.2.review.yaml"), "{error}");
        assert!(error.ends_with("there are: hello-1.security.1.review.yaml"), "{error}");
    }

    #[rstest]
    #[case::an_unknown_field("summary: s\nfinding: []\n", "unknown field `finding`")]
    #[case::an_unknown_severity(
        "summary: s\nfindings: [{severity: Bad, category: c, message: m}]\n",
        "unknown variant `Bad`"
    )]
    #[case::no_summary("findings: []\n", "missing field `summary`")]
    #[tokio::test]
    async fn a_script_that_cannot_be_read_says_why(#[case] text: &str, #[case] why: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.review.yaml");
        std::fs::write(&path, text).unwrap();
        let error = read(&path).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }

    /// An object of the sample.
    fn sample(file: &str) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples/reviewed").join(file);
        serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// What the operator has of a reviewer of the sample, once it has played its script.
    fn reviewed(reviewer: &GateReviewer, attempt: i32) -> Value {
        let GateReviewer { name, categories, shadow, .. } = reviewer;
        let script = sample(&format!("reviews/reviewed-1.{name}.{attempt}.review.yaml"));
        let Script { findings, examined, not_examined, criteria, own_score, summary } =
            serde_json::from_value(script).unwrap();
        assert!(not_examined.is_empty());
        let finding = |finding: FindingArgs| {
            let FindingArgs { severity, category, file, line, evidence, message, recommendation } = finding;
            let path = file.unwrap_or_default();
            json!({"id": finding_id(&category, &path, &evidence, 0), "rule": category, "severity": severity,
                "path": path, "line": line, "message": message, "evidence": evidence, "recommendation": recommendation})
        };
        let mut review = json!({"stamp": {"run": 1, "podUID": "p"}, "examined": examined, "criteria": criteria,
            "ownScore": format!("{:.1}", own_score.unwrap()), "summary": summary});
        review["findings"] = findings
            .into_iter()
            .map(finding)
            .map(|mut finding| {
                if finding["line"].is_null() {
                    finding["line"] = 0.into();
                }
                finding
            })
            .collect();
        json!({"name": name, "task": name, "shadow": shadow, "categories": categories, "review": review})
    }

    #[test]
    fn the_sample_is_judged_as_its_end_to_end_test_says() {
        let spec = |file: &str| sample(file)["spec"].clone();
        let repository: RepositorySpec = serde_json::from_value(spec("repository.yaml")).unwrap();
        let phase: PhaseSpec = serde_json::from_value(spec("phase-1.yaml")).unwrap();
        let gate = gate(&repository, &phase, &[], &BTreeMap::new()).unwrap();
        let judged = |attempt: i32| {
            let reviews: Vec<Value> = gate.reviewers.iter().map(|reviewer| reviewed(reviewer, attempt)).collect();
            let spec = json!({
                "phase": "reviewed-1", "phaseUID": "u", "attempt": attempt, "number": 1, "commit": "c", "tree": "t",
                "base": "b", "gateHash": gate.hash, "rubric": gate.rubric, "criteria": gate.criteria,
                "reviews": reviews, "checks": [{"name": "test", "task": "t", "blocking": true,
                    "categories": gate.checks[0].categories, "outcome": "Passed"}],
            });
            json!(judge(&serde_json::from_value(spec).unwrap()))
        };
        let first = judged(1);
        assert_eq!((&first["verdict"], &first["score"]), (&json!("Fail"), &json!("9.3")), "{first:#}");
        assert_eq!(first["reasons"].as_array().unwrap().len(), 1, "{first:#}");
        assert_eq!(first["reasons"][0]["type"], "BelowFloor");
        let agreed = first["findings"].as_array().unwrap().iter().find(|open| open["finding"]["rule"] == "security");
        assert_eq!(agreed.unwrap()["reportedBy"], json!(["general", "security"]));
        let own: Vec<&Value> = first["reviewers"].as_array().unwrap().iter().map(|reviewer| &reviewer["own"]).collect();
        assert_eq!(own, [&json!("8.0"), &json!("9.0"), &json!("1.0")]);
        let second = judged(2);
        assert_eq!((&second["verdict"], &second["score"]), (&json!("Pass"), &json!("10.0")), "{second:#}");
        assert_eq!(second["findings"].as_array().unwrap().len(), 1, "{second:#}");
        assert_eq!(second["findings"][0]["uncharged"], "Shadow");
        assert_eq!(second["criteria"][0]["state"], "Met");
    }
}
