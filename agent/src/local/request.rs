//! `usher-agent request-restart` and `withdraw-restart`.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use usher_proto::{reason, v1};

use super::{Client, Exit, Failure, Told, unit_name};
use crate::arguments::RequestRestart;

/// Between two attempts to reach an agent that has gone, as for its own restart.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks for the restart, and waits for it if that is wanted. `progress` is told what it waits for.
pub(super) async fn ask(
    mut client: Client,
    arguments: &RequestRestart,
    requester: &str,
    progress: impl Fn(&str),
) -> Result<Told, Failure> {
    let unit = unit_name(&arguments.unit);
    let request = v1::RequestRestartRequest {
        unit: unit.clone(),
        reason: arguments.reason.clone(),
        requester: requester.to_owned(),
        if_sole: arguments.if_sole,
    };
    let wanted = match client.local.request_restart(request).await.map_err(Failure::from) {
        Ok(answer) => answer.into_inner().wanted.unwrap_or_default(),
        // What has changed is read when it starts: there is nothing to be done, and nothing wrong.
        Err(Failure::Refused { reason, message }) if reason == reason::UNIT_NOT_RUNNING => {
            return Ok(Told::done(message));
        }
        Err(failure) => return Err(failure),
    };
    let noted = match (wanted.at_once, arguments.if_sole) {
        (true, _) => format!("{unit}: the agent restarts it, as soon as nothing else is under way on this node"),
        (false, true) => format!(
            "{unit}: its restart is wanted now, and comes with `usher restart --wanted`: sole_control_plane is not set in the \
             agent's configuration"
        ),
        (false, false) => format!("{unit}: its restart is wanted now, and comes with `usher restart --wanted`"),
    };
    if !arguments.wait {
        return Ok(Told::done(noted));
    }
    progress(&noted);
    let deadline = Instant::now().checked_add(arguments.timeout);
    let waiting = settled(&mut client, &unit, &wanted.invocation_id);
    let answer = match deadline {
        Some(deadline) => timeout_at(deadline, waiting).await,
        None => Ok(waiting.await),
    };
    match answer {
        Ok(answer) => Ok(ended(&unit, &wanted.invocation_id, answer?)),
        Err(_) => Ok(Told {
            exit: Exit::TimedOut,
            text: format!(
                "{unit} was not restarted within {}. Its restart stays wanted; to take that back: usher-agent withdraw-restart {unit}",
                humantime::format_duration(arguments.timeout)
            ),
        }),
    }
}

/// Waits until the request is settled. An agent that is away for a moment is asked again: the request is on its disk.
async fn settled(client: &mut Client, unit: &str, invocation_id: &str) -> Result<v1::AwaitRestartResponse, Failure> {
    loop {
        let request = v1::AwaitRestartRequest { unit: unit.to_owned(), invocation_id: invocation_id.to_owned() };
        match client.local.await_restart(request).await.map_err(Failure::from) {
            Ok(answer) => {
                let answer = answer.into_inner();
                if answer.settled {
                    return Ok(answer);
                }
            }
            Err(failure @ Failure::Lost(_)) => {
                tracing::debug!(%failure, "asking again");
                sleep(PAUSE).await;
            }
            Err(failure) if failure.is(reason::SYSTEMD_UNAVAILABLE) || failure.is(reason::STATE_UNAVAILABLE) => {
                sleep(PAUSE).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn ended(unit: &str, before: &str, answer: v1::AwaitRestartResponse) -> Told {
    let now = answer.unit.unwrap_or_default();
    let state = format!("{} ({})", now.active_state, now.sub_state);
    let failed = |text: String| Told { exit: Exit::Failed, text };
    if now.invocation_id == before {
        let text =
            format!("{unit} was not restarted: somebody has taken the request back, and it is {state} as before");
        return Told { exit: Exit::Refused, text };
    }
    if let Some(failure) = answer.operation.and_then(|operation| operation.failure) {
        let mut lines = vec![format!("{unit} was restarted and is not well: {}", failure.message)];
        lines.extend(failure.journal.iter().map(|line| format!("  {line}")));
        return failed(lines.join("\n"));
    }
    if !usher_common::unit::is_active(&now.active_state) {
        return failed(format!("{unit} was restarted, and is {state} now; see why: systemctl status {unit}"));
    }
    Told::done(format!("{unit} was restarted: {state} under InvocationID {}", now.invocation_id))
}

/// Takes back all requests for a unit.
pub(super) async fn withdraw(client: &mut Client, unit: &str, reason: &str, requester: &str) -> Result<Told, Failure> {
    let unit = unit_name(unit);
    let (reason, requester) = (reason.to_owned(), requester.to_owned());
    let request = v1::WithdrawRestartRequest { unit: unit.clone(), requester, reason };
    let withdrawn = client.local.withdraw_restart(request).await?.into_inner().withdrawn;
    let text = if withdrawn { "is not wanted any more" } else { "was not wanted" };
    Ok(Told::done(format!("the restart of {unit} {text}")))
}
