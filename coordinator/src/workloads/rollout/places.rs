//! Where workloads are looked for.

use std::collections::BTreeSet;

use kube::{Api, Client, api::DynamicObject};

use super::Kind;
use crate::{
    cluster::{Cluster, ClusterError},
    workloads::{Namespaces, namespaces},
};

/// Namespaces of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    namespaces: Namespaces,
    /// Of all namespaces only these.
    only: Option<BTreeSet<String>>,
}

impl From<Namespaces> for Places {
    fn from(namespaces: Namespaces) -> Self {
        Self { namespaces, only: None }
    }
}

impl Places {
    /// The namespaces with these labels. There may be none.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn matching(cluster: &Cluster, selector: &str) -> Result<Self, ClusterError> {
        let only = namespaces::matching(cluster, selector).await?;
        Ok(Self { namespaces: Namespaces::All, only: Some(only) })
    }

    /// The namespace, if it is one that was named: what is in it is meant, whatever protects it otherwise.
    pub fn named(&self) -> Option<&str> {
        match &self.namespaces {
            Namespaces::One(name) => Some(name),
            Namespaces::All => None,
        }
    }

    /// Whether no namespace matched.
    pub fn is_nowhere(&self) -> bool {
        self.only.as_ref().is_some_and(BTreeSet::is_empty)
    }

    pub(super) fn contains(&self, namespace: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(namespace))
    }

    /// Of several namespaces one list or watch of the whole cluster is cheaper than one each.
    pub(super) fn api(&self, client: &Client, kind: Kind) -> Api<DynamicObject> {
        let resource = kind.resource();
        match &self.namespaces {
            Namespaces::All => Api::all_with(client.clone(), &resource),
            Namespaces::One(name) => Api::namespaced_with(client.clone(), name, &resource),
        }
    }

    /// For requests about one workload.
    pub(super) fn api_in(&self, client: &Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &kind.resource())
    }

    /// For lists of other kinds in the same namespaces.
    pub(super) fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }
}
