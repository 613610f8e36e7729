//! Before the first change: every agent that the operation may call learns of the lock's epoch, and has it on disk.
//!
//! Each call carries the epoch, but an agent that is called late knows of it late: until then a coordinator that has lost the lock
//! without noticing could still restart something there. So all of them are told beforehand. The control plane's always, since that
//! is where two coordinators do the most harm.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt as _, stream};
use usher_common::chain;

use crate::{
    agents::KEPT,
    cluster::Lock,
    plan::Plan,
    problem::Problem,
    request::{Kind, Request},
    text,
    world::World,
};

/// How long one agent may take. It writes one small file.
const WITHIN: Duration = Duration::from_secs(5);

/// How many are told at once.
const AT_ONCE: usize = 64;

/// Tells the agents on these machines the epoch of a lock. Those that do not answer are named in a warning: what they have missed
/// they learn with their first call.
///
/// # Errors
///
/// If one of them knows a higher epoch, or does not believe ours: then another coordinator is at work, or the lock's epochs are
/// broken, and nothing may be changed.
pub async fn fence(
    world: &World,
    machines: BTreeSet<String>,
    (lock, requester): (&Lock, &str),
    warn: impl FnOnce(String),
) -> Result<(), Problem> {
    let are_kept = machines.len() <= KEPT;
    let told = stream::iter(machines).map(async |machine| {
        let fenced = match world.agents.agent(&machine) {
            Ok(agent) => {
                let fenced = agent.fence(lock.epoch(), requester, WITHIN).await;
                if !are_kept {
                    agent.hang_up().await;
                }
                fenced
            }
            Err(error) => Err(error),
        };
        (machine, fenced)
    });
    let told: Vec<_> = told.buffered(AT_ONCE).collect().await;
    let mut silent = Vec::new();
    for (machine, fenced) in told {
        match fenced {
            Ok(_) => {}
            Err(error) if error.is_of_the_epoch() => {
                let epoch = lock.epoch();
                let message =
                    format!("the agent on {machine} does not go by our lock (epoch {epoch}), and nothing was changed");
                let problem = Problem::refused(message).detail(chain(&error));
                return Err(match error.hint() {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                });
            }
            Err(error) => {
                tracing::debug!(machine, "not fenced: {}", chain(&error));
                silent.push(machine);
            }
        }
    }
    if !silent.is_empty() {
        warn(format!(
            "not told of this operation's lock: the agents on {}. Until they are called, they would still obey an operation that has \
             lost it",
            text::list(&silent)
        ));
    }
    Ok(())
}

/// The machines whose agents the operation may call, and the control plane. None if it calls no agent.
pub(super) fn machines(world: &World, request: &Request, plan: &Plan) -> BTreeSet<String> {
    match request.kind {
        Kind::Restart(_) | Kind::Reboot(_) => {
            let turns = plan.turns.iter().map(|turn| turn.machine().to_owned());
            world.control_plane().iter().cloned().chain(turns).collect()
        }
        Kind::Cordon(_) | Kind::Uncordon(_) | Kind::Drain(_) | Kind::Rebalance(_) => BTreeSet::new(),
    }
}
