//! The one writer of status: server-side apply that carries the observed resourceVersion, so that
//! it works as a compare-and-swap (design §4).

use std::fmt::Debug;

use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Error, context::Context};

/// How a status write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Stored,
    /// The object had moved: look again once the cache has seen it.
    Moved,
    /// The object is gone.
    Gone,
}

/// Applies the fields of `status` as `manager`, if the object still is as it was observed.
/// Fields of this manager that `status` leaves out are removed; other managers' stay.
///
/// # Errors
/// If the API server cannot be reached or refuses for another reason than a conflict.
pub async fn write_status<K>(
    context: &Context,
    observed: &K,
    manager: &str,
    status: &impl Serialize,
) -> Result<Written, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    match apply(&context.client, observed, manager, status).await {
        Ok(written) => {
            context.own_writes.record(written.meta());
            Ok(Written::Stored)
        }
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => Ok(Written::Moved),
        Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(Written::Gone),
        Err(error) => Err(error.into()),
    }
}

/// The write itself: a conflict if the object has moved since it was observed.
///
/// # Errors
/// If the API server cannot be reached or refuses.
pub async fn apply<K>(client: &Client, observed: &K, manager: &str, status: &impl Serialize) -> kube::Result<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), &observed.namespace().unwrap_or_default());
    let body = serde_json::json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {
            "name": observed.name_any(),
            "uid": observed.uid(),
            "resourceVersion": observed.resource_version(),
        },
        "status": status,
    });
    api.patch_status(&observed.name_any(), &PatchParams::apply(manager).force(), &Patch::Apply(body)).await
}
