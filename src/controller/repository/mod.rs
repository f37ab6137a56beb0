//! The Repository reconciler: makes the git repository, keeps the mirror of its upstream fresh, and says
//! whether phases can start.

pub(in crate::controller) mod sync;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{ResourceExt, runtime::controller::Action};
use tracing::info;

use super::{
    Error,
    context::{Context, FIELD_MANAGER},
    status::{Written, write_status},
};
use crate::{
    api::{Repository, RepositoryStatus},
    git::ops::{EnsureRepository, EnsureRepositoryAnswer, RefName},
    machine::conditions::{Health, condition, conditions},
};
use sync::{Mirror, MirrorState};

/// Condition that says whether the last look at the upstream went well.
const UPSTREAM_SYNCED: &str = "UpstreamSynced";

/// Brings one Repository a step further.
///
/// # Errors
/// If the API server or the git service cannot be reached or refuses.
pub async fn reconcile(repository: Arc<Repository>, context: Arc<Context>) -> Result<Action, Error> {
    if repository.metadata.deletion_timestamp.is_some() || context.own_writes.is_stale(repository.as_ref()) {
        return Ok(Action::await_change());
    }
    let operation = EnsureRepository {
        base: RefName::branch(&repository.spec.base_branch)?,
        upstream: repository.spec.upstream.is_some(),
    };
    let namespace = repository.namespace().unwrap_or_default();
    let now = Timestamp::now();
    // Before git is asked: what has ended by now is there then. Making the Sync needs the repository, which is made below.
    let mirror = sync::observe(&repository, &context, now);
    let base = match context.git.call(&namespace, &repository.name_any(), &operation).await? {
        EnsureRepositoryAnswer::Ready { base } => Some(String::from(base)),
        EnsureRepositoryAnswer::AwaitingUpstream => None,
    };
    if let Some(mirror) = &mirror {
        sync::execute(&repository, mirror, &context).await?;
    }
    let before = repository.status.clone().unwrap_or_default();
    let after = project(&repository, &before, base, mirror.as_ref(), now);
    if repository.status.as_ref() != Some(&after)
        && write_status(&context, repository.as_ref(), FIELD_MANAGER, &after).await? == Written::Stored
        && before.message != after.message
    {
        info!(repository = repository.name_any(), namespace, message = after.message, "repository");
    }
    Ok(match mirror.and_then(|mirror| mirror.wait) {
        Some(wait) => Action::requeue(wait),
        None => Action::await_change(),
    })
}

fn project(
    repository: &Repository,
    before: &RepositoryStatus,
    base: Option<String>,
    mirror: Option<&Mirror>,
    now: Timestamp,
) -> RepositoryStatus {
    let generation = repository.metadata.generation.unwrap_or_default();
    let state = mirror.map(|mirror| known_state(mirror, &before.conditions, generation));
    let (health, reason, message) = standing(repository, base.as_ref(), state.as_ref());
    let message: String = message.chars().take(1000).collect();
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut told = conditions(&before.conditions, health, reason, &message, generation, now);
    told.extend(state.map(|state| {
        let (status, reason, message) = state.told();
        let message: String = message.chars().take(1000).collect();
        condition(&before.conditions, UPSTREAM_SYNCED, (status, reason, &message), generation, now)
    }));
    RepositoryStatus {
        observed_generation: generation,
        head: base,
        sync: mirror.map(|mirror| mirror.record.clone()),
        conditions: told,
        message,
    }
}

/// What is known of the upstream: while it is looked at again, what the last look said.
fn known_state(mirror: &Mirror, before: &[Condition], generation: i64) -> MirrorState {
    let told = before.iter().find(|told| told.type_ == UPSTREAM_SYNCED && told.observed_generation == Some(generation));
    match (&mirror.state, told.map(|told| (told.status.as_str(), &told.message))) {
        (MirrorState::UnderWay, Some(("True", _))) => MirrorState::Fresh { head: mirror.record.head.clone() },
        (MirrorState::UnderWay, Some(("False", why))) => MirrorState::Failed(why.clone()),
        (state, _) => state.clone(),
    }
}

fn standing(
    repository: &Repository,
    base: Option<&String>,
    state: Option<&MirrorState>,
) -> (Health, &'static str, String) {
    let name = &repository.spec.base_branch;
    match (base, state) {
        // Phases go on with what is here.
        (Some(_), Some(MirrorState::Failed(why))) => {
            (Health::Done, "Ready", format!("the upstream could not be mirrored and is tried again: {why}"))
        }
        (Some(_), Some(MirrorState::Fresh { head: None })) => (
            Health::Done,
            "Ready",
            format!("the upstream has no branch {name} any more; the base branch stays as it is"),
        ),
        (Some(_), _) => (Health::Done, "Ready", String::new()),
        (None, Some(MirrorState::Failed(why))) => {
            let message =
                format!("failed to mirror the upstream: {why}; it is tried again, at once if spec.upstream is edited");
            (Health::NeedsPerson, "SyncFailed", message)
        }
        (None, Some(MirrorState::Fresh { head: None })) => {
            let message = format!(
                "the upstream has no branch {name}; push it there, or make a Repository with another spec.baseBranch"
            );
            (Health::NeedsPerson, "BranchMissing", message)
        }
        (None, _) => (Health::Working, "Syncing", "mirroring the upstream".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::api::repository::SyncStatus;

    fn repository() -> Repository {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "phasegate.dev/v1alpha1", "kind": "Repository",
            "metadata": {"name": "r", "namespace": "n", "generation": 2}, "spec": {},
        }))
        .unwrap()
    }

    #[expect(clippy::unnecessary_wraps, reason = "a column of the table, which other rows leave empty")]
    fn mirror(state: MirrorState) -> Option<Mirror> {
        let head = if let MirrorState::Fresh { head } = &state { head.clone() } else { None };
        Some(Mirror { record: SyncStatus { head, ..SyncStatus::default() }, state, due: None, wait: None })
    }

    #[rstest]
    #[case::without_upstream(Some("c0ffee"), None, &["True", "False", "False"], "")]
    #[case::mirrored(Some("c0ffee"), mirror(MirrorState::Fresh { head: Some("c0ffee".into()) }), &["True", "False", "False", "True"], "")]
    #[case::mirroring_again(Some("c0ffee"), mirror(MirrorState::UnderWay), &["True", "False", "False", "Unknown"], "")]
    #[case::away_for_a_while(Some("c0ffee"), mirror(MirrorState::Failed("no route".into())), &["True", "False", "False", "False"], "no route")]
    #[case::branch_deleted(Some("c0ffee"), mirror(MirrorState::Fresh { head: None }), &["True", "False", "False", "True"], "has no branch main any more")]
    #[case::mirroring(None, mirror(MirrorState::UnderWay), &["Unknown", "True", "False", "Unknown"], "mirroring")]
    #[case::never_reached(None, mirror(MirrorState::Failed("no route".into())), &["False", "False", "True", "False"], "no route")]
    #[case::no_such_branch(None, mirror(MirrorState::Fresh { head: None }), &["False", "False", "True", "True"], "no branch main")]
    fn a_standing_is_told_by_conditions_and_again_the_same(
        #[case] base: Option<&str>,
        #[case] mirror: Option<Mirror>,
        #[case] conditions: &[&str],
        #[case] says: &str,
    ) {
        let (first, later) = ("2026-01-01T00:00:00Z".parse().unwrap(), "2026-01-01T00:01:00Z".parse().unwrap());
        let base = base.map(str::to_owned);
        let status = project(&repository(), &RepositoryStatus::default(), base.clone(), mirror.as_ref(), first);
        assert_eq!(status.conditions.iter().map(|c| c.status.as_str()).collect::<Vec<_>>(), conditions);
        assert!(status.message.contains(says), "{}", status.message);
        let again = project(&repository(), &status, base.clone(), mirror.as_ref(), later);
        assert_eq!(again, status, "looking again changes nothing");
        // Nor does the next look at the upstream, until it has ended.
        let next = mirror.map(|mirror| Mirror { state: MirrorState::UnderWay, ..mirror });
        assert_eq!(project(&repository(), &status, base, next.as_ref(), later), status);
    }
}
