//! `usher restart`.

use super::{
    change::{Wanted, carry_out},
    failure::Failure,
    world,
};
use crate::{
    cli::{Global, Restart},
    drain::DrainOptions,
    exit::Exit,
    plan::{Request, RestartRequest},
    steps::Policy,
    world::Scope,
};

pub(super) async fn restart(global: &Global, arguments: Restart) -> Result<Exit, Failure> {
    let Restart { components, nodes, gap, handover, assume_leader, change } = arguments;
    let world = world(global).await?;
    let defaults = &world.site.defaults;
    let without_leader = assume_leader.iter().filter(|assumed| assumed.machine.is_none());
    let wanted = Wanted {
        command: "restart",
        policy: Policy {
            drain: DrainOptions::default(),
            override_blockers: Vec::new(),
            without_leader: without_leader.map(|assumed| assumed.component.clone()).collect(),
        },
        request: Request::Restart(RestartRequest {
            components,
            machines: nodes,
            gap: gap.unwrap_or(defaults.gap),
            handover: handover.unwrap_or(defaults.handover),
            assumed: assume_leader,
        }),
        scope: Scope { control_plane: true, ..Scope::default() },
        locked: true,
    };
    carry_out(global, &world, &change, wanted).await
}
