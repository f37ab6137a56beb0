//! What a scripted developer says of the findings: fixed, unless it was written beforehand that one is wrong.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::ReplayError;
use crate::{
    api::{agent_task::FindingAnswerKind, evidence::Finding},
    runner::brief::TaskFile,
};

/// An answer as it was written beforehand: to every finding of this rule and path. What is left out fits all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scripted {
    #[serde(default)]
    rule: Option<String>,
    #[serde(default)]
    path: Option<String>,
    answer: FindingAnswerKind,
    note: String,
}

impl Scripted {
    fn fits(&self, finding: &Finding) -> bool {
        let same = |wanted: &Option<String>, there: &str| wanted.as_deref().is_none_or(|wanted| wanted == there);
        same(&self.rule, &finding.rule) && same(&self.path, &finding.path)
    }
}

/// The answers written for this task, `{phase}.{task}.{attempt}.answers.yaml` beside its patch; none if there is no
/// such file.
pub(super) async fn read(folder: &Path, task: &TaskFile) -> Result<Vec<Scripted>, ReplayError> {
    let path: PathBuf = folder.join(format!("{}.{}.{}.answers.yaml", task.phase, task.task, task.attempt));
    let bad = |message: String| ReplayError::Script { path: path.clone(), message };
    match tokio::fs::read_to_string(&path).await {
        Ok(text) => serde_yaml::from_str(&text).map_err(|error| bad(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(bad(error.to_string())),
    }
}

/// One answer for every open finding: the first that fits, or that the patch was written to fix it.
pub(super) fn answers(findings: &[Finding], scripted: &[Scripted], patch: &str) -> Vec<Value> {
    let answer = |finding: &Finding| match scripted.iter().find(|scripted| scripted.fits(finding)) {
        Some(Scripted { answer, note, .. }) => json!({ "finding": finding.id, "answer": answer, "note": note }),
        None => json!({ "finding": finding.id, "answer": "Fixed", "note": format!("by {patch}") }),
    };
    findings.iter().map(answer).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn findings() -> Vec<Finding> {
        serde_json::from_value(json!([
            {"id": "f1", "rule": "security", "severity": "Major", "path": "a.py", "line": 1, "message": "m"},
            {"id": "f2", "rule": "security", "severity": "Major", "path": "b.py", "line": 1, "message": "m"},
        ]))
        .unwrap()
    }

    #[rstest]
    #[case::nothing_written("[]", ["Fixed", "Fixed"])]
    #[case::a_file("[{path: b.py, answer: Disputed, note: n}]", ["Fixed", "Disputed"])]
    #[case::all("[{answer: Disputed, note: n}]", ["Disputed", "Disputed"])]
    #[case::the_first_counts("[{path: a.py, answer: Fixed, note: n}, {answer: Disputed, note: n}]", ["Fixed", "Disputed"])]
    #[case::another_rule("[{rule: performance, answer: Disputed, note: n}]", ["Fixed", "Fixed"])]
    fn every_finding_gets_the_first_answer_that_fits(#[case] script: &str, #[case] expected: [&str; 2]) {
        let scripted: Vec<Scripted> = serde_yaml::from_str(script).unwrap();
        let answers = answers(&findings(), &scripted, "x.patch");
        assert_eq!(answers.iter().map(|answer| answer["answer"].as_str().unwrap()).collect::<Vec<_>>(), expected);
        assert_eq!(answers.iter().map(|answer| answer["finding"].as_str().unwrap()).collect::<Vec<_>>(), ["f1", "f2"]);
    }

    #[tokio::test]
    async fn a_script_that_cannot_be_read_is_an_error_with_its_name_and_no_script_is_none() {
        let task: TaskFile = serde_json::from_value(json!({"phase": "p", "task": "rework", "attempt": 2, "run": 1,
            "role": "Developer", "repository": "r", "mcpUrl": ""}))
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path(), &task).await.unwrap().is_empty());
        std::fs::write(folder.path().join("p.rework.2.answers.yaml"), "[{answer: Maybe, note: n}]").unwrap();
        let error = read(folder.path(), &task).await.unwrap_err().to_string();
        assert!(error.contains("p.rework.2.answers.yaml") && error.contains("Maybe"), "{error}");
    }
}
