//! Everything that an operation talks to, and reading the facts from it.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use tokio::{sync::OnceCell, time::Instant};

use crate::{
    cluster::{Cluster, ClusterError, Elections, LeaseName, NodeFacts, Readiness},
    drain::Drainer,
    inventory::{AgentFacts, Inventory, Machine},
    leader::Known,
    node::{Agents, NodeError, in_url},
    site::{Component, Role, Site},
};

/// A site, its cluster, its agents and its elections.
#[derive(Debug)]
pub struct World {
    /// What the cluster file says.
    pub site: Site,
    /// The API.
    pub cluster: Cluster,
    /// The agents.
    pub agents: Agents,
    /// What drains share: one bound on their calls, one look at the cluster.
    pub drainer: Drainer,
    /// Who leads; under watch once somebody asks.
    elections: OnceCell<Elections>,
    /// The Nodes when the world was opened.
    nodes: BTreeMap<String, NodeFacts>,
    /// The control-plane machines by name, in the site's order.
    control_plane: Vec<String>,
}

/// Which facts to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The control plane: its agents, its leaders, its apiservers.
    pub control_plane: bool,
    /// The agents of these machines.
    pub machines: BTreeSet<String>,
    /// The agents of all machines.
    pub all: bool,
}

impl World {
    /// Reads the nodes, once: with the API down a command ends within seconds instead of trying for half a minute.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn open(site: Site, cluster: Cluster) -> Result<Self, ClusterError> {
        let begun = Instant::now();
        let nodes = cluster.nodes_at_once().await?;
        let drainer = Drainer::new(cluster.client().clone()).with_nodes(&nodes, begun);
        let nodes = crate::cluster::by_name(&nodes);
        let control_plane = control_plane(&site, &nodes);
        let agents = Agents::described(&site, internal_ips(&nodes));
        Ok(Self { site, cluster, agents, drainer, elections: OnceCell::new(), nodes, control_plane })
    }

    /// Who leads each of the site's elections. They are watched from the first call on: whoever drains a worker needs no
    /// control-plane machine to answer.
    pub async fn elections(&self) -> &Elections {
        self.elections
            .get_or_init(async || {
                // A holder is named by the host name of its machine, which its agent knows best.
                let known = join_all(self.control_plane.iter().map(async |machine| {
                    let mut names = vec![machine.clone()];
                    names.extend(self.nodes.get(machine).into_iter().flat_map(|node| node.hostnames.clone()));
                    if let Ok(agent) = self.agents.agent(machine)
                        && let Ok(status) = agent.status().await
                    {
                        names.push(status.hostname);
                    }
                    Known { machine: machine.clone(), names }
                }));
                Elections::watch(self.cluster.clone(), leases(&self.site), known.await)
            })
            .await
    }

    /// Whether there was a Node of this name when the world was opened.
    pub fn knows_node(&self, name: &str) -> bool {
        self.nodes.contains_key(name)
    }

    /// The facts for a plan that is made right after the world was opened: the Nodes as they were read then.
    ///
    /// # Errors
    ///
    /// As [`Self::facts`].
    pub async fn first_facts(&self, scope: &Scope) -> Result<Inventory, ClusterError> {
        self.inventory(async { Ok(self.nodes.clone()) }, scope).await
    }

    /// Reads the facts now.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it. An agent that does not answer is a fact, not an error.
    pub async fn facts(&self, scope: &Scope) -> Result<Inventory, ClusterError> {
        self.inventory(self.cluster.nodes(), scope).await
    }

    async fn inventory(
        &self,
        nodes: impl Future<Output = Result<BTreeMap<String, NodeFacts>, ClusterError>>,
        scope: &Scope,
    ) -> Result<Inventory, ClusterError> {
        let (nodes, leaders, apiservers) = match scope.control_plane {
            true => futures::join!(nodes, self.leaders(), self.apiservers()),
            false => (nodes.await, Ok(BTreeMap::new()), BTreeMap::new()),
        };
        let (mut nodes, leaders) = (nodes?, leaders?);
        let mut names = self.control_plane.clone();
        names.extend(nodes.keys().filter(|name| !self.control_plane.contains(name)).cloned());
        let machines = join_all(names.into_iter().map(|name| {
            let node = nodes.remove(&name);
            let control_plane = self.control_plane.contains(&name);
            async move {
                let asked = scope.all || (scope.control_plane && control_plane) || scope.machines.contains(&name);
                let agent = if asked { self.agent_facts(&name).await } else { AgentFacts::NotAsked };
                Machine { name, control_plane, node, agent }
            }
        }));
        Ok(Inventory { machines: machines.await, leaders, apiservers })
    }

    /// The Lease of an elected component.
    pub fn lease(component: &Component) -> Option<LeaseName> {
        match &component.role {
            Role::Elected { namespace, lease, .. } => {
                Some(LeaseName { namespace: namespace.clone(), name: lease.clone() })
            }
            Role::ApiServer { .. } => None,
        }
    }

    /// The URL of the apiserver on `machine`, if the site has apiservers as units.
    ///
    /// # Errors
    ///
    /// If the machine's address is not known.
    pub fn apiserver_url(&self, machine: &str) -> Result<Option<String>, NodeError> {
        let template = self.site.components.iter().find_map(|component| match &component.role {
            Role::ApiServer { url } => Some(url),
            Role::Elected { .. } => None,
        });
        template
            .map(|url| Ok(url.replace("{address}", &in_url(&self.agents.host(machine)?)).replace("{node}", machine)))
            .transpose()
    }

    /// Whether each apiserver is ready.
    pub async fn apiservers(&self) -> BTreeMap<String, Readiness> {
        let asked = join_all(self.control_plane.iter().map(async |machine| {
            let readiness = match self.apiserver_url(machine) {
                Ok(Some(url)) => self.cluster.readyz(&url).await,
                Ok(None) => return None,
                Err(error) => Readiness::Unreachable { message: error.to_string() },
            };
            Some((machine.clone(), readiness))
        }));
        asked.await.into_iter().flatten().collect()
    }

    /// The control-plane machines by name, in the site's order.
    pub fn control_plane(&self) -> &[String] {
        &self.control_plane
    }

    async fn leaders(&self) -> Result<BTreeMap<String, crate::leader::Leadership>, ClusterError> {
        let mut by_lease = self.elections().await.leaderships().await?;
        let named = self.site.components.iter().filter_map(|component| {
            let leadership = by_lease.remove(&Self::lease(component)?)?;
            Some((component.name.clone(), leadership))
        });
        Ok(named.collect())
    }

    async fn agent_facts(&self, machine: &str) -> AgentFacts {
        let answer = match self.agents.agent(machine) {
            Ok(agent) => agent.status().await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(status) => AgentFacts::Answers { status: Box::new(status) },
            Err(error) => AgentFacts::Silent { message: crate::words::chain(&error), hint: error.hint() },
        }
    }
}

/// The site's control-plane machines, else the Nodes with the label.
fn control_plane(site: &Site, nodes: &BTreeMap<String, NodeFacts>) -> Vec<String> {
    if !site.control_plane.is_empty() {
        return site.control_plane.clone();
    }
    nodes.values().filter(|node| node.control_plane).map(|node| node.name.clone()).collect()
}

fn internal_ips(nodes: &BTreeMap<String, NodeFacts>) -> BTreeMap<String, String> {
    nodes.values().filter_map(|node| Some((node.name.clone(), node.internal_ip.clone()?))).collect()
}

fn leases(site: &Site) -> Vec<LeaseName> {
    site.components.iter().filter_map(World::lease).collect()
}
