//! Whether single apiservers are ready: asked from here, else through the agent beside each.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use usher_common::chain;

use super::World;
use crate::{cluster::Readiness, site::Component};

impl World {
    /// Whether each apiserver is ready.
    pub async fn apiservers(&self) -> BTreeMap<String, Readiness> {
        self.apiservers_within(None).await
    }

    /// The same, with no more patience than `limit` for both ways to ask.
    pub(super) async fn apiservers_within(&self, limit: Option<Duration>) -> BTreeMap<String, Readiness> {
        let asked = join_all(
            self.control_plane
                .iter()
                .map(async |machine| Some((machine.clone(), self.readiness_within(machine, limit).await?))),
        );
        asked.await.into_iter().flatten().collect()
    }

    /// Whether the apiserver on a machine is ready; None if the site has no apiservers as units.
    pub async fn readiness_of(&self, machine: &str) -> Option<Readiness> {
        self.readiness_within(machine, None).await
    }

    /// One that can be asked from here answers within milliseconds; the agent gets the last third of `limit`.
    async fn readiness_within(&self, machine: &str, limit: Option<Duration>) -> Option<Readiness> {
        let for_its_agent = limit.map(|limit| limit / 3);
        let readiness = match (self.apiserver_at(machine), limit) {
            (Ok(Some(at)), Some(limit)) => self.cluster.readyz_within(&at, limit * 2 / 3).await,
            (Ok(Some(at)), None) => self.cluster.readyz(&at).await,
            (Ok(None), _) => return None,
            (Err(error), _) => Readiness::Unreachable { message: error.to_string() },
        };
        Some(match readiness {
            Readiness::Unreachable { message } => self.by_its_agent(machine, message, for_its_agent).await,
            answered => answered,
        })
    }

    /// What the machine's own agent finds when it probes the apiserver that cannot be asked from here.
    async fn by_its_agent(&self, machine: &str, message: String, limit: Option<Duration>) -> Readiness {
        let Some(component) = self.site.components.iter().find(|component| Component::is_apiserver(component)) else {
            return Readiness::Unreachable { message };
        };
        let answer = async { self.agents.agent(machine)?.probe(&component.unit, limit).await };
        match answer.await {
            Ok(None) => Readiness::ByItsAgent { message },
            Ok(Some(problem)) => Readiness::NotReady { message: format!("{problem} (as its agent finds)") },
            // An agent that is silent, older than this question or without a probe leaves it at what is known from here.
            Err(error) => Readiness::Unreachable { message: format!("{message}; its agent: {}", chain(&error)) },
        }
    }
}
