//! `usher agent cancel`: ends an operation that only waits.

use super::{ended, order, say};
use crate::{
    agents::{Agent, asked_by},
    cli::{ChangeFlags, Global},
    commands::confirm::confirm,
    exit::Exit,
    problem::Problem,
};

pub(super) async fn run(
    global: &Global,
    agent: &Agent,
    (node, operation): (&str, &str),
    change: &ChangeFlags,
) -> Result<Exit, Problem> {
    let (status, task) = (agent.status().await?, agent.operation(operation).await?);
    let what = task.unit.clone().unwrap_or_else(|| "reboot".to_owned());
    if task.has_ended() {
        return ended(global, &task, &format!("operation {operation} ({what}) has ended already; nothing was changed"));
    }
    let by = asked_by(&task.order.requester, &task.caller);
    say(node, &format!("end operation {operation} ({what}) of {by}"), change);
    let order = order(change, status.highest_epoch);
    if !order.dry_run {
        confirm(node, change.yes)?;
    }
    let task = agent.cancel(&order, operation).await?;
    let done = match (order.dry_run, task.has_ended()) {
        (true, _) => format!("operation {operation} only waits: it can be ended"),
        (false, true) => format!("operation {operation} has ended; what it had asked for is not taken back"),
        (false, false) => format!("operation {operation} is ending; see it: usher agent status {node}"),
    };
    ended(global, &task, &done)
}
