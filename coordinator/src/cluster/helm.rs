//! What Helm has recorded of its releases, and what it has made. Of its Secrets the labels are read; their contents, which are the
//! charts' values, never.

use std::{collections::BTreeMap, fmt::Debug};

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        core::v1::Secret,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Resource,
    api::ListParams,
    core::{NamespaceResourceScope, PartialObjectMeta, Request},
};
use serde::de::DeserializeOwned;
use usher_core::helmfile::{Record, Revision};

use super::{Cluster, ClusterError, PATIENCE, list};

impl Cluster {
    /// The releases of a namespace by their names, as Helm has recorded them in Secrets, which is where it does by default.
    ///
    /// # Errors
    ///
    /// If the API forbids the look or does not answer.
    pub async fn helm_releases(&self, namespace: &str) -> Result<BTreeMap<String, Record>, ClusterError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let request = Request::new(secrets.resource_url());
        let page = |params: &ListParams| request.list_metadata(params);
        let add = |records: &mut BTreeMap<String, Record>, secret: PartialObjectMeta<Secret>| {
            let created = secret.metadata.creation_timestamp.map(|time| time.0);
            let labels = secret.metadata.labels.unwrap_or_default();
            if let Some((name, revision)) = Revision::of_labels(&labels, created) {
                let known = records.remove(&name);
                records.insert(name, Record::add(known, revision));
            }
        };
        let params = ListParams::default().labels("owner=helm").limit(list::PAGE);
        let read = list::fold_pages(&self.client, page, params, PATIENCE, BTreeMap::new(), add).await;
        read.map(|(records, _)| records)
            .map_err(|source| self.error(&format!("read Helm's records in the namespace {namespace}"), source))
    }

    /// What Helm has made in a namespace, by release: its Deployments, StatefulSets and DaemonSets as `deployment/web`, with the
    /// generation of each, which counts the changes of its spec.
    ///
    /// # Errors
    ///
    /// If the API forbids the look or does not answer.
    pub async fn helm_workloads(
        &self,
        namespace: &str,
    ) -> Result<BTreeMap<String, BTreeMap<String, i64>>, ClusterError> {
        let mut workloads: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
        let (deployments, stateful_sets, daemon_sets) = futures::join!(
            self.made_by_helm::<Deployment>(namespace, "deployment"),
            self.made_by_helm::<StatefulSet>(namespace, "statefulset"),
            self.made_by_helm::<DaemonSet>(namespace, "daemonset"),
        );
        for (release, workload, generation) in deployments?.into_iter().chain(stateful_sets?).chain(daemon_sets?) {
            workloads.entry(release).or_default().insert(workload, generation);
        }
        Ok(workloads)
    }

    /// Release, workload and generation of each object of a kind.
    async fn made_by_helm<K>(&self, namespace: &str, kind: &str) -> Result<Vec<(String, String, i64)>, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let objects: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let request = Request::new(objects.resource_url());
        let page = |params: &ListParams| request.list_metadata(params);
        let add = |made: &mut Vec<_>, object: PartialObjectMeta<K>| {
            let ObjectMeta { annotations, name, generation, .. } = object.metadata;
            let annotation = |key: &str| annotations.as_ref()?.get(key).cloned();
            if annotation("meta.helm.sh/release-namespace").as_deref() == Some(namespace)
                && let Some(release) = annotation("meta.helm.sh/release-name")
            {
                let name = name.unwrap_or_default();
                made.push((release, format!("{kind}/{name}"), generation.unwrap_or_default()));
            }
        };
        let read =
            list::fold_pages(&self.client, page, ListParams::default().limit(list::PAGE), PATIENCE, Vec::new(), add)
                .await;
        read.map(|(made, _)| made).map_err(|source| self.error(&format!("list the {kind}s"), source))
    }

    /// The namespace of the kubeconfig's context, in which a release is that names none.
    pub fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }
}
