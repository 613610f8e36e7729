//! A cluster with room for pods, and one run of a plan.

use std::time::Duration;

use usher_coordinator::{
    cluster::Cluster,
    interrupt::Interrupt,
    workloads::replace::{Ended, JobPlan, Options, Progress, carry_out},
};
use usher_testkit::apiserver::{ApiServer, fixtures::node};

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn api() -> ApiServer {
    let api = ApiServer::new();
    api.add(node("w1"));
    api
}

pub(crate) fn cluster(api: &ApiServer) -> Cluster {
    Cluster::over(api.client(), "test", "memory")
}

/// Long enough for pods to be made, bound and ready.
pub(crate) async fn settle() {
    tokio::time::sleep(seconds(3)).await;
}

/// As the commands do by default.
pub(crate) fn options() -> Options {
    Options { wait: true, timeout: Some(seconds(300)), reason: None }
}

/// What came of a plan, and what was told on the way.
pub(crate) struct Run {
    pub(crate) ended: Ended,
    pub(crate) told: Vec<Progress>,
}

pub(crate) async fn run(api: &ApiServer, plan: &JobPlan) -> Run {
    run_with(api, plan, &options(), &Interrupt::by_hand().1).await
}

pub(crate) async fn run_with(api: &ApiServer, plan: &JobPlan, options: &Options, interrupt: &Interrupt) -> Run {
    let mut told = Vec::new();
    let ended = carry_out(&cluster(api), plan, options, interrupt, &mut |step| told.push(step)).await;
    Run { ended, told }
}

/// Of a list of references.
pub(crate) fn names<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}
