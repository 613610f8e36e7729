//! What a step is given.

use std::{collections::BTreeMap, future::pending};

use serde::Serialize;
use usher_core::{
    drain::DrainOptions,
    operation::{Baseline, Call, Mandate},
};

use crate::{
    agents::{Agent, AgentError, Order},
    cluster::{CordonMark, Lock, NodeFacts},
    drain::MovedPod,
    event::{Events, Kind},
    facts::own_pods::OwnPod,
    interrupt::Interrupt,
    plan::Target,
    problem::{Problem, lock_lost},
    rebalance::Moved,
    request::Request,
    tasks::NotDone,
    world::World,
};

/// What earlier steps of a turn have done: for later ones, for taking them back, and for the report.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// How many of its steps have begun.
    pub(crate) reached: usize,
    /// Set when the machine may have been told to reboot, or goes down by somebody else's doing: nothing is taken back from
    /// here on.
    pub(crate) reboot_requested: bool,
    /// The Node right before the reboot.
    pub(crate) node_before_reboot: Option<NodeFacts>,
    /// The node's own pods right before the reboot.
    pub(crate) own_pods_before_reboot: Vec<OwnPod>,
    /// The machine may be out of the load balancer's pool.
    pub(crate) depooled: bool,
    /// It was out of the pool before.
    pub(crate) was_out: bool,
    /// Units that may be stopped and must run again, with their components.
    pub(crate) stopped: Vec<(String, String)>,
    /// Holders of leases whose processes have ended, by component.
    pub(crate) replaced: BTreeMap<String, String>,
    /// The mark of the cordon that this operation has made its own.
    pub(crate) mark_before: Option<CordonMark>,
    /// Pods that the drain moved.
    pub(crate) moved: Vec<MovedPod>,
    /// Pods that the rebalance moved.
    pub(crate) relocated: Vec<Moved>,
}

/// What a step works with: the edges, on whose behalf, and its target.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) world: &'a World,
    pub(crate) request: &'a Request,
    pub(crate) mandate: &'a Mandate,
    /// What drains may do; the default where the request drains nothing.
    pub(crate) drain: &'a DrainOptions,
    /// None where the operation needs none.
    pub(crate) lock: Option<&'a Lock>,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) events: &'a Events,
    pub(crate) target: &'a Target,
    /// The target's machine before the turn.
    pub(crate) baseline: &'a Baseline,
    /// The step's place in the operation: the id of its call to an agent.
    pub(crate) call: Call,
    /// The step's word in events.
    pub(crate) word: &'static str,
    pub(crate) progress: &'a mut Progress,
}

impl<'a> Context<'a> {
    /// Completes, with the reason, when a step that takes long must begin nothing more: with `interrupted`, or because the lock is lost.
    pub(super) fn must_stop(&self, interrupted: Problem) -> impl Future<Output = Problem> + use<'a> {
        let (interrupt, lock) = (self.interrupt, self.lock);
        async move {
            let lost = async {
                match lock {
                    Some(lock) => lock.lost().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = interrupt.requested() => interrupted,
                () = lost => lock_lost(),
            }
        }
    }

    /// The problem of a unit that was not changed. On a machine that somebody else shuts down nothing is taken back: it must
    /// neither get pods nor requests before it is back.
    pub(super) fn not_done(&mut self, not_done: NotDone) -> Problem {
        self.progress.reboot_requested |= not_done.goes_down;
        not_done.into()
    }

    pub(super) fn machine(&self) -> &'a str {
        self.target.machine()
    }

    /// The name of the machine's Node, which may be another than the machine's.
    pub(super) fn node(&self) -> &'a str {
        self.world.node_name(self.target.machine())
    }

    /// The machine's agent, which is told to change something only while the lock is held by this machine's clock. What is taken back
    /// needs no lock: it must never be left undone.
    pub(super) fn agent(&self) -> Result<Agent, AgentError> {
        let agent = self.world.agents.agent(self.machine())?;
        Ok(match self.lock {
            Some(lock) if !self.call.undo => agent.only_while(lock.holding()),
            _ => agent,
        })
    }

    /// The order for the step's call to an agent.
    pub(super) fn order(&self) -> Order {
        self.mandate.order(self.request, self.call)
    }

    pub(super) fn mark(&self) -> CordonMark {
        self.mandate.mark(self.request)
    }

    pub(crate) fn fact(&self, what: impl Into<String>) {
        self.events.send(Kind::Fact { turn: self.call.turn, step: self.word.into(), what: what.into() });
    }

    pub(super) fn waiting(&self, what: impl Into<String>) {
        self.events.send(Kind::Waiting { turn: self.call.turn, step: self.word.into(), what: what.into() });
    }

    pub(super) fn undone(&self, what: impl Into<String>) {
        self.events.send(Kind::Undone { turn: self.call.turn, step: self.word.into(), what: what.into() });
    }
}
