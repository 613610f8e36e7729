//! Reading facts: no more than a plan needs, and from many machines at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    time::Duration,
};

use futures::future::{join_all, try_join_all};
use jiff::SignedDuration;
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use usher_common::{chain, clock};

use super::World;
use crate::{
    agents::KEPT,
    cluster::{ClusterError, LockHolder, NodeFacts, PATIENCE, Readiness},
    facts::etcd::Etcd,
    facts::leader::{Known, Leadership, machine_of},
    facts::{AgentFacts, Census, Fleet, Inventory, Machine, Scope, evidence},
    site::Component,
};

/// How many machines are asked at once. A handshake with each of 5,000 agents at the same moment would make all of them late.
const AT_ONCE: usize = 64;

/// A machine that has not answered after this long waits on its own, without keeping others from being asked: no more than 640
/// new connections begin within a second, which is less than a processor can make. With twice as many, 800 of 5,000 agents were late.
const SET_ASIDE_AFTER: Duration = Duration::from_millis(100);

/// How long a command that only shows things waits for each answer, so that it ends within two seconds whatever is silent. A machine
/// that lives answers within a tenth of it.
pub(super) const LOOK: Duration = Duration::from_millis(1500);

/// How eagerly facts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// To look at: the Nodes as they were when the command began, one reading of each lease, little patience.
    Look,
    /// For the first plan: leases under watch.
    First,
    /// For a plan that is made again: Nodes read anew as well.
    Again,
}

impl World {
    /// The facts to be shown: read once and within two seconds, whatever is stale or silent. Holders of leases are judged by the
    /// API server's clock.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it. An agent or an apiserver that does not answer is a fact, not an error.
    pub async fn look(&self, scope: &Scope) -> Result<Inventory, ClusterError> {
        Box::pin(self.read(scope, Effort::Look)).await
    }

    /// The server's version for those who only look, or what kept it from answering at once.
    ///
    /// # Errors
    ///
    /// If the API does not answer within the time for a look, or forbids it.
    pub async fn version_at_once(&self) -> Result<String, ClusterError> {
        within(LOOK, || "ask for the server's version".to_owned(), self.cluster.version()).await
    }

    /// Who holds the lock, for those who only look.
    ///
    /// # Errors
    ///
    /// As [`Self::version_at_once`].
    pub async fn lock_at_once(&self) -> Result<Option<LockHolder>, ClusterError> {
        within(LOOK, || "read the lock".to_owned(), self.cluster.lock_holder()).await
    }

    /// The facts for a plan that is made right after the world was opened: the Nodes as they were read then.
    ///
    /// # Errors
    ///
    /// As [`Self::facts`].
    pub async fn first_facts(&self, scope: &Scope) -> Result<Inventory, ClusterError> {
        Box::pin(self.read(scope, Effort::First)).await
    }

    /// Reads the facts now. A scope that names nothing reads nothing.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it. An agent that does not answer is a fact, not an error.
    pub async fn facts(&self, scope: &Scope) -> Result<Inventory, ClusterError> {
        Box::pin(self.read(scope, Effort::Again)).await
    }

    async fn read(&self, scope: &Scope, effort: Effort) -> Result<Inventory, ClusterError> {
        let listed = match scope.all && effort == Effort::Again {
            true => self.cluster.nodes().await?,
            false => BTreeMap::new(),
        };
        let names = self.names(scope, &listed);
        let (machines, leaders, apiservers, etcd, holders, fleet, server_ahead, unlisted) = futures::join!(
            self.machines(&names, scope, effort, listed),
            self.leaders(scope, effort),
            self.readiness(scope, effort),
            self.etcd_facts(scope, effort),
            self.holders(scope, effort),
            self.fleet(scope, effort),
            self.server_ahead(scope, effort),
            self.unlisted(scope, if effort == Effort::Look { LOOK } else { PATIENCE }),
        );
        let (mut read, mut leaders, holders) = (machines?, leaders?, holders?);
        // A name that is neither a Node's nor listed stands for no machine.
        read.retain(|(machine, _)| machine.listed || machine.node.is_some());
        let known: Vec<_> = read.iter().map(|(machine, _)| self.known_by(machine)).collect();
        let control_plane: Vec<_> =
            known.iter().filter(|known| self.control_plane.contains(&known.machine)).cloned().collect();
        leaders = leaders.into_iter().map(|(name, leadership)| (name, leadership.named(&control_plane))).collect();
        let held = held(leaders.iter().chain(&holders), &known);
        let machines = read.into_iter().map(|(machine, static_pods)| {
            let held = held.get(machine.name.as_str()).cloned().unwrap_or_default();
            let units = self.site.components.iter().map(|component| component.unit.as_str());
            let found = evidence(machine.node.as_ref(), &machine.agent, &static_pods, held, units);
            Machine { control_plane: machine.listed || !found.is_empty(), control_plane_evidence: found, ..machine }
        });
        let (machines, here, fleet) = (machines.collect(), self.here.clone(), fleet?);
        let now = Some(clock::now());
        Ok(Inventory { machines, leaders, apiservers, etcd, unlisted, here, fleet, holders, now, server_ahead })
    }

    /// All Nodes when the world was opened, and now.
    async fn fleet(&self, scope: &Scope, effort: Effort) -> Result<Option<Fleet>, ClusterError> {
        if !scope.fleet {
            return Ok(None);
        }
        let before = Census::of(self.nodes.values());
        let now = match effort {
            Effort::Look | Effort::First => before.clone(),
            Effort::Again => self.cluster.census().await?,
        };
        Ok(Some(Fleet { before, now }))
    }

    /// How far the API server's clock is ahead of this machine's, for the plan that an operator is asked about.
    async fn server_ahead(&self, scope: &Scope, effort: Effort) -> Option<SignedDuration> {
        match effort == Effort::First && !scope.is_empty() {
            true => self.cluster.server_clock().await.map(|clock| clock.offset()),
            false => None,
        }
    }

    /// The machines of a scope: the control plane in the site's order, then the others by name.
    fn names(&self, scope: &Scope, listed: &BTreeMap<String, NodeFacts>) -> Vec<String> {
        let is_named = |machine: &String| scope.machines.contains(machine) || scope.nodes.contains(machine);
        let control_plane =
            self.control_plane.iter().filter(|&machine| scope.control_plane || scope.all || is_named(machine));
        let all = scope.all.then_some(if listed.is_empty() { &self.nodes } else { listed });
        let all = all.into_iter().flat_map(BTreeMap::keys).filter(|node| !self.is_listed(node));
        let others: BTreeSet<_> = scope.machines.iter().chain(&scope.nodes).chain(all).collect();
        let others = others.into_iter().filter(|name| !self.control_plane.contains(name));
        control_plane.chain(others).cloned().collect()
    }

    /// The machines of these names, each with the static pods that say what it is.
    async fn machines(
        &self,
        names: &[String],
        scope: &Scope,
        effort: Effort,
        listed: BTreeMap<String, NodeFacts>,
    ) -> Result<Vec<(Machine, Vec<String>)>, ClusterError> {
        let (agents, api, listed) = (Semaphore::new(AT_ONCE), Semaphore::new(AT_ONCE), &listed);
        let are_kept = names.len() <= KEPT;
        let reading = names.iter().map(|name| async {
            let name = name.clone();
            let is_listed = self.is_listed(&name);
            let asked = scope.all || (scope.control_plane && is_listed) || scope.machines.contains(&name);
            let node = async {
                match effort {
                    Effort::Again if scope.all => Ok(listed.get(self.node_name(&name)).cloned()),
                    Effort::Again => {
                        let _permit = api.acquire().await;
                        self.node_now(&name).await
                    }
                    Effort::Look | Effort::First => Ok(self.nodes.get(self.node_name(&name)).cloned()),
                }
            };
            let agent = async {
                if asked {
                    self.agent_facts(&name, effort, &agents, are_kept).await
                } else {
                    (AgentFacts::NotAsked, None)
                }
            };
            let static_pods = async || {
                let _permit = api.acquire().await;
                self.cluster.static_control_plane_pods(self.node_name(&name)).await
            };
            // What the list says need not be proved.
            let proof = async {
                match effort != Effort::Look && !is_listed && scope.machines.contains(&name) {
                    true => static_pods().await,
                    false => Ok(Vec::new()),
                }
            };
            let (node, (agent, clock_ahead), mut pods) = futures::join!(node, agent, proof);
            // They tell why an agent lacks units; without the right to read them it only lacks them.
            if effort != Effort::Look && is_listed && matches!(node, Ok(Some(_))) && self.lacks_units(&agent) {
                pods = Ok(static_pods().await.unwrap_or_default());
            }
            let rival_nodes = self.nodes_of.get(&name).filter(|fitting| fitting.len() > 1).cloned().unwrap_or_default();
            let machine = Machine {
                name,
                node: node?,
                agent,
                listed: is_listed,
                control_plane: is_listed,
                rival_nodes,
                control_plane_evidence: Vec::new(),
                clock_ahead,
            };
            Ok((machine, pods?))
        });
        join_all(reading).await.into_iter().collect()
    }

    /// Whether the agent manages less than the components of the control plane. etcd may run elsewhere.
    fn lacks_units(&self, agent: &AgentFacts) -> bool {
        let needed = self.site.components.iter().filter(|component| !component.is_etcd());
        agent.status().is_some_and(|status| needed.into_iter().any(|component| status.unit(&component.unit).is_none()))
    }

    async fn node_now(&self, machine: &str) -> Result<Option<NodeFacts>, ClusterError> {
        match self.cluster.node(self.node_name(machine)).await {
            Ok(node) => Ok(Some(node)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn leaders(&self, scope: &Scope, effort: Effort) -> Result<BTreeMap<String, Leadership>, ClusterError> {
        if !scope.control_plane {
            return Ok(BTreeMap::new());
        }
        if effort == Effort::Look {
            return self.leaders_by_clock(effort, |_| true).await;
        }
        let mut by_lease = self.elections().await.leaderships().await?;
        let named = self.site.components.iter().filter_map(|component| {
            let leadership = by_lease.remove(&component.lease()?)?;
            Some((component.name.clone(), leadership))
        });
        Ok(named.collect())
    }

    /// Who holds the leases, where nobody asks who leads: a machine that holds one is no worker. Without the right to read them
    /// other evidence must do.
    async fn holders(&self, scope: &Scope, effort: Effort) -> Result<BTreeMap<String, Leadership>, ClusterError> {
        let wanted = |component: &Component| {
            !scope.machines.is_empty() || (scope.evicts && self.site.refills_budgets() == Some(component))
        };
        if scope.control_plane {
            return Ok(BTreeMap::new());
        }
        match self.leaders_by_clock(effort, wanted).await {
            // Evidence that is one of several, or a warning: nothing that an operation cannot do without.
            Err(error) if error.is_forbidden() || scope.machines.is_empty() => Ok(BTreeMap::new()),
            holders => holders,
        }
    }

    async fn leaders_by_clock(
        &self,
        effort: Effort,
        wanted: impl Fn(&Component) -> bool,
    ) -> Result<BTreeMap<String, Leadership>, ClusterError> {
        let wanted = self.site.components.iter().filter(|component| wanted(component));
        let elected = wanted.filter_map(|component| Some((component, component.lease()?)));
        let reading = elected.map(async |(component, lease)| {
            let leadership = match effort {
                Effort::Look => {
                    let doing = || format!("read the lease {lease}");
                    within(LOOK, doing, self.cluster.leadership_by_clock(&lease, Duration::ZERO)).await
                }
                Effort::First | Effort::Again => self.cluster.leadership_by_clock(&lease, PATIENCE).await,
            };
            Ok((component.name.clone(), leadership?))
        });
        try_join_all(reading).await.map(BTreeMap::from_iter)
    }

    async fn readiness(&self, scope: &Scope, effort: Effort) -> BTreeMap<String, Readiness> {
        match scope.control_plane {
            true => self.apiservers_within((effort == Effort::Look).then_some(LOOK)).await,
            false => BTreeMap::new(),
        }
    }

    async fn etcd_facts(&self, scope: &Scope, effort: Effort) -> Etcd {
        match scope.control_plane {
            true => self.etcd((effort == Effort::Look).then_some(LOOK)).await,
            false => Etcd::default(),
        }
    }

    /// What the agent says, and how far its clock is ahead of this machine's.
    async fn agent_facts(
        &self,
        machine: &str,
        effort: Effort,
        permits: &Semaphore,
        is_kept: bool,
    ) -> (AgentFacts, Option<SignedDuration>) {
        let ask = || async {
            let agent = self.agents.agent(machine)?;
            match effort {
                Effort::Look => agent.status_within(LOOK).await,
                Effort::First | Effort::Again => {
                    let status = agent.status().await;
                    if !is_kept {
                        agent.hang_up().await;
                    }
                    status
                }
            }
        };
        match set_aside(permits, ask).await {
            Ok(status) => {
                if let Some(elections) = self.elections.get()
                    && !status.hostname.is_empty()
                {
                    elections.learn(machine, &status.hostname);
                }
                let ahead = status.now.map(|its| its.duration_since(clock::now()));
                (AgentFacts::Answers { status: Box::new(status) }, ahead)
            }
            Err(error) => (AgentFacts::Silent { message: chain(&error), hint: error.hint() }, None),
        }
    }

    /// All names of a machine, with its host name if its agent answered.
    fn known_by(&self, machine: &Machine) -> Known {
        let mut known = self.known(&machine.name);
        known.names.extend(machine.agent.status().map(|status| status.hostname.clone()));
        known
    }
}

/// The components whose leases a process of each machine holds, dead or alive.
fn held<'a>(
    holders: impl Iterator<Item = (&'a String, &'a Leadership)>,
    known: &'a [Known],
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut held: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (component, leadership) in holders {
        let identity = leadership.holder().map(|holder| holder.identity.as_str());
        if let Some(machine) = identity.and_then(|identity| machine_of(identity, known)) {
            held.entry(machine).or_default().insert(component.as_str());
        }
    }
    held
}

/// Asks, awaits the answer, and returns the permit early if the answer is late. A question takes memory only once it has its permit.
async fn set_aside<T, F: Future<Output = T>>(permits: &Semaphore, ask: impl FnOnce() -> F) -> T {
    let permit = permits.acquire().await;
    let mut answer = Box::pin(ask());
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        () = sleep(SET_ASIDE_AFTER) => drop(permit),
    }
    answer.await
}

/// An error that says what took too long.
async fn within<T>(
    limit: Duration,
    doing: impl Fn() -> String,
    answer: impl Future<Output = Result<T, ClusterError>>,
) -> Result<T, ClusterError> {
    let late = |_| Err(ClusterError::TimedOut { doing: doing(), within: limit, problem: "no answer".into() });
    timeout(limit, answer).await.unwrap_or_else(late)
}
