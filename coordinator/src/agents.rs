//! The agents on the machines: found, trusted, asked, told.
//!
//! The only user of tonic and of the contract's generated types; everything that leaves this module is plain data.
//!
//! A machine that restarts its agent, loses its network or reboots is silent for a while, and that is expected: reads are
//! repeated over a fresh connection, a change whose answer was lost is settled by its operation id, and following an
//! operation attaches again until it has ended. One tonic channel stands for exactly one connection here, so that nothing
//! is retried behind our back and every failure is seen where it happens.

mod address;
mod agent;
mod answer;
mod change;
mod connect;
mod convert;
mod dial;
mod error;
mod etcd;
mod follow;
mod line;
mod trust;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use rustls_pki_types::ServerName;
use usher_common::trace::TraceParent;

pub use address::in_url;
pub use agent::Agent;
pub use dial::Dial;
pub use error::{AgentError, Side};
pub use trust::own_certificate;
use usher_core::facts::etcd::{Id, Word};
pub use usher_core::facts::{
    agent::{
        AgentStatus, Blocker, BlockerKind, Evidence, Failure, FailureKind, Hold, Inhibitor, Order, RebootBudget,
        ReplacedBinary, Session, Task, TaskKind, TaskState, TaskStep, UnitStatus,
    },
    audit::{AuditPhase, AuditRecord, by as asked_by},
};

use crate::site::{AgentAccess, Site};
use line::InTrace;
use trust::Trust;

/// To more agents than this no connection is kept between the beginning of an operation and their turns: most of these are hours away.
pub(crate) const KEPT: usize = 256;

/// How all agents of a site are reached.
#[derive(Debug)]
pub struct Agents {
    access: AgentAccess,
    internal_ips: BTreeMap<String, Vec<String>>,
    dial: Dial,
    /// Read when the first agent is called: a drain needs none.
    trust: OnceLock<Arc<Trust>>,
    /// Made once for each machine, so that its connection is kept between calls.
    agents: Mutex<BTreeMap<String, Agent>>,
    trace: InTrace,
}

impl Agents {
    /// The agents that the site describes. Reads no file and connects to nobody.
    ///
    /// `internal_ips` are the InternalIPs of the cluster's Nodes by name, for machines that the cluster file gives no
    /// address. They may be empty, as they are when the API is down. Of several all are tried.
    pub fn described(site: &Site, internal_ips: BTreeMap<String, Vec<String>>) -> Self {
        Self::over(site, internal_ips, Dial::tcp())
    }

    /// The same, reached by another way than TCP.
    pub fn over(site: &Site, internal_ips: BTreeMap<String, Vec<String>>, dial: Dial) -> Self {
        Self {
            access: site.agents.clone(),
            internal_ips,
            dial,
            trust: OnceLock::new(),
            agents: Mutex::default(),
            trace: InTrace::default(),
        }
    }

    /// The same, with the client's certificate, key and CA read at once.
    ///
    /// # Errors
    ///
    /// [`AgentError::Config`] if a file cannot be used.
    pub fn new(site: &Site, internal_ips: BTreeMap<String, Vec<String>>) -> Result<Self, AgentError> {
        let agents = Self::described(site, internal_ips);
        agents.trust()?;
        Ok(agents)
    }

    /// Names this trace in each call from now on, so that the agents' audit records and journals can be joined with it. The first
    /// trace counts, and later ones do not.
    pub fn join_trace(&self, parent: &TraceParent) {
        self.trace.join(parent);
    }

    /// How their machines are reached.
    pub(crate) fn dial(&self) -> &Dial {
        &self.dial
    }

    fn trust(&self) -> Result<&Arc<Trust>, AgentError> {
        if let Some(trust) = self.trust.get() {
            return Ok(trust);
        }
        let trust = Arc::new(Trust::read(&self.access)?);
        Ok(self.trust.get_or_init(|| trust))
    }

    /// The agent of a machine, always the same one. Connects with the first call.
    ///
    /// # Errors
    ///
    /// [`AgentError::Config`] if no address is known for the machine, its name fits in no certificate, or a file of the
    /// client's cannot be used.
    pub fn agent(&self, node: &str) -> Result<Agent, AgentError> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(node) {
            return Ok(agent.clone());
        }
        let agent = self.describe(node)?;
        agents.insert(node.to_owned(), agent.clone());
        Ok(agent)
    }

    fn describe(&self, node: &str) -> Result<Agent, AgentError> {
        let addresses = address::of(&self.access, &self.internal_ips, node)?;
        let server_name = self.access.server_name.replace("{node}", node);
        let server_name = ServerName::try_from(server_name.clone()).map_err(|_| AgentError::Config {
            problem: format!("{node}: \"{server_name}\" cannot be a name in a certificate"),
            advice: Some("Set agents.server_name in the cluster file.".into()),
            source: None,
        })?;
        let trust = if self.dial.tls { Some(Arc::clone(self.trust()?)) } else { None };
        Ok(Agent::new(node.to_owned(), addresses, server_name, (self.dial.clone(), trust), self.trace.clone()))
    }

    /// Where the machine's agent listens, as `HOST:PORT`; the first of several.
    ///
    /// # Errors
    ///
    /// [`AgentError::Config`] if neither the cluster file nor the cluster knows an address.
    pub fn address(&self, node: &str) -> Result<String, AgentError> {
        Ok(address::of(&self.access, &self.internal_ips, node)?.swap_remove(0))
    }

    /// The machine's host as its agent's address has it: a name or an IP address, without brackets. In a URL it must pass
    /// through [`in_url`].
    ///
    /// # Errors
    ///
    /// As [`Self::address`].
    pub fn host(&self, node: &str) -> Result<String, AgentError> {
        Ok(address::host(&self.address(node)?).to_owned())
    }
}

#[cfg(test)]
pub(crate) mod tests;
