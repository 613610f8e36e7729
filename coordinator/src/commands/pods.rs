//! `usher pods`.

use super::{
    targets::node_name,
    workload::{Listing, age, images, or_dash, reason},
};
use crate::{
    cli::{Global, Listed, PodsCommand},
    exit::Exit,
    problem::Problem,
    show::Kind,
    text,
    workloads::{PodFilter, PodRow, pods},
};

pub(super) async fn run(global: &Global, command: PodsCommand) -> Result<Exit, Problem> {
    let PodsCommand::List { listed, node } = command;
    list(global, &listed, node.as_deref()).await
}

async fn list(global: &Global, listed: &Listed, node: Option<&str>) -> Result<Exit, Problem> {
    let listing = Listing::open(global, listed, Kind::PodList, "pods").await?;
    let node = node.map(node_name);
    let filter = PodFilter { selector: listing.selector.clone(), node: node.map(str::to_owned), images: listing.wide };
    let rows = pods(&listing.cluster, &listing.namespaces, &filter).await?;
    listing.expect_node(node, rows.len()).await?;
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
