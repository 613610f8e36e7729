//! Namespaces.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;

use super::{Cluster, ClusterError};

impl Cluster {
    /// Succeeds if there is such a namespace.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none; if the API forbids the look or does not answer.
    pub async fn expect_namespace(&self, name: &str) -> Result<(), ClusterError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        self.patiently("read the namespace", || namespaces.get_metadata(name)).await.map(drop)
    }
}
