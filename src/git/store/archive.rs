//! Puts away what belonged to an owner that is gone.

use std::collections::BTreeMap;

use super::{
    Execute, Repo, StoreError,
    integrate::require_uid,
    refs,
    release::{CLAIMS, holders},
};
use crate::git::{
    flow,
    names::RefName,
    ops::{ArchiveRefs, ArchiveRefsAnswer},
};

/// Most entries of one request.
const MAX_ENTRIES: usize = 100;

impl Execute for ArchiveRefs {
    const WRITES: bool = true;

    async fn execute(self, repo: &Repo) -> Result<ArchiveRefsAnswer, StoreError> {
        require_uid("ownerUid", &self.owner_uid)?;
        if self.refs.len() > MAX_ENTRIES {
            return Err(StoreError::invalid("refs", format!("there must be at most {MAX_ENTRIES}")));
        }
        if let Some(bad) = self.refs.iter().find(|name| !can_be_archived(name)) {
            let rule = "must be a branch of the flow or under refs/phasegate/claims/, wip/ or logs/";
            return Err(StoreError::invalid("refs", format!("{bad} {rule}")));
        }
        let matching = self.matching(repo).await?;
        // Somebody has claimed the number since the owner was found to be gone: an operator that was held up asks.
        if self.is_claimed_by_another(repo, &matching).await? {
            return Ok(ArchiveRefsAnswer { archived: BTreeMap::new() });
        }
        let mut archived = BTreeMap::new();
        let mut transaction = refs::Transaction::default();
        for (name, object) in matching {
            let target = self.target(repo, &name, &object, &mut transaction).await?;
            transaction.delete(&name, &object);
            archived.insert(name, target);
        }
        transaction.commit(repo).await?;
        Ok(ArchiveRefsAnswer { archived })
    }
}

impl ArchiveRefs {
    async fn is_claimed_by_another(&self, repo: &Repo, found: &BTreeMap<RefName, String>) -> Result<bool, StoreError> {
        let claims = found.iter().filter(|(name, _)| name.as_str().starts_with(CLAIMS));
        let claims = claims.map(|(name, blob)| (name.clone(), blob.clone())).collect();
        Ok(holders(repo, &claims).await?.values().any(|holder| holder.uid != self.owner_uid))
    }

    /// All references the entries stand for.
    async fn matching(&self, repo: &Repo) -> Result<BTreeMap<RefName, String>, StoreError> {
        let roots = [RefName::new("refs/heads")?, RefName::new("refs/phasegate")?];
        let mut found = refs::list(repo, &roots.iter().collect::<Vec<_>>()).await?;
        found.retain(|name, _| can_be_archived(name) && self.refs.iter().any(|entry| stands_for(entry, name)));
        Ok(found)
    }

    /// Where a reference goes. An earlier one of that name stays: the newer gets its object id behind the name.
    async fn target(
        &self,
        repo: &Repo,
        name: &RefName,
        object: &str,
        transaction: &mut refs::Transaction,
    ) -> Result<RefName, StoreError> {
        let mut target = flow::archived(&self.owner_uid, name)?;
        loop {
            match refs::raw(repo, &[&target]).await?.remove(&target) {
                Some(there) if there == object => return Ok(target),
                Some(_) => target = RefName::new(format!("{target}-{}", &object[..12.min(object.len())]))?,
                None => {
                    transaction.create(&target, object);
                    return Ok(target);
                }
            }
        }
    }
}

/// Whether an entry of the request means this reference.
fn stands_for(entry: &RefName, name: &RefName) -> bool {
    let rest = name.as_str().strip_prefix(entry.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || entry.as_str().ends_with('-'))
}

/// The base branch, tags, notes and the archive itself never go.
fn can_be_archived(name: &RefName) -> bool {
    let private = ["refs/phasegate/claims/", "refs/phasegate/wip/", "refs/phasegate/logs/"];
    flow::is_flow_branch(name) || private.iter().any(|folder| name.as_str().starts_with(folder))
}
