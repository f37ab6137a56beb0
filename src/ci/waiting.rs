//! PURE. A check that waits, as an outside system sees it.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use super::{stamp, system};
use crate::api::{AgentTask, Phase, agent_task::TaskState, evidence::ReportFormat};

/// Most checks of one list.
pub(super) const MAX_LISTED: usize = 500;

/// Which of the checks are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    repository: Option<String>,
    check: Option<String>,
    commit: Option<String>,
}

impl Filter {
    pub(super) fn takes(&self, waiting: &Waiting) -> bool {
        let Self { repository, check, commit } = self;
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        is(repository, &waiting.repository) && is(check, &waiting.check) && is(commit, &waiting.commit)
    }
}

/// A check that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Waiting {
    /// Name of its AgentTask.
    pub(super) task: String,
    /// Name of the check.
    pub(super) check: String,
    /// The system that is to run it.
    system: String,
    /// Name of the Phase.
    phase: String,
    /// Its attempt.
    attempt: i32,
    /// Name of the Repository.
    pub(super) repository: String,
    /// The release branch.
    branch: String,
    /// The commit under judgement.
    pub(super) commit: String,
    /// Its tree.
    tree: String,
    /// The base it will be merged into.
    base: String,
    /// Since when it waits.
    pub(super) since: Timestamp,
    /// Until when.
    deadline: Timestamp,
    /// Where to send the answer, on this host.
    post: String,
    /// The reports it declares.
    reports: Vec<Declared>,
}

/// A report that a check declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Declared {
    path: String,
    format: ReportFormat,
}

/// The check of this task, if it waits and its phase is still reviewing that commit.
pub(super) fn of(task: &AgentTask, phase: &Phase) -> Option<Waiting> {
    let check = task.spec.check.as_ref()?;
    let external = check.external.as_ref()?;
    let link = task.spec.phase.as_ref().filter(|link| phase.metadata.uid.as_ref() == Some(&link.uid))?;
    let status = task.status.as_ref().filter(|status| status.state == TaskState::Running)?;
    // The reconciler has not seen the answer yet.
    if status.delivery.as_ref().is_some_and(|delivery| delivery.stamp == stamp()) {
        return None;
    }
    let (judged, commit) = (phase.status.as_ref()?, task.spec.commit.as_deref()?);
    let review = judged.review.as_ref().filter(|review| review.commit == commit)?;
    let since = status.started_at.as_ref()?.0;
    let timeout = SignedDuration::from_secs(task.spec.timeout.as_secs().into());
    let (name, namespace) = (task.name_any(), task.namespace().unwrap_or_default());
    Some(Waiting {
        post: format!("/ci/v1/namespaces/{namespace}/checks/{name}"),
        task: name,
        check: check.name.clone(),
        system: system(external).to_owned(),
        phase: link.name.clone(),
        attempt: link.attempt,
        repository: task.spec.repository.clone(),
        branch: judged.release.as_ref().map(|release| release.branch.clone()).unwrap_or_default(),
        commit: commit.to_owned(),
        tree: review.tree.clone(),
        base: review.base.clone(),
        since,
        deadline: since.checked_add(timeout).unwrap_or(Timestamp::MAX),
        reports: check
            .reports
            .iter()
            .map(|report| Declared { path: report.path.clone(), format: report.format })
            .collect(),
    })
}
