//! `usher rebalance`.

use super::{
    change::carry_out_with,
    targets::{Kind, targets},
    world,
};
use crate::{
    cli::{Global, Rebalance, Targets},
    exit::Exit,
    output,
    problem::Problem,
    rebalance::{RebalancePreview, Rebalancer},
    request::{Connection, Request},
    world::World,
};

pub(super) async fn rebalance(global: &Global, arguments: Rebalance) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let (nodes, moves) = match (&arguments.nodes[..], &arguments.selector) {
        ([], None) => {
            let (nodes, moves) = needy(&world, &arguments).await?;
            (nodes, Some(moves))
        }
        _ => {
            let (nodes, selector) = (arguments.nodes.clone(), arguments.selector.clone());
            (targets(&world, &Targets { nodes, selector, ..Targets::default() }, Kind::Node).await?, None)
        }
    };
    if nodes.is_empty() {
        output::progress("every node that takes pods has about its share");
    }
    carry_out_with(global, &world, &arguments.change, arguments.to_request(nodes), moves).await
}

/// The nodes that have far fewer than their share, and what would move to them.
async fn needy(world: &World, arguments: &Rebalance) -> Result<(Vec<String>, RebalancePreview), Problem> {
    let kind = arguments.to_request(Vec::new());
    let request = Request { kind, reason: String::new(), task_id: None, connection: Connection::default() };
    let options = request.drain_options(&world.site).unwrap_or_default();
    Ok(Rebalancer::new(&world.drainer().await, &options).needy(arguments.max_moves()).await?)
}
