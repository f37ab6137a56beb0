//! What the reports of the run on the base say: from what that run kept, with the lines of the base commit.

use std::{
    cell::RefCell,
    collections::HashSet,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use super::{
    MAX_KEPT, kept_name,
    sources::{Last, MAX_SOURCE},
};
use crate::{
    api::{
        agent_task::TaskBase,
        evidence::{Report, ReportFormat},
    },
    review::{Around, BaseReport},
    runner::repository::{BASE_LOGS, PodRepository},
};

/// Most bytes of git's answer about one object, and of one entry of a listing.
const MAX_ANSWER: u64 = 64 << 10;

/// The base, as far as it is known.
pub(super) struct Base<'a> {
    task: &'a TaskBase,
    blobs: RefCell<Blobs<'a>>,
}

impl<'a> Base<'a> {
    pub(super) fn new(repository: &'a PodRepository, task: &'a TaskBase) -> Self {
        Self { task, blobs: RefCell::new(Blobs::new(repository, &task.commit)) }
    }

    /// What this report said of the base, or why that is not known.
    pub(super) fn report(&mut self, index: usize, report: &Report, root: &str) -> Result<BaseReport, String> {
        if report.format == ReportFormat::Metrics {
            return Err("measurements have targets of their own".to_owned());
        }
        let known = self.task.evidence.as_ref().ok_or("this check did not run on it")?;
        let name = kept_name(index, report);
        let bytes = self.blobs.borrow_mut().blob(BASE_LOGS, &name, MAX_KEPT);
        let bytes = bytes.ok_or_else(|| {
            format!(
                "task {} wrote no such report, or one of more than {} MiB, or it is gone",
                known.task,
                MAX_KEPT >> 20
            )
        })?;
        let last = RefCell::new(Last::new());
        let lines = |path: &str, line: u32| last.borrow_mut().line(path, line, || self.blobs.borrow_mut().source(path));
        let read =
            BaseReport::read(report, &bytes.as_slice(), &Around::new(root, &lines), &self.task.commit, &known.task);
        read.map_err(|why| format!("its report of task {} says nothing: {why}", known.task))
    }
}

/// Files of commits, by `git cat-file --batch`: one process, however many files.
struct Blobs<'a> {
    repository: &'a PodRepository,
    commit: &'a str,
    git: Option<Batch>,
    /// Files of the commit that are links: in a work tree they are not followed.
    links: Option<HashSet<String>>,
}

impl<'a> Blobs<'a> {
    fn new(repository: &'a PodRepository, commit: &'a str) -> Self {
        Self { repository, commit, git: None, links: None }
    }

    /// A plain file of the base commit.
    fn source(&mut self, path: &str) -> Option<Vec<u8>> {
        if self.links.is_none() {
            self.links = Some(links(self.repository, self.commit).unwrap_or_default());
        }
        let is_link = self.links.as_ref().is_some_and(|links| links.contains(path));
        if is_link { None } else { self.blob(self.commit, path, MAX_SOURCE) }
    }

    /// A file of a revision, of at most `most` bytes.
    fn blob(&mut self, revision: &str, path: &str, most: u64) -> Option<Vec<u8>> {
        // One question is one line.
        if path.contains(['\n', '\0']) {
            return None;
        }
        let mut git = match self.git.take() {
            Some(git) => git,
            None => Batch::start(self.repository).inspect_err(|error| tracing::warn!(%error, "cat-file")).ok()?,
        };
        match git.ask(&format!("{revision}:{path}"), most) {
            Ok(found) => {
                self.git = Some(git);
                found
            }
            Err(error) => {
                tracing::warn!(%error, path, "failed to read a file of the base");
                None
            }
        }
    }
}

/// Names of the links of a commit.
fn links(repository: &PodRepository, commit: &str) -> io::Result<HashSet<String>> {
    let mut command = repository.command(&["ls-tree", "-r", "-z", "--full-tree", commit]).into_std();
    let mut child = Ended(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
    let mut listing = BufReader::new(child.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
    let mut links = HashSet::new();
    let mut entry = Vec::new();
    loop {
        entry.clear();
        if (&mut listing).take(MAX_ANSWER).read_until(0, &mut entry)? == 0 {
            return Ok(links);
        }
        // `mode type object<TAB>path<NUL>`.
        let text = String::from_utf8_lossy(&entry);
        if let Some((_, path)) = text.strip_prefix("120000 ").and_then(|text| text.split_once('\t')) {
            links.insert(path.trim_end_matches('\0').to_owned());
        }
    }
}

/// A child that does not outlive its reader.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Batch {
    _child: Ended,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Batch {
    fn start(repository: &PodRepository) -> io::Result<Self> {
        let mut command = repository.command(&["cat-file", "--batch"]).into_std();
        let mut child = Ended(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
        let pipes = child.0.stdin.take().zip(child.0.stdout.take());
        let (questions, answers) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { _child: child, questions, answers: BufReader::new(answers) })
    }

    /// The blob, if there is one of at most `most` bytes. An error means that git is out of step.
    fn ask(&mut self, object: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        self.questions.write_all(format!("{object}\n").as_bytes())?;
        let mut answer = Vec::new();
        (&mut self.answers).take(MAX_ANSWER).read_until(b'\n', &mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let answer = answer.strip_suffix('\n').ok_or(io::ErrorKind::UnexpectedEof)?;
        // `object type size`, or the question and `missing`.
        let mut words = answer.rsplit(' ');
        let Some(size) = words.next().and_then(|size| size.parse::<u64>().ok()) else { return Ok(None) };
        let is_blob = words.next() == Some("blob");
        let mut content = (&mut self.answers).take(size + 1);
        if !is_blob || size > most {
            io::copy(&mut content, &mut io::sink())?;
            return Ok(None);
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        if bytes.pop() == Some(b'\n') { Ok(Some(bytes)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
