//! Versions that the Kubernetes API tells: those of single apiservers, and of what runs in pods.

use std::time::Duration;

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::version::Info};
use kube::{Api, ResourceExt as _, api::ListParams};

use super::{ApiServerAt, Cluster, ClusterError, PATIENCE, list, retry::error_message};

/// What kubeadm and its like label the pods of a control plane with, and those of kube-proxy.
const LABELS: [(&str, &str); 2] = [("tier=control-plane", "component"), ("k8s-app=kube-proxy", "k8s-app")];

/// A component of the cluster that runs as a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ComponentPod {
    /// Such as `kube-scheduler`.
    pub(crate) component: String,
    pub(crate) node: String,
    /// The tag of its image; None if the image is named by its digest alone.
    pub(crate) tag: Option<String>,
}

impl Cluster {
    /// The version of the apiserver at `url`, such as `v1.37.2`, or why it does not tell.
    pub(crate) async fn version_at(&self, at: &ApiServerAt, limit: Duration) -> Result<String, String> {
        let answer = self.ask_apiserver(at, "/version", limit).await?.map_err(|error| error_message(&error))?;
        let info: Info = serde_json::from_str(&answer).map_err(|error| format!("its answer is no version: {error}"))?;
        Ok(info.git_version)
    }

    /// Components of the control plane and kube-proxies that run as pods in `kube-system`.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub(crate) async fn component_pods(&self) -> Result<Vec<ComponentPod>, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), "kube-system");
        let mut found = Vec::new();
        for (selector, label) in LABELS {
            let params = ListParams::default().labels(selector).limit(list::PAGE);
            let add = |found: &mut Vec<ComponentPod>, pod: Pod| found.extend(component_pod(&pod, label));
            let listed = list::fold(&api, params, PATIENCE, Vec::new(), add).await;
            found.extend(listed.map_err(|source| self.error("list the control plane's pods", source))?.0);
        }
        Ok(found)
    }
}

fn component_pod(pod: &Pod, label: &str) -> Option<ComponentPod> {
    let spec = pod.spec.as_ref()?;
    let image = spec.containers.first()?.image.as_deref()?;
    Some(ComponentPod {
        component: pod.labels().get(label)?.clone(),
        node: spec.node_name.clone()?,
        tag: tag(image).map(str::to_owned),
    })
}

/// The tag of an image. A colon before the last slash belongs to the registry's port.
fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next()?;
    let name = image.rsplit('/').next()?;
    name.split_once(':').map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn the_tag_is_neither_the_registrys_port_nor_the_digest() {
        for (image, expected) in [
            ("registry.k8s.io/etcd:3.5.16-0", Some("3.5.16-0")),
            ("registry.example:5000/kube-proxy:v1.37.2@sha256:12ab", Some("v1.37.2")),
            ("registry.example:5000/kube-proxy", None),
            ("kube-proxy@sha256:12ab", None),
        ] {
            assert_eq!(tag(image), expected, "{image}");
        }
    }
}
