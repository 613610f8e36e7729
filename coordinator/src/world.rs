//! Everything that an operation talks to.

mod apiservers;
mod control_plane;
mod etcd;
mod facts;
mod versions;

use std::{collections::BTreeMap, pin::pin, sync::OnceLock, time::Duration};

use k8s_openapi::api::core::v1::Node;
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

use crate::{
    agents::{AgentError, Agents, Dial, in_url},
    cluster::{ApiServerAt, Cluster, ClusterError, Elections, NodeFacts},
    drain::Drainer,
    facts::leader::Known,
    facts::nodes_of,
    site::{Component, Role, Site},
};

/// How long the API may take to list the nodes before a notice says so.
const NOTICE_AFTER: Duration = Duration::from_secs(2);

/// A site, its cluster, its agents and its elections.
#[derive(Debug)]
pub struct World {
    /// What the cluster file says.
    pub site: Site,
    pub cluster: Cluster,
    pub agents: Agents,
    /// What drains share: one bound on their calls, one look at the cluster.
    drainer: Drainer,
    /// Who leads; under watch once somebody asks.
    elections: OnceLock<Elections>,
    /// The Nodes when the world was opened, by their own names.
    nodes: BTreeMap<String, NodeFacts>,
    /// The control-plane machines by name, in the site's order.
    control_plane: Vec<String>,
    /// The Nodes that the control-plane machines are or could be, by machine.
    nodes_of: BTreeMap<String, Vec<String>>,
    /// The boot id of the machine on which usher runs.
    here: Option<String>,
    /// Where the apiservers are by their own account, once somebody has asked.
    serving: OnceCell<Vec<(String, u16)>>,
}

impl World {
    /// Reads the nodes, once: with the API down a command ends within seconds instead of trying for half a minute.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn open(site: Site, cluster: Cluster) -> Result<Self, ClusterError> {
        Ok(Self { here: own_boot_id(), ..Self::open_over(site, cluster, Dial::tcp()).await? })
    }

    /// The same with another way to the agents than TCP.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub async fn open_over(site: Site, cluster: Cluster, dial: Dial) -> Result<Self, ClusterError> {
        let begun = Instant::now();
        let (nodes, slim) = list_nodes(&cluster).await?;
        let drainer = Drainer::new(cluster.client().clone()).with_nodes(&slim, begun);
        let control_plane = control_plane(&site, &nodes);
        let mut internal_ips = internal_ips(&nodes);
        let described = Agents::over(&site, internal_ips.clone(), dial.clone());
        let mut nodes_of_machines = BTreeMap::new();
        for machine in &control_plane {
            let mut fitting = nodes_of(machine, described.host(machine).ok().as_deref(), &nodes);
            // The Node of another machine's name is that machine's, whatever else fits.
            fitting.retain(|name| name == machine || !control_plane.iter().any(|other| other == name));
            if let [only] = fitting[..]
                && let Some(address) = internal_ips.get(only).cloned()
            {
                internal_ips.insert(machine.clone(), address);
            }
            nodes_of_machines.insert(machine.clone(), fitting.into_iter().map(str::to_owned).collect());
        }
        let agents = Agents::over(&site, internal_ips, dial);
        Ok(Self {
            site,
            cluster,
            agents,
            drainer,
            elections: OnceLock::new(),
            nodes,
            control_plane,
            nodes_of: nodes_of_machines,
            here: None,
            serving: OnceCell::new(),
        })
    }

    /// Who leads each of the site's elections. They are watched from the first call on: a drain of a worker needs no
    /// control-plane machine to answer.
    pub async fn elections(&self) -> &Elections {
        self.elections.get_or_init(|| {
            let leases = self.site.components.iter().filter_map(Component::lease).collect();
            let machines = self.control_plane.iter().map(|machine| self.known(machine)).collect();
            Elections::watch(self.cluster.clone(), leases, machines)
        })
    }

    /// What drains nodes and looks into drains, by the server's clock: it stamped the times of pods, and this machine's may be
    /// wrong.
    pub async fn drainer(&self) -> Drainer {
        let clock = self.cluster.server_clock().await;
        self.drainer.clone().with_clock_offset(clock.map(|clock| clock.offset()).unwrap_or_default())
    }

    /// The names under which a holder's identity may speak of the machine. Its agent knows its host name best, once it was asked.
    fn known(&self, machine: &str) -> Known {
        let mut names = vec![machine.to_owned()];
        if let Some(node) = self.nodes.get(self.node_name(machine)) {
            names.push(node.name.clone());
            names.extend(node.hostnames.iter().cloned());
        }
        names.sort_unstable();
        names.dedup();
        Known { machine: machine.to_owned(), names }
    }

    /// Whether there was a Node of this name when the world was opened.
    pub fn knows_node(&self, name: &str) -> bool {
        self.nodes.contains_key(name)
    }

    /// What the machine's Node is called: as the machine, unless the cluster file calls a control-plane machine by another name
    /// than Kubernetes does.
    pub fn node_name<'a>(&'a self, machine: &'a str) -> &'a str {
        match self.nodes_of.get(machine).map(Vec::as_slice) {
            Some([only]) => only,
            _ => machine,
        }
    }

    /// What usher calls the machine that an operator named, be it by its own name or by its Node's; None if there is no such
    /// machine.
    pub fn machine_named<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let control_plane = self.control_plane.iter().map(String::as_str);
        let by_node = || control_plane.clone().find(|machine| self.node_name(machine) == name);
        control_plane
            .clone()
            .find(|&machine| machine == name)
            .or_else(by_node)
            .or(self.knows_node(name).then_some(name))
    }

    /// Where the apiserver on `machine` is, if the site has apiservers as units.
    ///
    /// # Errors
    ///
    /// If the machine's address is not known.
    pub fn apiserver_at(&self, machine: &str) -> Result<Option<ApiServerAt>, AgentError> {
        let described = self.site.components.iter().find_map(|component| match &component.role {
            Role::ApiServer { url, server_name } => Some((url, server_name)),
            Role::Elected { .. } | Role::Etcd | Role::Unelected => None,
        });
        let Some((url, server_name)) = described else { return Ok(None) };
        let url = match url.contains("{address}") {
            true => url.replace("{address}", &in_url(&self.agents.host(machine)?)),
            false => url.clone(),
        };
        let of_machine = |template: &str| template.replace("{node}", machine);
        Ok(Some(ApiServerAt { url: of_machine(&url), server_name: server_name.as_deref().map(of_machine) }))
    }

    /// The control-plane machines by name, in the site's order.
    pub fn control_plane(&self) -> &[String] {
        &self.control_plane
    }
}

/// All Nodes, with a notice when the API takes its time.
async fn list_nodes(cluster: &Cluster) -> Result<(BTreeMap<String, NodeFacts>, Vec<Node>), ClusterError> {
    let mut listing = pin!(cluster.nodes_at_once());
    match timeout(NOTICE_AFTER, listing.as_mut()).await {
        Ok(listed) => listed,
        Err(_) => {
            cluster.notice(&format!("waiting for {} to list the nodes", cluster.server()));
            listing.await
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

fn internal_ips(nodes: &BTreeMap<String, NodeFacts>) -> BTreeMap<String, Vec<String>> {
    nodes.values().map(|node| (node.name.clone(), node.internal_ips())).collect()
}

/// The boot id of this machine's kernel, which a container shares (random(4)).
#[allow(clippy::disallowed_methods)] // a file of the kernel
fn own_boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}
