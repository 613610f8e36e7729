//! A namespace with workloads of its own, whose pods alone are drained.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};
use usher_testkit::bed::{Bed, is_ready, until};

use super::lives::Lives;
use crate::{observe::node_of, run::Run};

/// From nothing to running containers. After all apiservers were away, the watches of schedulers, controllers and kubelets come
/// back one by one, within a minute (client-go's reflectors pause for up to 30 s, doubled by chance).
const START_LIMIT: Duration = Duration::from_secs(180);

/// The label of their namespaces.
const TENANTS: &str = "test.example.com/tenant=yes";

/// Runs until it is told to go, and goes at once.
pub(crate) const OBEYS: &str = "trap 'exit 0' TERM; while true; do sleep 3600 & wait; done";

/// Runs until it is told to go, and goes so many seconds later.
pub(crate) fn takes(seconds: u32) -> String {
    format!("trap 'sleep {seconds}; exit 0' TERM; while true; do sleep 3600 & wait; done")
}

/// A namespace of one test.
pub(crate) struct Tenant<'b> {
    pub(crate) bed: &'b Bed,
    pub(crate) name: String,
    pub(crate) client: Client,
}

impl<'b> Tenant<'b> {
    /// Runs `test` with a new tenant, and removes the tenant whatever comes of it.
    pub(crate) async fn with(bed: &'b Bed, test: impl AsyncFnOnce(&Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        // What a test that failed has left.
        bed.kubectl(&["delete", "namespaces", "--selector", TENANTS, "--wait=false"]).await?.success()?;
        let name = format!("tenant-{}", usher_common::clock::now().as_millisecond());
        bed.kubectl(&["create", "namespace", &name]).await?.success()?;
        bed.kubectl(&["label", "namespace", &name, TENANTS]).await?.success()?;
        let tenant = Self { bed, name, client: bed.client().await? };
        let ended = test(&tenant).await;
        // Its pods hold nothing that another test needs, so that nobody waits for their end.
        bed.kubectl(&["delete", "namespace", &tenant.name, "--wait=false", "--ignore-not-found"]).await?;
        ended
    }

    /// The objects of a kind in its namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Makes these objects, and waits until `pods` pods are ready, all on w1, and both nodes take pods again.
    pub(crate) async fn run(&self, objects: &[Value], pods: usize) -> anyhow::Result<Lives> {
        // To prefer w1 is not enough for the scheduler, which likes to spread.
        self.bed.kubectl(&["cordon", "w2"]).await?.success()?;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let words = ["apply", "--namespace", &self.name, "--filename", "-"];
        self.bed.kubectl_with_input(&words, &list).await?.success()?;
        let started = until("the tenant's pods on w1", START_LIMIT, async || {
            let listed = self.pods().await?;
            // After all apiservers were away, each watch of the scheduler comes back by itself: it may see new pods before it
            // sees the cordon, and bind them to w2.
            let astray =
                listed.iter().filter(|pod| node_of(pod) == Some("w2") && pod.metadata.deletion_timestamp.is_none());
            for pod in astray {
                self.kubectl(&["delete", "pod", &pod.name_any(), "--wait=false"]).await?;
            }
            let ready = listed.iter().filter(|pod| node_of(pod) == Some("w1") && is_ready(pod)).count();
            Ok((ready == pods && listed.len() == pods).then_some(()))
        });
        if let Err(error) = started.await {
            return Err(error.context(self.what_there_is().await));
        }
        self.bed.kubectl(&["uncordon", "w2"]).await?.success()?;
        self.bed.wait_nodes().await?;
        Lives::of(self).await
    }

    /// What somebody would look at whose pods do not start, as kubectl prints it.
    async fn what_there_is(&self) -> String {
        let mut seen = Vec::new();
        for what in ["serviceaccounts,deployments,replicasets,pods", "events"] {
            let words = ["get", what, "--namespace", &self.name, "--output", "wide"];
            seen.push(self.bed.kubectl(&words).await.map_or_else(|error| format!("{error:#}"), |got| got.stdout));
        }
        seen.join("\n")
    }

    pub(crate) async fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        Ok(self.api::<Pod>().list(&ListParams::default()).await?.items)
    }

    pub(crate) async fn pod(&self, name: &str) -> anyhow::Result<Pod> {
        self.api::<Pod>().get(name).await.with_context(|| format!("pod {name}"))
    }

    /// `usher drain w1`, for the pods of this tenant alone.
    pub(crate) async fn drain(&self, flags: &[&str]) -> anyhow::Result<Run> {
        let selector = format!("tenant={}", self.name);
        Run::of(self.bed, &[&["drain", "w1", "--pod-selector", &selector], flags].concat()).await
    }

    /// `kubectl` in its namespace.
    pub(crate) async fn kubectl(&self, words: &[&str]) -> anyhow::Result<()> {
        self.bed.kubectl(&[words, &["--namespace", &self.name]].concat()).await?.success().map(drop)
    }

    /// Pods of one container.
    pub(crate) fn template(&self, app: &str, script: &str, grace: u32) -> Value {
        let container = json!({
            "name": "main", "image": "bed.local/busybox:1", "imagePullPolicy": "Never", "command": ["sh", "-c", script],
        });
        json!({
            "metadata": {"labels": {"app": app, "tenant": self.name}},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": grace,
                "containers": [container],
            },
        })
    }

    /// A Deployment of pods that go at once when they are told.
    pub(crate) fn obedient(&self, app: &str, replicas: u32) -> Value {
        deployment(app, replicas, &self.template(app, OBEYS, 10))
    }

    /// A Deployment of pods that take some seconds to end.
    pub(crate) fn slow(&self, app: &str, replicas: u32, seconds: u32) -> Value {
        deployment(app, replicas, &self.template(app, &takes(seconds), seconds + 10))
    }
}

pub(crate) fn deployment(app: &str, replicas: u32, template: &Value) -> Value {
    set("Deployment", app, replicas, template)
}

pub(crate) fn stateful_set(app: &str, replicas: u32, template: &Value) -> Value {
    let mut set = set("StatefulSet", app, replicas, template);
    set["spec"]["serviceName"] = app.into();
    set["spec"]["podManagementPolicy"] = "Parallel".into();
    set
}

fn set(kind: &str, app: &str, replicas: u32, template: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": app},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": template},
    })
}

/// A disruption budget over the pods of an app: `least` is `minAvailable`.
pub(crate) fn needs(app: &str, least: u32) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": app},
        "spec": {"minAvailable": least, "selector": {"matchLabels": {"app": app}}},
    })
}
