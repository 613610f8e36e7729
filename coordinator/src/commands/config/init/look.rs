//! What a cluster shows of itself: its Nodes, leases and apiservers, and what listens where agents should be.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use usher_common::chain;
use usher_core::draft::{AgentSeen, Answers, ApiServerSeen, LeaseSeen, NodeSeen, Seen, control_plane, server_name};

use crate::{
    agents::{Agents, Dial, in_url},
    cluster::{Cluster, ClusterError, Destination},
    output,
    problem::Problem,
    rotation,
    site::{AgentAccess, Site},
};

/// Beside the control plane, this many machines tell how agents are set up here.
const OTHERS: usize = 20;

/// How long the answer of one agent is awaited.
const ANSWER: Duration = Duration::from_secs(2);

/// What the API shows. What it does not let usher see is told, and left out.
pub(super) async fn cluster(
    cluster: &Cluster,
    found: Destination,
    kubeconfig: Option<String>,
) -> Result<Seen, Problem> {
    let (nodes, _) = cluster.nodes_at_once().await?;
    let (leases, apiservers) = futures::join!(cluster.election_leases("kube-system"), cluster.apiserver_places());
    let nodes = nodes.into_values().map(|node| NodeSeen {
        name: node.name,
        address: node.internal_ip,
        labelled: node.control_plane,
    });
    let leases = or_nothing(leases).into_iter().map(|(lease, host)| LeaseSeen { lease, host });
    let apiservers = join_all(or_nothing(apiservers).into_iter().map(async |(host, port)| {
        let names = rotation::names_at(&Dial::tcp(), &format!("{}:{port}", in_url(&host))).await.unwrap_or_default();
        ApiServerSeen { host, port, names }
    }));
    Ok(Seen {
        kubeconfig,
        context: found.context,
        cluster: found.cluster,
        server: cluster.server().to_owned(),
        nodes: nodes.collect(),
        apiservers: apiservers.await,
        leases: leases.collect(),
        agents: Vec::new(),
    })
}

fn or_nothing<T>(answer: Result<Vec<T>, ClusterError>) -> Vec<T> {
    answer.unwrap_or_else(|error| {
        output::progress(&format!("not seen: {}", chain(&error)));
        Vec::new()
    })
}

/// Where each machine's agent should be: on the control plane, and on some others.
fn addresses(seen: &Seen) -> BTreeMap<String, String> {
    let of_node = |name: &str| seen.nodes.iter().find(|node| node.name == name)?.address.clone();
    let control_plane = control_plane(seen).into_iter();
    let control_plane =
        control_plane.filter_map(|found| Some((found.name.clone(), found.address.or(of_node(&found.name))?)));
    let mut addresses: BTreeMap<_, _> = control_plane.collect();
    let others = seen.nodes.iter().filter(|node| !node.labelled).take(OTHERS);
    addresses.extend(others.filter_map(|node| Some((node.name.clone(), node.address.clone()?))));
    addresses
}

/// Looks what listens at the agents' port, by the certificate that it shows. Nothing is sent.
pub(super) async fn listening(seen: &mut Seen) {
    let port = AgentAccess::default().port;
    let asked = addresses(seen).into_iter().map(async |(machine, address)| {
        let names = rotation::names_at(&Dial::tcp(), &format!("{}:{port}", in_url(&address))).await.unwrap_or_default();
        AgentSeen { machine, names, units: Vec::new() }
    });
    seen.agents = join_all(asked).await;
}

/// Asks those that listen for the units that they offer, with the operator's certificate, if it is there yet.
pub(super) async fn units(seen: &mut Seen, answers: &Answers) {
    let plain = AgentAccess::default();
    let access = AgentAccess {
        certificate: answers.certificate.clone().into(),
        key: answers.key.clone().into(),
        ca: answers.ca.clone().into(),
        server_name: server_name(seen).unwrap_or(plain.server_name.clone()),
        ..plain
    };
    let site = Site { agents: access, ..Site::default() };
    let addresses = addresses(seen).into_iter().map(|(name, address)| (name, vec![address])).collect();
    let Ok(agents) = Agents::new(&site, addresses) else { return };
    let asked = seen.agents.iter_mut().filter(|agent| !agent.names.is_empty()).map(async |agent| {
        let Ok(known) = agents.agent(&agent.machine) else { return };
        match known.status_within(ANSWER).await {
            Ok(status) => agent.units = status.units.into_iter().map(|unit| unit.name).collect(),
            Err(error) => output::progress(&format!("not seen: {}", chain(&error))),
        }
    });
    join_all(asked).await;
}
