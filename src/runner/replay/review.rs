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
    use rstest::rstest;

    use super::*;

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

    #[tokio::test]
    async fn the_scripts_of_the_sample_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples/reviewed/reviews");
        let mut findings = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            findings += read(&entry.unwrap().path()).await.unwrap().findings.len();
        }
        assert_eq!(findings, 6);
    }
}
