//! Words for what is there when a test begins.
//!
//! ```no_run
//! use usher_testkit::apiserver::{ApiServer, fixtures::{budget, node, pod}};
//! # async fn example() {
//! let api = ApiServer::new();
//! api.add(node("w1")).add(node("w2"));
//! api.add(pod("web/web-1").on("w1").owned_by_replica_set("web")).add(budget("web/web").min_available(1));
//! let client = api.client();
//! # }
//! ```

mod endpoints;
mod helm;
mod jobs;
mod leases;
mod nodes;
mod pods;
mod workloads;

use serde_json::{Value, json};

pub use endpoints::{ApiServersFixture, apiservers_at};
pub use helm::{HelmRevisionFixture, helm_revision};
pub use jobs::{CronJobFixture, JobFixture, cron_job, job};
pub use leases::{LeaseFixture, lease};
pub use nodes::{NodeFixture, node};
pub use pods::{LOG, PodFixture, STOPS_AFTER, pod};
pub use workloads::{BudgetFixture, WorkloadFixture, budget, daemon_set, deployment, replica_set, stateful_set};

use super::{ApiServer, resource::NAMESPACES};

/// Something that can be put into the world.
pub trait Fixture {
    /// Puts it there.
    fn add_to(self, server: &ApiServer);
}

/// A namespace. Those of other fixtures come by themselves.
pub fn namespace(name: &str) -> NamespaceFixture {
    NamespaceFixture { name: name.to_owned(), terminating: false }
}

/// See [`namespace`].
#[derive(Debug, Clone)]
#[must_use = "a fixture is there once it is added"]
pub struct NamespaceFixture {
    name: String,
    terminating: bool,
}

impl NamespaceFixture {
    /// It is being deleted: nothing can be created in it, evictions included.
    pub fn terminating(self) -> Self {
        Self { terminating: true, ..self }
    }
}

impl Fixture for NamespaceFixture {
    fn add_to(self, server: &ApiServer) {
        let mut object = json!({
            "metadata": {"labels": {"kubernetes.io/metadata.name": self.name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        if self.terminating {
            object["metadata"]["deletionTimestamp"] = super::clock::seconds(server.clock().now()).into();
            object["status"]["phase"] = "Terminating".into();
        }
        server.put(NAMESPACES, "", &self.name, object);
    }
}

/// `NAMESPACE/NAME`; without a namespace it is `default`.
fn place(name: &str) -> (String, String) {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    (namespace.to_owned(), name.to_owned())
}

/// The label by which sets and budgets of the same name find their pods.
fn app(name: &str) -> Value {
    json!({"app": name})
}
