//! Which namespaces a command looks at.

use kube::{Api, Resource, core::NamespaceResourceScope};

use crate::cluster::{Cluster, ClusterError};

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
