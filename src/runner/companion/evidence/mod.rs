//! The reports of a check, from files to bounded facts. What the facts are worth is `review`'s.

mod base;
mod change;
mod sources;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use rustix::fd::OwnedFd;

use super::super::{
    beneath::{self, Content, Opened},
    protocol::Assignment,
    repository::PodRepository,
};
use crate::{
    api::{
        agent_task::TaskBase,
        evidence::{Report, ReportFacts, ReportFormat, ReportState},
    },
    review::{Around, Change, Source, broken_report, compare_report, max_report_bytes},
};
use base::Base;
use sources::Sources;

/// Largest report that is kept with the logs: a larger one cannot say later what the base had.
const MAX_KEPT: u64 = 8 << 20;

/// The facts of each declared report, as far as the base is known new against it.
pub(super) async fn read(repository: &PodRepository, workspace: &Path, assignment: &Assignment) -> Vec<ReportFacts> {
    let Some(check) = &assignment.check else { return Vec::new() };
    let change = match (&assignment.base, &assignment.commit) {
        (Some(base), Some(commit)) => change::read(repository, base, commit).await,
        (None, _) | (_, None) => None,
    };
    let reading = Reading {
        workspace: workspace.to_owned(),
        repository: repository.clone(),
        reports: check.reports.clone(),
        base: assignment.base.clone(),
        change,
    };
    let read = tokio::task::spawn_blocking(move || reading.read()).await;
    // Without facts the operator counts each report as missing.
    read.inspect_err(|error| tracing::error!(%error, "failed to read the reports")).unwrap_or_default()
}

/// Name of a report among the logs of a run. The index keeps apart what the name alone does not.
fn kept_name(index: usize, report: &Report) -> String {
    format!("reports/{index}-{}", report.path.replace('/', "-"))
}

/// The bytes of each report that is small enough to be kept, with the name to keep it by.
pub(super) fn kept(workspace: &Path, reports: &[Report]) -> Vec<(String, Vec<u8>)> {
    let Ok(root) = beneath::root(workspace) else { return Vec::new() };
    let bytes = |report: &Report| match beneath::read(&root, Path::new(&report.path), MAX_KEPT) {
        Ok(Content::Bytes(bytes)) if !bytes.is_empty() => Some(bytes),
        Ok(Content::Bytes(_) | Content::Missing | Content::NotPlain | Content::TooLong) | Err(_) => None,
    };
    let kept = |(index, report): (usize, &Report)| Some((kept_name(index, report), bytes(report)?));
    reports.iter().enumerate().filter_map(kept).collect()
}

/// What it takes to read the reports, away from the runtime.
struct Reading {
    workspace: PathBuf,
    repository: PodRepository,
    reports: Vec<Report>,
    base: Option<TaskBase>,
    change: Option<Change>,
}

impl Reading {
    fn read(&self) -> Vec<ReportFacts> {
        let root = match beneath::root(&self.workspace) {
            Ok(root) => root,
            Err(error) => {
                let message = format!("failed to open the work tree: {error}");
                return self.reports.iter().map(|r| broken_report(r, ReportState::Invalid, &message)).collect();
            }
        };
        let sources = Sources::new(&root);
        let mut base = self.base.as_ref().map(|base| Base::new(&self.repository, base));
        let facts = self.reports.iter().enumerate().map(|(index, report)| {
            let known = base.as_mut().map(|base| base.report(index, report, &self.workspace.to_string_lossy()));
            self.one(&root, report, &sources, known)
        });
        facts.collect()
    }

    fn one(
        &self,
        root: &OwnedFd,
        report: &Report,
        sources: &Sources<'_>,
        known: Option<Result<crate::review::BaseReport, String>>,
    ) -> ReportFacts {
        let broken = |state, message: &str| broken_report(report, state, message);
        let file = match beneath::open(root, Path::new(&report.path)) {
            Ok(Opened::File(file)) => ReportFile(file),
            Ok(Opened::Missing) => return broken(ReportState::Missing, "the check did not write it"),
            Ok(Opened::NotPlain) => {
                let message = "not a plain file in the work tree; links are not followed";
                return broken(ReportState::Invalid, message);
            }
            Err(error) => return broken(ReportState::Invalid, &format!("failed to read it: {error}")),
        };
        let most = max_report_bytes(report.format);
        if file.0.metadata().is_ok_and(|file| file.len() > most) {
            let message = format!("larger than {} MiB; let the tool report less", most >> 20);
            return broken(ReportState::Invalid, &message);
        }
        let (known, unknown) = match known {
            None => (None, None),
            Some(Ok(known)) => (Some(known), None),
            Some(Err(why)) => (None, Some(why)),
        };
        let lines = |path: &str, line: u32| sources.line(path, line);
        let workspace = self.workspace.to_string_lossy();
        let around = Around { change: self.change.as_ref(), base: known.as_ref(), ..Around::new(&workspace, &lines) };
        let mut facts = compare_report(report, &file, &around);
        if let (ReportState::Read, Some(why)) =
            (facts.state, unknown.filter(|_| report.format != ReportFormat::Metrics))
        {
            facts.message = crate::text::cut(&format!("not compared with the base: {why}"), 600);
        }
        facts
    }
}

/// A report in the work tree. It is read by offset, so that every reader begins at the beginning.
struct ReportFile(File);

impl Source for ReportFile {
    fn open(&self) -> io::Result<Box<dyn BufRead + '_>> {
        Ok(Box::new(BufReader::with_capacity(64 << 10, At { file: &self.0, offset: 0 })))
    }
}

struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.offset)?;
        self.offset = self.offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}
