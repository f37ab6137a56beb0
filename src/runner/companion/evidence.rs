//! The reports of a check, from files to bounded facts. What the facts are worth is `review`'s.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use rustix::fd::OwnedFd;

use super::super::beneath::{self, Content};
use crate::{
    api::evidence::{Report, ReportFacts, ReportState},
    review::{MAX_REPORT_BYTES, broken_report, read_report},
};

/// Most bytes of a file that a finding points into.
const MAX_SOURCE: u64 = 4 << 20;

/// The facts of each declared report, and the bytes of those that could be read.
pub(super) fn read(workspace: &Path, reports: &[Report]) -> Vec<(ReportFacts, Vec<u8>)> {
    let root = match beneath::root(workspace) {
        Ok(root) => root,
        Err(error) => {
            let message = format!("failed to open the work tree: {error}");
            let broken = |report| (broken_report(report, ReportState::Invalid, &message), Vec::new());
            return reports.iter().map(broken).collect();
        }
    };
    let sources = Sources { root: &root, last: RefCell::new(None) };
    reports.iter().map(|report| one(workspace, &root, report, &sources)).collect()
}

fn one(workspace: &Path, root: &OwnedFd, report: &Report, sources: &Sources<'_>) -> (ReportFacts, Vec<u8>) {
    let most = u64::try_from(MAX_REPORT_BYTES).unwrap_or(u64::MAX);
    let broken = |state, message: &str| (broken_report(report, state, message), Vec::new());
    match beneath::read(root, Path::new(&report.path), most) {
        Ok(Content::Bytes(bytes)) => {
            let lines = |path: &str, line: u32| sources.line(path, line);
            (read_report(report, &bytes, &workspace.to_string_lossy(), &lines), bytes)
        }
        Ok(Content::Missing) => broken(ReportState::Missing, "the check did not write it"),
        Ok(Content::NotPlain) => {
            broken(ReportState::Invalid, "not a plain file in the work tree; links are not followed")
        }
        Ok(Content::TooLong) => broken(ReportState::Invalid, "larger than 32 MiB; let the tool report less"),
        Err(error) => broken(ReportState::Invalid, &format!("failed to read it: {error}")),
    }
}

/// Lines of files of the work tree. Findings of one file come together, so the last file is kept.
struct Sources<'a> {
    root: &'a OwnedFd,
    last: RefCell<Option<(PathBuf, String)>>,
}

impl Sources<'_> {
    fn line(&self, path: &str, line: u32) -> Option<String> {
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|(known, _)| known != Path::new(path)) {
            let text = match beneath::read(self.root, Path::new(path), MAX_SOURCE) {
                Ok(Content::Bytes(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
                Ok(Content::Missing | Content::NotPlain | Content::TooLong) | Err(_) => String::new(),
            };
            *last = Some((PathBuf::from(path), text));
        }
        let index = usize::try_from(line.checked_sub(1)?).ok()?;
        last.as_ref()?.1.lines().nth(index).map(str::to_owned)
    }
}
