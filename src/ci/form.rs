//! An answer as it arrives: a form with `commit`, `outcome` and some more fields, and a file for each report, named by
//! its path. One report is held at a time; only its bounded facts are kept.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    extract::{Multipart, multipart::Field},
    http::StatusCode,
};

use super::refusal::{Refused, bad, refuse};
use crate::{
    api::{
        agent_task::CheckOutcome,
        check::Check,
        evidence::{Report, ReportFacts},
    },
    git::CommitId,
    review::{MAX_REPORT_BYTES, bounded_delivery, declared_reports, read_report},
    runner::protocol::MAX_TEXT,
    text::cut,
};

const FIELDS: [&str; 6] = ["commit", "outcome", "exitCode", "url", "message", "root"];
/// Most bytes of a field that is no file.
const MAX_FIELD: usize = 64 << 10;
/// Most characters of an address.
const MAX_URL: usize = 512;
/// Most characters of a folder.
const MAX_ROOT: usize = 1024;

/// Root of a work tree that was not named: absolute paths lead out of it, and findings there have no place.
const NO_ROOT: &str = "/phasegate/root-was-not-named";

/// What an outside system says of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) commit: String,
    pub(super) outcome: CheckOutcome,
    pub(super) exit_code: Option<i32>,
    pub(super) url: String,
    pub(super) message: String,
    /// One for each report that the check declares.
    pub(super) reports: Vec<ReportFacts>,
}

/// Reads a form to its end.
pub(super) async fn read(mut form: Multipart, check: &Check, commit: &str) -> Result<Answer, Refused> {
    let mut parts = Parts::default();
    while let Some(field) = form.next_field().await.map_err(|error| broken(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        if field.file_name().is_some() {
            let report = declared(check, &name)?;
            parts.is_new(&name, true)?;
            let bytes = content(field, &name, MAX_REPORT_BYTES).await?;
            parts.report(report, bytes).await?;
        } else {
            if !FIELDS.contains(&name.as_str()) {
                return Err(unknown(check, &name));
            }
            parts.is_new(&name, false)?;
            let text = content(field, &name, MAX_FIELD).await?;
            let text = String::from_utf8(text).map_err(|_| bad(format!("{name}: it is not UTF-8")))?;
            parts.field(&name, text.trim(), commit)?;
        }
    }
    parts.answer(check)
}

fn broken(error: &axum::extract::multipart::MultipartError) -> Refused {
    let status = error.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let error = format!("the answer is larger than {} MiB", super::MAX_BODY >> 20);
        return refuse(status, error, "let the tools report less");
    }
    // A caller that goes away in the middle is no error of ours.
    bad(format!("the form cannot be read: {}", error.body_text()))
}

/// The bytes of a field, as they come, up to a limit.
async fn content(mut field: Field<'_>, name: &str, most: usize) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        if bytes.len() + chunk.len() > most {
            let size = if most >= 1 << 20 { format!("{} MiB", most >> 20) } else { format!("{} KiB", most >> 10) };
            let error = format!("{}: larger than {size}", shown(name));
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, error, "send less of it"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn declared<'a>(check: &'a Check, path: &str) -> Result<&'a Report, Refused> {
    let found = check.reports.iter().find(|report| report.path == path);
    found.ok_or_else(|| {
        let error = format!("{}: check {} declares no such report", shown(path), check.name);
        refuse(StatusCode::BAD_REQUEST, error, "name each file by the path of a declared report")
            .allowing(check.reports.iter().map(|report| report.path.as_str()))
    })
}

fn unknown(check: &Check, name: &str) -> Refused {
    if check.reports.iter().any(|report| report.path == name) {
        return refuse(
            StatusCode::BAD_REQUEST,
            format!("{name}: a report must be sent as a file"),
            "send it with curl -F 'PATH=@FILE'",
        );
    }
    let error = format!("{}: no such field", shown(name));
    refuse(StatusCode::BAD_REQUEST, error, "leave it out, or send it as a file if it is a report").allowing(FIELDS)
}

/// A name of the caller's making, fit for a log.
fn shown(name: &str) -> String {
    cut(&name.escape_debug().to_string(), 120)
}

/// What has arrived so far.
#[derive(Default)]
struct Parts {
    /// Names, and whether they are of files.
    seen: BTreeSet<(String, bool)>,
    fields: BTreeMap<String, String>,
    outcome: Option<CheckOutcome>,
    exit_code: Option<i32>,
    reports: Vec<ReportFacts>,
}

impl Parts {
    fn is_new(&mut self, name: &str, is_file: bool) -> Result<(), Refused> {
        if self.seen.insert((name.to_owned(), is_file)) {
            return Ok(());
        }
        Err(bad(format!("{}: it is there twice", shown(name))))
    }

    /// A field that is no file. Wrong ones are refused before the reports have to be sent.
    fn field(&mut self, name: &str, text: &str, commit: &str) -> Result<(), Refused> {
        match name {
            "commit" => is_commit(text, commit)?,
            "outcome" => self.outcome = Some(outcome(text)?),
            "exitCode" => self.exit_code = exit_code(text)?,
            "url" => is_url(text)?,
            "root" => self.is_root(text)?,
            // `message`: any text.
            _ => {}
        }
        self.fields.insert(name.to_owned(), text.to_owned());
        Ok(())
    }

    fn is_root(&self, text: &str) -> Result<(), Refused> {
        if !self.reports.is_empty() {
            return Err(bad("root: it must come before the reports"));
        }
        if !text.starts_with('/') || text.chars().count() > MAX_ROOT || text.contains(char::is_control) {
            return Err(bad(format!("root: the absolute path of the work tree, at most {MAX_ROOT} characters")));
        }
        Ok(())
    }

    fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Parses a report, away from the threads that serve requests.
    async fn report(&mut self, report: &Report, bytes: Vec<u8>) -> Result<(), Refused> {
        let root = self.fields.get("root").map_or(NO_ROOT, String::as_str).to_owned();
        let report = report.clone();
        // The work tree is elsewhere: findings are told apart by rule, path and occurrence.
        let read = tokio::task::spawn_blocking(move || read_report(&report, &bytes, &root, &|_, _| None)).await;
        self.reports.push(read.map_err(|error| {
            tracing::error!(%error, "failed to read a report");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "a report could not be read", "see the log of the operator")
        })?);
        Ok(())
    }

    fn answer(self, check: &Check) -> Result<Answer, Refused> {
        let commit = self.text("commit");
        if commit.is_empty() {
            return Err(bad("commit: the full commit that was checked is needed"));
        }
        let outcome = self.outcome.ok_or_else(|| bad("outcome: passed or failed is needed"))?;
        if self.exit_code.is_some_and(|code| (code == 0) != (outcome == CheckOutcome::Passed)) {
            return Err(bad("exitCode: 0 belongs to passed, and any other to failed; leave it out if there is none"));
        }
        Ok(Answer {
            commit: commit.to_owned(),
            outcome,
            exit_code: self.exit_code,
            url: self.text("url").to_owned(),
            message: cut(plain(self.text("message")).trim(), MAX_TEXT),
            reports: bounded_delivery(declared_reports(&check.reports, &self.reports)),
        })
    }
}

fn is_commit(text: &str, expected: &str) -> Result<(), Refused> {
    let given = CommitId::new(text).map_err(|error| bad(format!("commit: {error}")))?;
    if given.as_str() == expected {
        return Ok(());
    }
    let error = "commit: the check waits for another commit";
    let remedy = "check out the expected commit, run the check on it, and answer for that";
    Err(refuse(StatusCode::CONFLICT, error, remedy).compared(expected, given.as_str()))
}

/// The words of this API, and those by which GitHub and GitLab call the same.
fn outcome(text: &str) -> Result<CheckOutcome, Refused> {
    match text {
        "passed" | "success" => Ok(CheckOutcome::Passed),
        "failed" | "failure" => Ok(CheckOutcome::Failed),
        _ => {
            let error = format!("outcome: {}: it must be passed or failed", shown(text));
            let remedy =
                "a run that was cancelled or did not start says nothing of the commit: send nothing, and run it again";
            Err(refuse(StatusCode::BAD_REQUEST, error, remedy).allowing(["passed", "success", "failed", "failure"]))
        }
    }
}

fn exit_code(text: &str) -> Result<Option<i32>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| bad(format!("exitCode: {}: a number is needed", shown(text))))
}

/// An address that may be shown in a terminal.
fn is_url(text: &str) -> Result<(), Refused> {
    let web = text.starts_with("https://") || text.starts_with("http://");
    if text.is_empty() || (web && text.len() <= MAX_URL && text.bytes().all(|b| b.is_ascii_graphic())) {
        return Ok(());
    }
    Err(bad(format!("url: an http or https address of at most {MAX_URL} characters, without spaces")))
}

/// Without what would move a terminal's cursor.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}
