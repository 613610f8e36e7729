//! Rollouts against the in-memory API server, in paused time: what is restarted, what is waited for, and why something stands.

mod faults;
mod find;
mod order;
mod restart;
mod troubles;
mod undo;

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use usher_coordinator::{
    cluster::Cluster,
    interrupt::Interrupt,
    workloads::{
        Namespaces,
        rollout::{Change, Ended, Entry, Event, Outcome, Places, Run, Settings, Wanted, Workload, find},
    },
};
use usher_testkit::apiserver::{ApiServer, Start, fixtures::node};

/// When the restarts of these tests happen.
pub(crate) const AT: &str = "2026-11-25T12:00:00Z";

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two nodes, on which pods are ready after a second.
pub(crate) fn server() -> ApiServer {
    let api = ApiServer::new();
    api.add(node("w1")).add(node("w2"));
    api
}

pub(crate) fn cluster(api: &ApiServer) -> Cluster {
    Cluster::over(api.client(), "test", "memory")
}

/// Lets the pods of an app start so from now on, on all nodes.
pub(crate) fn starts(api: &ApiServer, app: &str, start: Start) {
    for node in ["w1", "w2"] {
        api.kubelet(node, |kubelet| {
            kubelet.starts.insert(app.to_owned(), start);
        });
    }
}

/// Lets time pass until what was added is at rest.
pub(crate) async fn settle() {
    tokio::time::sleep(seconds(10)).await;
}

pub(crate) fn shop() -> Places {
    Namespaces::One("shop".to_owned()).into()
}

pub(crate) fn wanted(line: &str) -> Vec<Wanted> {
    let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
    Wanted::read(&words).unwrap()
}

/// Workloads of the namespace shop, named as on a command line.
pub(crate) async fn named(api: &ApiServer, line: &str) -> Vec<Workload> {
    find(&cluster(api), &shop(), &wanted(line), None).await.unwrap()
}

/// Ten at a time, and as long as it takes.
pub(crate) fn settings() -> Settings {
    Settings { concurrency: 10, max_failures: 0, timeout: None, wait: true }
}

/// Carries out changes in the namespace shop to their end.
pub(crate) async fn carry_out(api: &ApiServer, settings: Settings, changes: Vec<Change>) -> (Outcome, Vec<Event>) {
    let (_signals, interrupt) = Interrupt::by_hand();
    carry_out_until(api, settings, changes, &interrupt).await
}

pub(crate) async fn carry_out_until(
    api: &ApiServer,
    settings: Settings,
    changes: Vec<Change>,
    interrupt: &Interrupt,
) -> (Outcome, Vec<Event>) {
    let (cluster, places) = (cluster(api), shop());
    let mut told = Vec::new();
    let run = Run { cluster: &cluster, places: &places, settings, interrupt };
    let outcome = run.to_end(changes, |event| told.push(event.clone())).await;
    (outcome, told)
}

/// Restarts workloads of the namespace shop.
pub(crate) async fn restart(api: &ApiServer, settings: Settings, line: &str) -> (Outcome, Vec<Event>) {
    let changes = restarts(api, line).await;
    carry_out(api, settings, changes).await
}

pub(crate) async fn restarts(api: &ApiServer, line: &str) -> Vec<Change> {
    named(api, line).await.into_iter().map(|workload| Change::restart(workload, AT, None)).collect()
}

/// What became of each workload.
pub(crate) fn ended(outcome: &Outcome) -> Vec<(&str, Ended)> {
    outcome.entries.iter().map(|entry| (entry.workload.id.name.as_str(), entry.ended)).collect()
}

/// Why this workload is not complete, in one line.
pub(crate) fn why(outcome: &Outcome, name: &str) -> String {
    let is_it = |entry: &&Entry| entry.workload.id.name == name;
    outcome.entries.iter().find(is_it).map(|entry| entry.why.join("; ")).unwrap_or_default()
}

/// The uids of the pods of an app.
pub(crate) fn pods(api: &ApiServer, app: &str) -> Vec<String> {
    let pods = api.list::<Pod>();
    pods.iter().filter(|pod| pod.labels().get("app").is_some_and(|it| it == app)).filter_map(|pod| pod.uid()).collect()
}
