//! What people may do with a repository (design §8, "authorised at the request").
//!
//! A person shows a Kubernetes token or an API key. With a token, RBAC on the `Repository` decides: `get` to read, the
//! verb `push` to push fixes. With a key, its role and scope do. The rules are here, without IO; who is asked is
//! `kube_people`. A repository that somebody may not read is, for them, not there.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;

use super::{
    auth::{Denied, Grant},
    names::RepositoryId,
};
use crate::keys::{Key, KeyFile, KeyRole};

/// What keys start with.
const KEY_PREFIX: &str = "pgk_";

/// A user of the cluster, as the API server knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The user name.
    pub username: String,
    /// Tells apart users that have had the same name.
    pub uid: Option<String>,
    /// Groups, which RBAC may name.
    pub groups: Vec<String>,
    /// What else the authenticator says; an authorizer may look at it.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What is asked of RBAC, on `repositories.phasegate.dev`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Clone and fetch.
    Get,
    /// Push fixes.
    Push,
}

impl Verb {
    /// As RBAC has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Push => "push",
        }
    }
}

/// Asks the API server about people. An error means that nobody could be asked.
pub trait PeopleLookup: Send + Sync + 'static {
    /// Whose token this is. `None`: nobody's.
    fn who<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Person>, String>>;
    /// Whether RBAC lets them.
    fn may<'a>(
        &'a self,
        person: &'a Person,
        verb: Verb,
        repository: &'a RepositoryId,
    ) -> BoxFuture<'a, Result<bool, String>>;
}

/// Decides about people's requests.
pub struct People {
    lookup: Box<dyn PeopleLookup>,
    keys: KeyFile,
}

impl People {
    /// Tokens are looked up there, keys in this file.
    pub fn new(lookup: impl PeopleLookup, keys: KeyFile) -> Self {
        Self { lookup: Box::new(lookup), keys }
    }

    /// What whoever shows this token or key may do with the repository. `task_account` is the name of the service
    /// account of task pods, whose tokens are no person's.
    pub(super) async fn grant(
        &self,
        token: &str,
        repository: &RepositoryId,
        task_account: &str,
        pushes: bool,
    ) -> Result<Grant, Denied> {
        if let Some(key) = self.key(token).await? {
            return key_grant(&key, repository, pushes);
        }
        let person = self.lookup.who(token).await.map_err(Denied::Unavailable)?.filter(|p| !is_task(p, task_account));
        let person = person.ok_or_else(|| Denied::Unauthenticated(UNKNOWN.to_owned()))?;
        let caller = &person.username;
        if !self.may(&person, Verb::Get, repository).await? {
            return Err(absent(repository, caller));
        }
        if pushes && !self.may(&person, Verb::Push, repository).await? {
            return Err(Denied::Forbidden(format!(
                "{caller} may read repository {repository} and not push to it: that takes the verb push on \
                 repositories.phasegate.dev, as the lead role has it"
            )));
        }
        Ok(person_grant(caller.clone(), pushes))
    }

    async fn may(&self, person: &Person, verb: Verb, repository: &RepositoryId) -> Result<bool, Denied> {
        self.lookup.may(person, verb, repository).await.map_err(Denied::Unavailable)
    }

    /// The key, if it is one. What looks like a key is never shown to the API server.
    async fn key(&self, token: &str) -> Result<Option<Arc<Key>>, Denied> {
        let found = self.keys.keys().await.map(|keys| keys.find(token));
        if !token.starts_with(KEY_PREFIX) {
            return Ok(found.ok().flatten());
        }
        match found {
            Ok(Some(key)) => Ok(Some(key)),
            Ok(None) => Err(Denied::Unauthenticated("the API key is not known, or no longer".to_owned())),
            Err(why) => Err(Denied::Unauthenticated(why)),
        }
    }
}

const UNKNOWN: &str = "the token is not valid here: show a Kubernetes token (kubectl create token ACCOUNT --audience \
                       phasegate-git) or an API key as the password";

/// The same words whether it is not there or not for them.
fn absent(repository: &RepositoryId, caller: &str) -> Denied {
    Denied::NotFound(format!("there is no repository {repository}, or {caller} may not read it"))
}

fn is_task(person: &Person, task_account: &str) -> bool {
    let account = person.username.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    account.is_some_and(|(_, name)| name == task_account)
}

fn key_grant(key: &Key, repository: &RepositoryId, pushes: bool) -> Result<Grant, Denied> {
    let caller = format!("key {}", key.name);
    if !key.namespaces.has(repository.namespace()) || !key.repositories.has(repository.name()) {
        return Err(absent(repository, &caller));
    }
    let may_push = match key.role {
        KeyRole::Lead | KeyRole::Developer => true,
        KeyRole::Viewer | KeyRole::Ci => false,
    };
    if pushes && !may_push {
        let role = key.role.word();
        return Err(Denied::Forbidden(format!(
            "{caller} is of role {role}, which reads repository {repository} and does not push; use a key of role \
             developer or lead"
        )));
    }
    Ok(person_grant(caller, pushes))
}

/// The hook narrows the folder further: see there.
fn person_grant(caller: String, pushes: bool) -> Grant {
    let push = if pushes { vec!["refs/heads/bugfix/".to_owned()] } else { Vec::new() };
    Grant { caller, sees_private: false, push, read: Vec::new(), closed: None, person: true }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use rstest::rstest;

    use super::*;

    /// Tokens are user names; RBAC lets those whose name holds the verb, in namespace team.
    struct Cluster;

    impl PeopleLookup for Cluster {
        fn who<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Person>, String>> {
            let person = (token != "nobody").then(|| Person {
                username: token.to_owned(),
                uid: None,
                groups: Vec::new(),
                extra: BTreeMap::new(),
            });
            async move { if token == "down" { Err("no API server".to_owned()) } else { Ok(person) } }.boxed()
        }

        fn may<'a>(
            &'a self,
            person: &'a Person,
            verb: Verb,
            repository: &'a RepositoryId,
        ) -> BoxFuture<'a, Result<bool, String>> {
            let may = repository.namespace() == "team" && person.username.contains(verb.word());
            async move { Ok(may) }.boxed()
        }
    }

    async fn outcome(people: &People, token: &str, repository: (&str, &str), pushes: bool) -> &'static str {
        let id = RepositoryId::new(repository.0, repository.1).unwrap();
        match people.grant(token, &id, "phasegate-task", pushes).await {
            Ok(grant) if grant.push.is_empty() => "reads",
            Ok(_) => "pushes",
            Err(Denied::Unauthenticated(_)) => "unknown",
            Err(Denied::NotFound(_)) => "absent",
            Err(Denied::Forbidden(_)) => "forbidden",
            Err(Denied::NotYet(_) | Denied::Unavailable(_)) => "later",
        }
    }

    #[rstest]
    #[case::reader("get", ("team", "hello"), false, "reads")]
    #[case::reader_pushes("get", ("team", "hello"), true, "forbidden")]
    #[case::lead("get-push", ("team", "hello"), true, "pushes")]
    #[case::lead_reads("get-push", ("team", "hello"), false, "reads")]
    #[case::push_without_get("push", ("team", "hello"), true, "absent")]
    #[case::no_right("somebody", ("team", "hello"), false, "absent")]
    #[case::elsewhere("get-push", ("other", "hello"), true, "absent")]
    #[case::nobody("nobody", ("team", "hello"), false, "unknown")]
    #[case::a_task_pod("system:serviceaccount:get-push:phasegate-task", ("team", "hello"), false, "unknown")]
    #[case::an_account("system:serviceaccount:team:get", ("team", "hello"), false, "reads")]
    #[case::no_api_server("down", ("team", "hello"), false, "later")]
    #[case::unknown_key("pgk_get-push-0123456789012345678901234567890123456789", ("team", "hello"), false, "unknown")]
    #[tokio::test]
    async fn rbac_decides_for_people_and_what_they_may_not_read_is_not_there(
        #[case] token: &str,
        #[case] repository: (&str, &str),
        #[case] pushes: bool,
        #[case] expected: &str,
    ) {
        let people = People::new(Cluster, KeyFile::new(None));
        assert_eq!(outcome(&people, token, repository, pushes).await, expected);
    }

    #[rstest]
    #[case::viewer("viewer", ("team", "hello"), "reads", "forbidden")]
    #[case::ci("ci", ("team", "hello"), "reads", "forbidden")]
    #[case::developer("developer", ("team", "hello"), "reads", "pushes")]
    #[case::lead("lead", ("team", "hello"), "reads", "pushes")]
    #[case::other_namespace("lead", ("other", "hello"), "absent", "absent")]
    #[case::other_repository("lead", ("team", "world"), "absent", "absent")]
    #[tokio::test]
    async fn a_keys_role_and_scope_decide(
        #[case] role: &str,
        #[case] repository: (&str, &str),
        #[case] reading: &str,
        #[case] pushing: &str,
    ) {
        let key = "pgk_0123456789012345678901234567890123456789";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.yaml");
        let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(key));
        let entry =
            format!("- {{name: k, role: {role}, sha256: \"{hash}\", namespaces: [team], repositories: [hello]}}\n");
        std::fs::write(&path, entry).unwrap();
        let people = People::new(Cluster, KeyFile::new(Some(path)));
        assert_eq!(outcome(&people, key, repository, false).await, reading);
        assert_eq!(outcome(&people, key, repository, true).await, pushing);
    }
}
