//! What a single agent is told to do, from the call to its proof: restart, stop or start a unit, reboot the machine. Written
//! once for the steps of an operation and for `usher agent`.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use usher_common::chain;
use usher_proto::reason;

use crate::{
    agents::{Agent, AgentError, AgentStatus, Order, Task, TaskState},
    problem::{Kind, Problem},
    text,
};

/// How long an agent must say that it knows nothing of a reboot, while the old boot runs on, before that is believed: the call
/// may have been on its way when the connection was lost.
const BELIEVED_AFTER: Duration = Duration::from_secs(5);

/// Between two questions to an agent that does not follow its task.
const PAUSE: Duration = Duration::from_secs(1);

/// Restarts a unit and follows the task to its end. A unit that did not run in this boot has no identity to expect, and is
/// started.
pub(crate) async fn restart_unit(
    agent: &Agent,
    order: &Order,
    unit: &str,
    expected: Option<&str>,
    within: Duration,
    say: impl FnMut(&str) + Send,
) -> Result<Task, NotDone> {
    let begun = match expected {
        Some(invocation_id) => agent.restart_unit(order, unit, invocation_id).await,
        None => agent.start_unit(order, unit).await,
    };
    follow(agent, begun, within, say).await
}

/// Starts a unit and follows the task to its end.
pub(crate) async fn start_unit(
    agent: &Agent,
    order: &Order,
    unit: &str,
    within: Duration,
    say: impl FnMut(&str) + Send,
) -> Result<Task, NotDone> {
    follow(agent, agent.start_unit(order, unit).await, within, say).await
}

/// Stops a unit that runs as `expected`, and follows the task to its end. `start_again_after` is how long after it the agent starts
/// the unit again if nobody else has.
pub(crate) async fn stop_unit(
    agent: &Agent,
    order: &Order,
    unit: &str,
    (expected, start_again_after): (&str, Duration),
    within: Duration,
    say: impl FnMut(&str) + Send,
) -> Result<Task, NotDone> {
    follow(agent, agent.stop_unit(order, unit, expected, Some(start_again_after)).await, within, say).await
}

/// Follows a task through lost connections, also one whose first answer was lost.
async fn follow(
    agent: &Agent,
    begun: Result<Task, AgentError>,
    within: Duration,
    mut say: impl FnMut(&str) + Send,
) -> Result<Task, NotDone> {
    let id = match begun {
        Ok(operation) => operation.id,
        Err(AgentError::AnswerLost { operation_id, .. }) => operation_id,
        Err(error) if error.reason() == Some(reason::SHUTTING_DOWN) => {
            let machine = agent.node();
            let problem = Problem::from(error).hint(format!(
                "nothing of its turn was taken back, since it goes down; if it is cordoned when it is back: usher uncordon \
                 {machine} -r REASON"
            ));
            return Err(NotDone { problem, goes_down: true });
        }
        Err(error) => return Err(Problem::from(error).into()),
    };
    let ended = agent.follow(&id, within, |step| say(&step.message)).await.map_err(Problem::from)?;
    let Some(failure) = &ended.failure else { return Ok(ended) };
    let mut problem = Problem::failed(failure.message.clone());
    if !failure.journal.is_empty() {
        let unit = ended.unit.as_deref().unwrap_or_default();
        problem.details.push(format!("{} {unit}, last lines of its journal:", agent.node()));
        problem.details.extend(failure.journal.iter().map(|line| format!("  {line}")));
    }
    Err(problem.into())
}

/// Why a unit was not changed.
pub(crate) struct NotDone {
    problem: Problem,
    /// Somebody else shuts the machine down.
    pub(crate) goes_down: bool,
}

impl From<Problem> for NotDone {
    fn from(problem: Problem) -> Self {
        Self { problem, goes_down: false }
    }
}

impl From<NotDone> for Problem {
    fn from(not_done: NotDone) -> Self {
        not_done.problem
    }
}

/// Why a machine was not seen to reboot.
pub(crate) enum NoReboot {
    /// It was not rebooted, and will not be by this call.
    NotRebooted(Problem),
    /// It was told to, or may have been, and did not come back in time.
    InDoubt(Problem),
}

/// Reboots the machine that runs the boot `before`, and waits until it answers with another one.
pub(crate) async fn reboot(
    agent: &Agent,
    order: &Order,
    before: &str,
    override_blockers: &[String],
    within: Duration,
) -> Result<AgentStatus, NoReboot> {
    let begun = Instant::now();
    // After a lost answer the machine may go down nevertheless.
    let lost = match agent.reboot(order, before, override_blockers).await {
        Ok(_) => None,
        // The machine goes down, by somebody else's doing: neither is it to be used again before it is back, nor will the
        // agent know of a task.
        Err(error) if error.reason() == Some(reason::SHUTTING_DOWN) => {
            return agent.await_boot(before, within).await.map_err(|waited| goes_down_already(agent, &error, &waited));
        }
        Err(error @ AgentError::AnswerLost { .. }) => Some(chain(&error)),
        // Refused, or never sent: nobody answered, or the other side was not believed.
        Err(error) => return Err(NoReboot::NotRebooted(error.into())),
    };
    // The task is the first to know that nothing will come of it; the new boot is the proof that something did.
    let status = tokio::select! {
        biased;
        status = agent.await_boot(before, within) => status,
        problem = not_rebooted(agent, &order.operation_id, before, within) => return Err(NoReboot::NotRebooted(problem)),
    };
    status.map_err(|error| {
        let name = agent.node();
        let took = text::took(begun.elapsed());
        let message = format!("{name} was told to reboot {took} ago and has not answered with a new boot since");
        let lost = lost.map(|lost| format!("the answer to the reboot call was lost: {lost}"));
        NoReboot::InDoubt(
            Problem::new(Kind::Unknown, message)
                .details(lost)
                .detail(chain(&error))
                .hint(format!("look at the console of {name}")),
        )
    })
}

fn goes_down_already(agent: &Agent, refusal: &AgentError, waited: &AgentError) -> NoReboot {
    let name = agent.node();
    let message = format!("{name} is going down by somebody else's doing, and has not answered with a new boot since");
    let problem = Problem::new(Kind::Unknown, message).detail(chain(refusal)).detail(chain(waited));
    NoReboot::InDoubt(problem.hint(format!("look at the console of {name}: it may have been powered off")))
}

/// Ends when the agent's own word is that the machine does not reboot; never if it does.
async fn not_rebooted(agent: &Agent, task: &str, before: &str, within: Duration) -> Problem {
    let name = agent.node();
    let mut unknown_since: Option<Instant> = None;
    loop {
        match agent.follow(task, within, |_| {}).await {
            Ok(ended) if ended.state == TaskState::Failed => {
                let message = ended.failure.map(|failure| failure.message).unwrap_or_default();
                return Problem::failed(format!("{name} was not rebooted: {message}"));
            }
            Ok(_) => std::future::pending().await,
            Err(AgentError::Refused { reason, .. }) if reason == reason::NO_SUCH_OPERATION => {
                let same_boot = agent.own_status().await.is_ok_and(|status| status.boot_id == before);
                let since = *unknown_since.get_or_insert_with(Instant::now);
                if same_boot && since.elapsed() >= BELIEVED_AFTER {
                    return Problem::failed(format!("{name} was not rebooted: the call never reached its agent"));
                }
            }
            Err(_) => unknown_since = None,
        }
        sleep(PAUSE).await;
    }
}
