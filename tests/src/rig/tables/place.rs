//! A row's own namespace and node, and what is there when its drain begins.

use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Namespace, Node, Pod},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::kubelet::NEVER_ENDS;

/// The DaemonSet that there is in every place.
pub(crate) const LIVE: &str = "live";

/// The name of the pod of a row.
pub(crate) const POD: &str = "p";

/// A namespace, and a node of the same name.
pub(crate) struct Place {
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Place {
    pub(crate) async fn new(client: &Client, name: String) -> Self {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = object(json!({"metadata": {"name": name}}));
        namespaces.create(&PostParams::default(), &namespace).await.expect("a namespace");
        let place = Self { client: client.clone(), name };
        let labels = json!({"app": LIVE});
        let container = json!({"name": "main", "image": "registry.example/main:1"});
        let set: DaemonSet = object(json!({
            "metadata": {"name": LIVE},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }));
        let sets: Api<DaemonSet> = place.api();
        sets.create(&PostParams::default(), &set).await.expect("a DaemonSet");
        place
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Puts a pod there, on the node of this place, and gives its UID.
    pub(crate) async fn pod(&self, name: &str, sketch: &Sketch) -> String {
        self.pod_on(&self.name, name, sketch).await
    }

    pub(crate) async fn pod_on(&self, node: &str, name: &str, sketch: &Sketch) -> String {
        let Sketch { mut metadata, mut spec, phase, ready } = sketch.clone();
        metadata["name"] = name.into();
        spec["nodeName"] = node.into();
        let pod: Pod = object(json!({"metadata": metadata, "spec": spec}));
        let pods: Api<Pod> = self.api();
        let made = pods.create(&PostParams::default(), &pod).await.expect("a pod");
        let ready = if ready { "True" } else { "False" };
        let status = json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
        pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(status)).await.expect("a pod's status");
        made.metadata.uid.expect("a UID")
    }

    /// The row's pod, if it is still this very one.
    pub(crate) async fn find(&self, uid: &str) -> Option<Pod> {
        let pod = self.api::<Pod>().get_opt(POD).await.expect("an answer");
        pod.filter(|pod| pod.metadata.uid.as_deref() == Some(uid))
    }

    /// Tells the row's pod to go.
    pub(crate) async fn delete(&self, grace_seconds: u32) {
        let grace = DeleteParams::default().grace_period(grace_seconds);
        self.api::<Pod>().delete(POD, &grace).await.expect("a deletion");
    }

    /// Begins to delete the namespace. Nobody is there to do the rest.
    pub(crate) async fn delete_namespace(&self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.name, &DeleteParams::default()).await.expect("a deletion");
    }

    /// Puts a budget over all pods there, with the status that its controller would have written.
    pub(crate) async fn budget(&self, name: &str, spec: &Value, status: &Value) {
        let mut spec = spec.clone();
        spec["selector"] = json!({});
        let budgets: Api<PodDisruptionBudget> = self.api();
        let budget = object(json!({"metadata": {"name": name}, "spec": spec}));
        budgets.create(&PostParams::default(), &budget).await.expect("a budget");
        let status = Patch::Merge(json!({"status": status}));
        budgets.patch_status(name, &PatchParams::default(), &status).await.expect("a budget's status");
    }
}

/// A node that would take every pod: without one, no successor could be anywhere.
pub(crate) async fn spare_node(client: &Client) {
    let nodes: Api<Node> = Api::all(client.clone());
    let node: Node = object(json!({"metadata": {"name": "spare"}}));
    nodes.create(&PostParams::default(), &node).await.expect("a node");
    let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady"});
    let status = Patch::Strategic(json!({"status": {"conditions": [ready]}}));
    nodes.patch_status("spare", &PatchParams::default(), &status).await.expect("a node's status");
    // A new node is tainted until its controller sees it ready.
    let open = Patch::Merge(json!({"spec": {"taints": null}}));
    nodes.patch("spare", &PatchParams::default(), &open).await.expect("a node without taints");
}

/// A pod, before it has a name and a node.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    metadata: Value,
    spec: Value,
    phase: &'static str,
    ready: bool,
}

/// A pod that nothing would bring back.
pub(crate) fn bare() -> Sketch {
    let container = json!({"name": "main", "image": "registry.example/main:1"});
    Sketch { metadata: json!({}), spec: json!({"containers": [container]}), phase: "Running", ready: true }
}

/// A pod whose controller has this type and name; whether there is such a thing is another matter.
pub(crate) fn of(api_version: &str, kind: &str, name: &str) -> Sketch {
    bare().owner(api_version, kind, name, true)
}

/// A pod that something would bring back.
pub(crate) fn replaced() -> Sketch {
    of("apps/v1", "ReplicaSet", "web")
}

impl Sketch {
    pub(crate) fn owner(mut self, api_version: &str, kind: &str, name: &str, controller: bool) -> Self {
        self.metadata["ownerReferences"] = json!([{
            "apiVersion": api_version, "kind": kind, "name": name, "controller": controller,
            "uid": "11111111-2222-4333-8444-555555555555",
        }]);
        self
    }

    pub(crate) fn mirror(self) -> Self {
        self.annotated("kubernetes.io/config.mirror")
    }

    pub(crate) fn never_ends(self) -> Self {
        self.annotated(NEVER_ENDS)
    }

    fn annotated(mut self, key: &str) -> Self {
        self.metadata["annotations"][key] = "yes".into();
        self
    }

    pub(crate) fn labelled(mut self, key: &str, value: &str) -> Self {
        self.metadata["labels"][key] = value.into();
        self
    }

    pub(crate) fn with_empty_dir(self) -> Self {
        self.with_volume(&json!({"emptyDir": {}}))
    }

    pub(crate) fn with_host_path(self) -> Self {
        self.with_volume(&json!({"hostPath": {"path": "/var/lib/data"}}))
    }

    fn with_volume(mut self, source: &Value) -> Self {
        self.spec["volumes"] = json!([source]);
        self.spec["volumes"][0]["name"] = "data".into();
        self
    }

    /// Not running: bound and not started, or ended.
    pub(crate) fn phase(self, phase: &'static str) -> Self {
        Self { phase, ready: false, ..self }
    }

    pub(crate) fn unready(self) -> Self {
        Self { ready: false, ..self }
    }
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("an object of its kind")
}
