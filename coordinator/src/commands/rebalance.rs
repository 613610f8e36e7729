//! `usher rebalance`.

use super::{
    change::carry_out,
    targets::{Kind, targets},
    world,
};
use crate::{
    cli::{Global, Rebalance, Targets},
    exit::Exit,
    output,
    problem::Problem,
    rebalance::Rebalancer,
    request::{self, Connection, Request},
    world::World,
};

pub(super) async fn rebalance(global: &Global, arguments: Rebalance) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let nodes = match (&arguments.nodes[..], &arguments.selector) {
        ([], None) => needy(&world, arguments.to_request(Vec::new())).await?,
        _ => {
            let (nodes, selector) = (arguments.nodes.clone(), arguments.selector.clone());
            targets(&world, &Targets { nodes, selector, ..Targets::default() }, Kind::Node).await?
        }
    };
    if nodes.is_empty() {
        output::progress("every node that takes pods has about its share");
    }
    carry_out(global, &world, &arguments.change, arguments.to_request(nodes)).await
}

/// The nodes that have far fewer than their share.
async fn needy(world: &World, kind: request::Kind) -> Result<Vec<String>, Problem> {
    let request = Request { kind, reason: String::new(), task_id: None, connection: Connection::default() };
    let options = request.drain_options(&world.site).unwrap_or_default();
    Ok(Rebalancer::new(&world.drainer().await, &options).needy().await?)
}
