//! What is there to be looked at: the API server, the machines, and the time since the first command.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::{
    apiserver::ApiServer,
    rig::site::{Hands, TestSite},
};

/// See the module.
pub(super) struct Scene {
    begun: Instant,
    api: ApiServer,
    machines: BTreeMap<&'static str, Hands>,
}

impl Scene {
    pub(super) fn of(site: &TestSite) -> Self {
        let machines = site.machine_names().map(|name| (name, site.machine(name).hands()));
        Self { begun: Instant::now(), api: site.api.clone(), machines: machines.collect() }
    }

    pub(super) fn api(&self) -> &ApiServer {
        &self.api
    }

    /// The machine of this name, if there is one.
    pub(super) fn machine(&self, name: &str) -> Option<&'static str> {
        self.machines.keys().copied().find(|machine| *machine == name)
    }

    pub(super) fn machines(&self) -> impl Iterator<Item = (&'static str, &Hands)> {
        self.machines.iter().map(|(name, hands)| (*name, hands))
    }

    pub(super) fn hands(&self, machine: &'static str) -> &Hands {
        &self.machines[machine]
    }

    /// Time since the first command, in seconds.
    pub(super) fn now(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}
