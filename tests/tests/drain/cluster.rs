//! The small cluster that most drains begin with, the drain itself, and how to read what came of it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::Value;
use usher_coordinator::drain::{DrainError, DrainOptions, DrainProgress, Drained, Drainer, PodRef};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{PodFixture, node, pod},
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two nodes, w1 cordoned.
pub(crate) fn cluster() -> ApiServer {
    let api = ApiServer::new();
    api.add(node("w1").cordoned()).add(node("w2"));
    api
}

/// A pod on w1 that something would bring back, and whose kind no verdict speaks of.
pub(crate) fn owned(name: &str) -> PodFixture {
    pod(name).on("w1").owned_by_job("batch")
}

/// Drains w1; with it, all that it told meanwhile.
pub(crate) async fn drain_with(
    api: &ApiServer,
    options: &DrainOptions,
) -> (Result<Drained, DrainError>, Vec<DrainProgress>) {
    let mut told = Vec::new();
    let result = Drainer::new(api.client()).drain("w1", options, &mut |progress| told.push(progress)).await;
    (result, told)
}

pub(crate) async fn drained(api: &ApiServer) -> Drained {
    drain_with(api, &DrainOptions::default()).await.0.unwrap()
}

pub(crate) async fn refused(api: &ApiServer, options: &DrainOptions) -> DrainError {
    drain_with(api, options).await.0.unwrap_err()
}

pub(crate) fn within(timeout: Duration) -> DrainOptions {
    DrainOptions { timeout, ..DrainOptions::default() }
}

/// What the report says of the pods that are left.
pub(crate) fn left(error: &DrainError) -> Vec<String> {
    error.remains().lines(usher_common::clock::now())
}

/// In alphabetical order.
pub(crate) fn names<'p>(pods: impl IntoIterator<Item = &'p PodRef>) -> Vec<String> {
    let mut names: Vec<_> = pods.into_iter().map(ToString::to_string).collect();
    names.sort();
    names
}

/// The pods that have gone, in alphabetical order.
pub(crate) fn moved(drained: &Drained) -> Vec<String> {
    names(drained.moved.iter().map(|moved| &moved.pod))
}

/// The pods that a node has now.
pub(crate) fn on(api: &ApiServer, node: &str) -> Vec<String> {
    let there = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
    api.list::<Pod>().iter().filter(|pod| there(pod)).map(ResourceExt::name_any).collect()
}

/// What was asked of the server about evictions, each with its body.
pub(crate) fn evictions(api: &ApiServer) -> Vec<Value> {
    let calls = api.requests();
    let evictions = calls.iter().filter(|call| call.path.ends_with("/eviction"));
    evictions.map(|call| serde_json::from_str(&call.body).unwrap()).collect()
}

/// How many requests had this in their path.
pub(crate) fn count(api: &ApiServer, part: &str) -> usize {
    api.requests().iter().filter(|call| call.path.contains(part)).count()
}
