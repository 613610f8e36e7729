//! The bed's etcd, asked past usher: who leads it, whether all members serve, and how to break one.

use std::time::Duration;

use anyhow::Context;

use super::{Bed, CONTROL_PLANES, Output, until};

/// Members wait for each other's certificates, disks and elections on two shared cores.
const LIMIT: Duration = Duration::from_secs(120);

impl Bed {
    /// Runs etcdctl against all three members.
    ///
    /// # Errors
    /// If it cannot be run. How it ended is no error.
    pub async fn etcdctl(&self, words: &[&str]) -> anyhow::Result<Output> {
        let endpoints: Vec<_> =
            CONTROL_PLANES.iter().map(|machine| format!("https://{}:2379", machine.address)).collect();
        let pki = self.folder.pki();
        let path = |name: &str| pki.join(name).to_string_lossy().into_owned();
        let options = [
            format!("--endpoints={}", endpoints.join(",")),
            format!("--cacert={}", path("ca.pem")),
            format!("--cert={}", path("etcd-client.pem")),
            format!("--key={}", path("etcd-client-key.pem")),
        ];
        let words: Vec<_> = options.iter().map(String::as_str).chain(words.iter().copied()).collect();
        Output::of(self.kubernetes_program("etcdctl"), &words).await
    }

    /// Waits until each of the three members serves reads that the others agree to. A green /readyz tells nothing of it: every
    /// apiserver knows all members.
    ///
    /// # Errors
    /// If that does not happen in time, with what etcdctl said last.
    pub async fn wait_etcd(&self) -> anyhow::Result<()> {
        until("three healthy members of etcd", LIMIT, async || {
            self.etcdctl(&["endpoint", "health"]).await?.success().map(Some)
        })
        .await
        .map(drop)
    }

    /// The machine whose member leads.
    ///
    /// # Errors
    /// If nobody leads within a while.
    pub async fn wait_etcd_leader(&self) -> anyhow::Result<&'static str> {
        until("a leader of etcd", LIMIT, async || {
            let told = self.etcdctl(&["endpoint", "status", "--write-out", "json"]).await?.json()?;
            let leads =
                |entry: &&serde_json::Value| entry["Status"]["leader"] == entry["Status"]["header"]["member_id"];
            let leader = told.as_array().and_then(|entries| entries.iter().find(leads));
            let endpoint = leader.and_then(|leader| leader["Endpoint"].as_str());
            Ok(endpoint.and_then(|endpoint| {
                let is_it = |address: &str| endpoint.contains(&format!("//{address}:"));
                CONTROL_PLANES.iter().find(|machine| is_it(machine.address)).map(|machine| machine.name)
            }))
        })
        .await
    }

    /// The term of the election in which etcd's leader of now was chosen: it grows with each election, a hand-over included.
    ///
    /// # Errors
    /// If no member tells.
    pub async fn etcd_term(&self) -> anyhow::Result<u64> {
        let told = self.etcdctl(&["endpoint", "status", "--write-out", "json"]).await?.json()?;
        let terms = told.as_array().into_iter().flatten().filter_map(|entry| entry["Status"]["raftTerm"].as_u64());
        terms.max().context("no member tells its term")
    }
}
