//! `usher pods`.

use usher_common::config_file::nearest;

use super::workload::{Listing, age, images, or_dash, reason};
use crate::{
    cli::{Global, Listed, PodsCommand},
    cluster::Cluster,
    exit::Exit,
    problem::Problem,
    show::Kind,
    text,
    workloads::{PodFilter, PodRow, pods},
};

pub(super) async fn run(global: &Global, command: PodsCommand) -> Result<Exit, Problem> {
    let PodsCommand::List { listed, node } = command;
    list(global, &listed, node).await
}

async fn list(global: &Global, listed: &Listed, node: Option<String>) -> Result<Exit, Problem> {
    let listing = Listing::open(global, listed, Kind::PodList, "pods").await?;
    let filter = PodFilter { selector: listing.selector.clone(), node, images: listing.wide };
    let rows = pods(&listing.cluster, &listing.namespaces, &filter).await?;
    if let (Some(node), true) = (&filter.node, rows.is_empty()) {
        expect_node(&listing.cluster, node).await?;
    }
    let mut header = vec!["NAME", "READY", "STATUS", "RESTARTS", "AGE", "NODE"];
    if listing.wide {
        header.extend(["IP", "IMAGES"]);
    }
    header.push("REASON");
    listing.show(header, &rows, |row, now| (&row.namespace, cells(row, listing.wide, now)))
}

fn cells(row: &PodRow, wide: bool, now: jiff::Timestamp) -> Vec<String> {
    let last = row.last_restart.filter(|_| row.restarts > 0);
    let mut cells = vec![
        row.name.clone(),
        format!("{}/{}", row.ready, row.containers),
        row.status.clone(),
        format!("{}{}", row.restarts, last.map(|at| format!(" ({} ago)", text::age(at, now))).unwrap_or_default()),
        age(row.created, now),
        or_dash(row.node.as_deref()),
    ];
    if wide {
        cells.extend([or_dash(row.ip.as_deref()), images(&row.images, true)]);
    }
    cells.push(reason(row.reason.as_deref(), wide));
    cells
}

/// No pod on a node that nobody knows is a mistake. Who may not look at Nodes is believed.
async fn expect_node(cluster: &Cluster, name: &str) -> Result<(), Problem> {
    match cluster.node(name).await {
        Err(error) if error.is_not_found() => {
            let there = cluster.nodes().await.unwrap_or_default();
            let meant = nearest(name, there.keys().map(String::as_str)).map(|name| format!("did you mean {name}?"));
            let mut problem = Problem::refused(format!("there is no node {name}"));
            problem.hints.extend(meant);
            Err(problem.hint("see them: usher nodes"))
        }
        Err(error) if !error.is_forbidden() => Err(error.into()),
        _ => Ok(()),
    }
}
