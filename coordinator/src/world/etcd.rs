//! What the agents of the control plane say of etcd.

use std::time::Duration;

use futures::future::join_all;
use usher_common::chain;

use super::World;
use crate::facts::etcd::{Etcd, Word};

impl World {
    /// What each control-plane machine's agent says; nothing where somebody else runs etcd. `limit` is for each answer.
    pub async fn etcd(&self, limit: Option<Duration>) -> Etcd {
        if self.site.etcd().is_none() {
            return Etcd::default();
        }
        let asked =
            self.control_plane.iter().map(async |machine| (machine.clone(), self.etcd_on(machine, limit).await));
        Etcd(join_all(asked).await.into_iter().collect())
    }

    /// What one machine's agent says.
    pub async fn etcd_on(&self, machine: &str, limit: Option<Duration>) -> Word {
        let answer = async { self.agents.agent(machine)?.etcd_member(limit).await };
        answer.await.unwrap_or_else(|error| match error.reason() {
            // Only a refusal has a reason: the agent has no table [etcd], or is older than the question.
            Some(_) => Word::NoMember { message: error.to_string() },
            None => Word::Unheard { message: chain(&error) },
        })
    }
}
