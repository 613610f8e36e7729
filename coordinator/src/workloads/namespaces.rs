//! Which namespaces a command looks at.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Resource, ResourceExt as _, api::ListParams, core::NamespaceResourceScope};
use usher_common::config_file::nearest;

use crate::cluster::{Cluster, ClusterError, PATIENCE, list};

/// The names of the namespaces whose labels match; an empty selector matches all.
///
/// # Errors
///
/// If the API does not answer or forbids it.
pub(super) async fn matching(cluster: &Cluster, selector: &str) -> Result<BTreeSet<String>, ClusterError> {
    let api: Api<Namespace> = Api::all(cluster.client().clone());
    let first = ListParams::default().labels(selector).limit(list::PAGE);
    let names = list::fold(&api, first, PATIENCE, BTreeSet::new(), |names, namespace: Namespace| {
        names.insert(namespace.name_any());
    });
    names.await.map(|(names, _)| names).map_err(|source| cluster.error("list the namespaces", source))
}

/// One namespace, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// All namespaces.
    All,
    /// This one.
    One(String),
}

impl Namespaces {
    /// The named namespace, else that of the kubeconfig's context, else `default`, as kubectl has it.
    ///
    /// # Errors
    ///
    /// If a server says that the named namespace does not exist. Who may not read namespaces goes on with the name.
    pub async fn named(cluster: &Cluster, name: Option<&str>) -> Result<Self, ClusterError> {
        let Some(name) = name else { return Ok(Self::One(cluster.client().default_namespace().to_owned())) };
        match cluster.expect_namespace(name).await {
            Err(error) if !error.is_forbidden() => Err(error),
            _ => Ok(Self::One(name.to_owned())),
        }
    }

    /// The name of another namespace that may have been meant. None, too, where namespaces may not be listed: a suggestion is not
    /// worth an error.
    pub async fn nearest(cluster: &Cluster, name: &str) -> Option<String> {
        let names = matching(cluster, "").await.ok()?;
        nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
    }

    /// The one namespace; None for all of them.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::One(name) => Some(name),
        }
    }

    /// The objects of a kind in these namespaces.
    pub(crate) fn api<K>(&self, client: kube::Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Self::All => Api::all(client),
            Self::One(name) => Api::namespaced(client, name),
        }
    }
}
