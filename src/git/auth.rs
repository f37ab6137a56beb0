//! Who may do what with a repository (design §6, "Identity"; §8).
//!
//! Three kinds of callers. The operator shows a token of audience `phasegate-git` and may call the typed operations. A task
//! pod shows the token it is bound to, audience `phasegate`, under the name of its `AgentTask`; what it may push follows
//! from that task alone. Everybody else is a person, of whom `people` decides. The rules are here, without IO; how tokens and tasks are looked up is `kube_auth`.

use std::collections::BTreeSet;

use base64::Engine as _;
use futures::future::BoxFuture;
use http::{HeaderMap, header::AUTHORIZATION};

use super::{
    flow,
    names::{RefName, RepositoryId},
    people::People,
};
use crate::api::agent_task::{AgentTask, Role, TaskState};

/// Audience of the operator's token.
pub const OPERATOR_AUDIENCE: &str = "phasegate-git";
/// Audience of a task pod's token.
pub const TASK_AUDIENCE: &str = "phasegate";

/// Whom a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `system:serviceaccount:{namespace}:{name}`.
    pub username: String,
    /// UID of the pod the token is bound to.
    pub pod_uid: Option<String>,
}

/// Asks whom a token belongs to. `None`: to nobody, or it is not meant for this audience.
pub trait TokenReviewer: Send + Sync + 'static {
    /// Reviews one token. An error means that nobody could be asked.
    fn review<'a>(&'a self, token: &'a str, audience: &'static str) -> BoxFuture<'a, Result<Option<Identity>, String>>;
}

/// Looks up what is known of an `AgentTask`.
pub trait TaskLookup: Send + Sync + 'static {
    /// Reads one task. `None`: there is none of that name; an error means that nobody could be asked.
    fn task<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<TaskFacts>, String>>;
}

/// What decides about a task's pushes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFacts {
    /// `metadata.uid`.
    pub uid: String,
    /// Name of its Repository.
    pub repository: String,
    /// What kind of work it is.
    pub role: Role,
    /// The one branch it may push, short or full.
    pub branch: Option<String>,
    /// UID of the one pod whose word counts, once the reconciler knows it.
    pub pod_uid: Option<String>,
    /// Where the task is.
    pub state: TaskState,
    /// The live run has submitted: its branch is closed.
    pub submitted: bool,
    /// The run on the base that the task is compared with, as task UID and run: it may read what that run kept.
    pub base_run: Option<(String, i32)>,
    /// The folder with what it pushes to the upstream (role Sync): it may read that.
    pub push_from: Option<String>,
}

impl TaskFacts {
    /// What matters of an `AgentTask`. A submission counts if it is of the live run and pod.
    pub fn of(task: &AgentTask) -> Self {
        let status = task.status.clone().unwrap_or_default();
        let live = |stamp: &crate::api::agent_task::RunStamp| {
            stamp.run == status.run && Some(&stamp.pod_uid) == status.pod_uid.as_ref()
        };
        Self {
            uid: task.metadata.uid.clone().unwrap_or_default(),
            repository: task.spec.repository.clone(),
            role: task.spec.role,
            branch: task.spec.branch.clone(),
            submitted: status.submission.as_ref().is_some_and(|submission| live(&submission.stamp)),
            pod_uid: status.pod_uid,
            state: status.state,
            base_run: task.spec.base.as_ref().and_then(|base| base.evidence.as_ref()).map(|e| (e.uid.clone(), e.run)),
            push_from: task.spec.push.as_ref().map(|push| push.from.clone()),
        }
    }
}

/// What a caller may do with one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who, for logs and for git's own words.
    pub caller: String,
    /// Private references (`refs/phasegate/…`) are shown.
    pub sees_private: bool,
    /// What may be pushed: full names, or folders that end with a slash.
    pub push: Vec<String>,
    /// Private references that may be fetched, by their full names.
    pub read: Vec<String>,
    /// Why a push that one would expect to be allowed is not.
    pub closed: Option<String>,
    /// A person: sees branches, tags and notes, and pushes fixes as the hook has it, never over what is there.
    pub person: bool,
}

/// Why a caller is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Credentials are missing or wrong.
    #[error("{0}")]
    Unauthenticated(String),
    /// The caller is known, and may not.
    #[error("{0}")]
    Forbidden(String),
    /// It is not there, or not for the caller to know.
    #[error("{0}")]
    NotFound(String),
    /// The caller may soon: try again in a second.
    #[error("{0}")]
    NotYet(String),
    /// Nobody could be asked.
    #[error("{0}")]
    Unavailable(String),
}

/// Decides about every request.
pub struct Authenticator {
    tokens: Box<dyn TokenReviewer>,
    tasks: Box<dyn TaskLookup>,
    operators: BTreeSet<String>,
    task_account: String,
    people: Option<People>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("operators", &self.operators).finish_non_exhaustive()
    }
}

/// What stands in the `Authorization` header.
enum Credentials {
    Bearer(String),
    Basic { user: String, password: String },
}

impl Authenticator {
    /// `operators` are the users (`system:serviceaccount:{namespace}:{name}`) that may call the typed operations;
    /// `task_account` is the name of the service account of task pods, the same in every namespace.
    pub fn new(
        tokens: impl TokenReviewer,
        tasks: impl TaskLookup,
        operators: impl IntoIterator<Item = String>,
        task_account: &str,
    ) -> Self {
        Self {
            tokens: Box::new(tokens),
            tasks: Box::new(tasks),
            operators: operators.into_iter().collect(),
            task_account: task_account.to_owned(),
            people: None,
        }
    }

    /// Lets people in, too.
    #[must_use]
    pub fn with_people(self, people: People) -> Self {
        Self { people: Some(people), ..self }
    }

    /// For the typed operations: only an operator passes.
    pub async fn operator(&self, headers: &HeaderMap) -> Result<String, Denied> {
        let Some(Credentials::Bearer(token)) = credentials(headers) else {
            return Err(Denied::Unauthenticated("a bearer token of audience phasegate-git is required".to_owned()));
        };
        let identity = self.review(&token, OPERATOR_AUDIENCE).await?;
        if self.operators.contains(&identity.username) {
            return Ok(identity.username);
        }
        Err(Denied::Forbidden(format!(
            "{} may not call operations of the git service; only the operator's service account may",
            identity.username
        )))
    }

    /// For smart HTTP: an operator, the live pod of a task of this repository, or a person.
    pub async fn transfer(
        &self,
        headers: &HeaderMap,
        repository: &RepositoryId,
        pushes: bool,
    ) -> Result<Grant, Denied> {
        match credentials(headers) {
            Some(Credentials::Bearer(token)) => match self.operator(headers).await {
                Ok(operator) => Ok(operator_grant(operator)),
                Err(denied) => self.person(&token, repository, pushes, denied).await,
            },
            Some(Credentials::Basic { user, password }) => match self.review(&password, TASK_AUDIENCE).await {
                Ok(identity) => self.pod(&identity, &user, repository).await,
                Err(denied) => self.person(&password, repository, pushes, denied).await,
            },
            None => Err(Denied::Unauthenticated(
                "credentials are required: a Kubernetes token or an API key as the password; task pods show the name \
                 of their AgentTask and their token"
                    .to_owned(),
            )),
        }
    }

    async fn pod(&self, identity: &Identity, task: &str, repository: &RepositoryId) -> Result<Grant, Denied> {
        let account = format!("system:serviceaccount:{}:{}", repository.namespace(), self.task_account);
        if identity.username != account {
            return Err(Denied::Forbidden(format!("{} is not {account}", identity.username)));
        }
        let found = self.tasks.task(repository.namespace(), task).await.map_err(Denied::Unavailable)?;
        task_grant(repository, task, identity, found.as_ref())
    }

    /// Whoever is neither the operator nor a task pod, if people are let in; else why they are neither.
    async fn person(
        &self,
        token: &str,
        repository: &RepositoryId,
        pushes: bool,
        denied: Denied,
    ) -> Result<Grant, Denied> {
        match (&self.people, denied) {
            (None, denied) | (_, denied @ (Denied::NotYet(_) | Denied::Unavailable(_))) => Err(denied),
            (Some(people), _) => people.grant(token, repository, &self.task_account, pushes).await,
        }
    }

    async fn review(&self, token: &str, audience: &'static str) -> Result<Identity, Denied> {
        let reviewed = self.tokens.review(token, audience).await.map_err(Denied::Unavailable)?;
        reviewed.ok_or_else(|| Denied::Unauthenticated(format!("the token is not valid for audience {audience}")))
    }
}

fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credentials::Bearer(value.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
    let (user, password) =
        String::from_utf8(decoded).ok()?.split_once(':').map(|(u, p)| (u.to_owned(), p.to_owned()))?;
    Some(Credentials::Basic { user, password })
}

/// The operator reads everything. It pushes nothing but fixes of people: what reaches a release branch or the base
/// branch goes through the typed operations.
fn operator_grant(caller: String) -> Grant {
    let push = vec!["refs/heads/bugfix/".to_owned()];
    Grant { caller, sees_private: true, push, read: Vec::new(), closed: None, person: false }
}

/// What a task pod may do. Every rule is about this task and this pod, none about its service account's rights.
fn task_grant(
    repository: &RepositoryId,
    name: &str,
    identity: &Identity,
    task: Option<&TaskFacts>,
) -> Result<Grant, Denied> {
    let forbidden = |why: String| Err(Denied::Forbidden(why));
    let Some(task) = task else {
        return forbidden(format!("there is no AgentTask {name:?} in namespace {}", repository.namespace()));
    };
    if task.repository != repository.name() {
        return forbidden(format!(
            "AgentTask {name} works on repository {}, not {}",
            task.repository,
            repository.name()
        ));
    }
    let Some(pod_uid) = &identity.pod_uid else {
        return forbidden("the token is not bound to a pod".to_owned());
    };
    match &task.pod_uid {
        None => return Err(Denied::NotYet(format!("AgentTask {name} does not know its pod yet; try again"))),
        Some(live) if live != pod_uid => {
            return forbidden(format!("this pod is not the live pod of AgentTask {name}"));
        }
        Some(_) => {}
    }
    let (push, closed) = pushes(name, task);
    Ok(Grant {
        caller: format!("AgentTask {name}"),
        sees_private: false,
        push,
        read: reads(task),
        closed,
        person: false,
    })
}

/// The logs of the one run on the base whose reports the task is compared with, and what a Sync takes to the upstream.
fn reads(task: &TaskFacts) -> Vec<String> {
    let plain = |uid: &str| !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let run = task.base_run.as_ref().filter(|(uid, run)| plain(uid) && *run > 0);
    let run = run.map(|(uid, run)| format!("refs/phasegate/logs/{uid}/{run}"));
    let phase = task.push_from.as_ref().and_then(|from| from.strip_prefix("refs/phasegate/push/"));
    let push =
        phase.filter(|uid| plain(uid) && task.role == Role::Sync).map(|uid| format!("refs/phasegate/push/{uid}"));
    run.into_iter().chain(push).collect()
}

/// The one branch while the task is at work, and its own corner for reports and saved work at all times.
fn pushes(name: &str, task: &TaskFacts) -> (Vec<String>, Option<String>) {
    let logs = format!("refs/phasegate/logs/{}/", task.uid);
    let at_work = match task.state {
        TaskState::Starting | TaskState::Running => true,
        TaskState::Pending | TaskState::Succeeded | TaskState::Failed => false,
    };
    match task.role {
        Role::Developer => {
            let own = vec![format!("refs/phasegate/wip/{}/", task.uid), logs];
            if task.submitted {
                return (own, Some(format!("AgentTask {name} has submitted its work: its branch is closed")));
            }
            if !at_work {
                return (own, Some(format!("AgentTask {name} is not at work: its branch is closed")));
            }
            let branch = task.branch.as_deref().and_then(work_branch);
            (branch.map(String::from).into_iter().chain(own).collect(), None)
        }
        Role::Check | Role::Reviewer => (vec![logs], None),
        Role::Sync if at_work => (vec![flow::UPSTREAM.to_owned(), logs], None),
        Role::Sync => (vec![logs], Some(format!("AgentTask {name} is not at work"))),
    }
}

/// A task's branch is a feature or a bugfix, whatever its spec says.
fn work_branch(branch: &str) -> Option<RefName> {
    let name = RefName::branch(branch).ok()?;
    (name.short().starts_with("feature/") || name.short().starts_with("bugfix/")).then_some(name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn repository() -> RepositoryId {
        RepositoryId::new("team", "hello").unwrap()
    }

    fn identity() -> Identity {
        Identity { username: "system:serviceaccount:team:phasegate-task".into(), pod_uid: Some("pod-1".into()) }
    }

    fn task() -> TaskFacts {
        TaskFacts {
            uid: "task-1".into(),
            repository: "hello".into(),
            role: Role::Developer,
            branch: Some("feature/phase-1-a".into()),
            pod_uid: Some("pod-1".into()),
            state: TaskState::Running,
            submitted: false,
            base_run: None,
            push_from: None,
        }
    }

    const BRANCH: &str = "refs/heads/feature/phase-1-a";
    const WIP: &str = "refs/phasegate/wip/task-1/";
    const LOGS: &str = "refs/phasegate/logs/task-1/";

    #[rstest]
    #[case::at_work(task(), &[BRANCH, WIP, LOGS])]
    #[case::starting(TaskFacts { state: TaskState::Starting, ..task() }, &[BRANCH, WIP, LOGS])]
    #[case::submitted(TaskFacts { submitted: true, ..task() }, &[WIP, LOGS])]
    #[case::ended(TaskFacts { state: TaskState::Failed, ..task() }, &[WIP, LOGS])]
    #[case::main_in_its_spec(TaskFacts { branch: Some("main".into()), ..task() }, &[WIP, LOGS])]
    #[case::release_in_its_spec(TaskFacts { branch: Some("release/phase-1-v1".into()), ..task() }, &[WIP, LOGS])]
    #[case::no_branch(TaskFacts { branch: None, ..task() }, &[WIP, LOGS])]
    #[case::full_name(TaskFacts { branch: Some(BRANCH.into()), ..task() }, &[BRANCH, WIP, LOGS])]
    #[case::check(TaskFacts { role: Role::Check, ..task() }, &[LOGS])]
    #[case::reviewer(TaskFacts { role: Role::Reviewer, ..task() }, &[LOGS])]
    #[case::sync(TaskFacts { role: Role::Sync, ..task() }, &["refs/upstream/", LOGS])]
    #[case::sync_ended(TaskFacts { role: Role::Sync, state: TaskState::Succeeded, ..task() }, &[LOGS])]
    fn a_task_pushes_its_own_branch_while_at_work_and_nothing_of_others(
        #[case] task: TaskFacts,
        #[case] allowed: &[&str],
    ) {
        let grant = task_grant(&repository(), "t", &identity(), Some(&task)).unwrap();
        assert_eq!(grant.push, allowed);
        assert!(!grant.sees_private);
    }

    #[rstest]
    #[case::none(None, &[])]
    #[case::one(Some(("base-uid-1", 2)), &["refs/phasegate/logs/base-uid-1/2"])]
    #[case::no_reference(Some(("a/../..", 1)), &[])]
    #[case::everything(Some(("", 1)), &[])]
    #[case::no_run(Some(("base-uid-1", 0)), &[])]
    fn a_task_reads_what_the_one_run_on_its_base_kept_and_nothing_else(
        #[case] run: Option<(&str, i32)>,
        #[case] readable: &[&str],
    ) {
        let base_run = run.map(|(uid, run)| (uid.to_owned(), run));
        let task = TaskFacts { role: Role::Check, base_run, ..task() };
        let grant = task_grant(&repository(), "t", &identity(), Some(&task)).unwrap();
        assert_eq!(grant.read, readable);
        assert_eq!(grant.push, [LOGS], "what may be read may not be pushed");
    }

    #[rstest]
    #[case::its_folder(Role::Sync, "refs/phasegate/push/u-1", &["refs/phasegate/push/u-1"])]
    #[case::no_sync(Role::Developer, "refs/phasegate/push/u-1", &[])]
    #[case::everybodys(Role::Sync, "refs/phasegate/push/", &[])]
    #[case::elsewhere(Role::Sync, "refs/phasegate/wip/u-1", &[])]
    #[case::out_of_it(Role::Sync, "refs/phasegate/push/u/../../wip", &[])]
    fn a_sync_reads_what_it_takes_to_the_upstream(#[case] role: Role, #[case] from: &str, #[case] readable: &[&str]) {
        let task = TaskFacts { role, push_from: Some(from.to_owned()), ..task() };
        assert_eq!(task_grant(&repository(), "t", &identity(), Some(&task)).unwrap().read, readable);
    }

    #[rstest]
    #[case::no_task(identity(), None, "no AgentTask")]
    #[case::other_repository(identity(), Some(TaskFacts { repository: "other".into(), ..task() }), "works on repository other")]
    #[case::other_pod(identity(), Some(TaskFacts { pod_uid: Some("pod-2".into()), ..task() }), "not the live pod")]
    #[case::unbound(Identity { pod_uid: None, ..identity() }, Some(task()), "not bound to a pod")]
    fn everybody_else_is_forbidden_with_a_reason(
        #[case] identity: Identity,
        #[case] task: Option<TaskFacts>,
        #[case] reason: &str,
    ) {
        match task_grant(&repository(), "t", &identity, task.as_ref()) {
            Err(Denied::Forbidden(why)) => assert!(why.contains(reason), "{why}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pod_that_is_not_pinned_yet_is_asked_to_come_again() {
        let unpinned = TaskFacts { pod_uid: None, ..task() };
        let answer = task_grant(&repository(), "t", &identity(), Some(&unpinned));
        assert!(matches!(answer, Err(Denied::NotYet(_))), "{answer:?}");
    }

    #[rstest]
    #[case::live(1, "pod-1", true)]
    #[case::earlier_run(2, "pod-1", false)]
    #[case::other_pod(1, "pod-2", false)]
    fn a_submission_counts_if_it_is_of_the_live_run_and_pod(
        #[case] run: i32,
        #[case] pod: &str,
        #[case] submitted: bool,
    ) {
        let task: AgentTask = serde_json::from_value(serde_json::json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "AgentTask",
            "metadata": {"name": "t", "uid": "task-1"},
            "spec": {
                "role": "Developer", "repository": "hello", "task": "a", "branch": "feature/phase-1-a",
                "pod": {"image": "i"}, "timeout": "1h", "maxRuns": 4
            },
            "status": {
                "state": "Running", "run": run, "podUID": pod,
                "submission": {"stamp": {"run": 1, "podUID": "pod-1"}, "commit": "c"}
            }
        }))
        .unwrap();
        let facts = TaskFacts::of(&task);
        assert_eq!(facts.submitted, submitted);
        assert_eq!((facts.uid.as_str(), facts.pod_uid.as_deref()), ("task-1", Some(pod)));
    }
}
