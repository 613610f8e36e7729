//! `usher lock`: who holds the cluster's lock, and holding it for a command of another tool.

use std::{convert::Infallible, future::pending, time::Duration};

use serde::Serialize;
use tokio::time::{Instant, sleep};
use usher_core::operation::new_id;

use super::{identity, world};
use crate::{
    cli::{Global, LockRun},
    cluster::{Lock, LockError, LockHolder, LockRequest},
    exec,
    exit::Exit,
    facts::Scope,
    operation, output,
    problem::Problem,
    show::{self, Kind},
    world::World,
};

/// Between two attempts to have the lock of another who lives.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What `usher lock show -o json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    cluster: &'a str,
    /// None: it is free.
    holder: Option<&'a LockHolder>,
}

pub(super) async fn show(global: &Global) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let holder = world.lock_at_once().await?;
    let shown = Shown { cluster: world.cluster.name(), holder: holder.as_ref() };
    show::show(Kind::Lock, &shown, global.output, || match &holder {
        None => "the lock is free".to_owned(),
        Some(holder) => {
            let since = holder.acquired.map(|at| format!(", since {at}")).unwrap_or_default();
            let task = holder.task_id.as_ref().map(|task| format!(", {task}")).unwrap_or_default();
            format!("the lock is held by {holder}{since}{task}")
        }
    })?;
    Ok(Exit::Done)
}

/// Runs the command under the lock, and gives its exit code.
pub(super) async fn run(global: &Global, arguments: LockRun) -> Result<u8, Problem> {
    let world = world(global).await?;
    let (operation, requester) = (new_id(), identity::requester());
    let facts = world.look(&Scope { control_plane: true, ..Scope::default() }).await?;
    let (reason, task_id) = (&arguments.reason, arguments.task_id.as_deref());
    let request = operation::lock_request((&operation, &requester), reason, task_id, &facts);
    let lock = acquire(&world, &request, arguments.wait).await?;
    let ran = under(&world, &lock, &requester, &operation, &arguments.argv).await;
    if let Err(error) = lock.release().await {
        let why = usher_common::chain(&error);
        output::warning(&format!("the lock was not given back and expires by itself: {why}"));
    }
    ran
}

async fn under(world: &World, lock: &Lock, requester: &str, operation: &str, argv: &[String]) -> Result<u8, Problem> {
    let machines = world.control_plane().iter().cloned().collect();
    let warn = |warning: String| output::warning(&warning);
    operation::fence(world, machines, (lock, requester), warn).await?;
    let variables = [("USHER_OPERATION", operation.to_owned()), ("USHER_EPOCH", lock.epoch().to_string())];
    let ended = tokio::select! {
        biased;
        ended = exec::attached(argv, &variables) => ended,
        never = warn_when_lost(lock) => match never {},
    };
    ended.map_err(|why| Problem::failed(format!("{} {why}", argv.first().map_or("the command", String::as_str))))
}

/// The command goes on all the same: ending it in the middle may do more harm than another operation beside it.
async fn warn_when_lost(lock: &Lock) -> Infallible {
    lock.lost().await;
    output::warning("the cluster's lock was lost, and another operation may begin; the command goes on");
    pending().await
}

async fn acquire(world: &World, request: &LockRequest, wait: Duration) -> Result<Lock, Problem> {
    let deadline = Instant::now() + wait;
    let mut told = false;
    loop {
        match world.cluster.acquire_lock(request).await {
            Err(LockError::Held(holder)) if Instant::now() + AGAIN_AFTER <= deadline => {
                if !told {
                    output::progress(&format!("waiting for the lock, which is held by {holder}"));
                    told = true;
                }
                sleep(AGAIN_AFTER).await;
            }
            acquired => return Ok(acquired?),
        }
    }
}
