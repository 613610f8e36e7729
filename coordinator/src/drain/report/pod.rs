//! Pods and their controllers, by identity.

use std::fmt;

use serde::Serialize;

/// A pod by name and identity. A later pod of the same name has another `uid`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodRef {
    /// The namespace.
    pub namespace: String,
    /// Unique in the namespace at any one time.
    pub name: String,
    /// Unique for all time: the API's `metadata.uid`.
    pub uid: String,
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The controller of a pod, which starts another one when it goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `ReplicaSet`.
    pub kind: String,
    /// Its name in the pod's namespace.
    pub name: String,
    /// The API's `metadata.uid`.
    pub uid: String,
}
