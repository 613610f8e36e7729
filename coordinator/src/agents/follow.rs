//! Waiting for an operation to end and for a machine to come back, over however many connections it takes.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use usher_proto::v1::{GetNodeRequest, WatchOperationRequest, node_info_client::NodeInfoClient};

use super::{
    Agent, AgentError, AgentStatus, Task, TaskStep,
    agent::Inner,
    answer::{Lost, NoResult},
    connect::ConnectError,
    convert::IntoPlain,
    error::Cause,
};

/// The first try of a connection to a machine that may be down. A machine that comes up answers the try after that in which it
/// did, so this and the pause are what waiting may add to its own boot.
const CONNECT: Duration = Duration::from_secs(1);

/// The longest try. Tries that time out one after another grow up to this: where TCP, TLS and the agent's first words together take
/// longer than a second, as through a VPN around the world, the machine would otherwise never be seen.
const CONNECT_AT_MOST: Duration = Duration::from_secs(5);

/// Between two tries of a machine that does not answer.
const ABSENT_PAUSE: Duration = Duration::from_millis(200);

/// Between two looks at a machine that still runs its old boot.
const PRESENT_PAUSE: Duration = Duration::from_millis(500);

/// How long a machine that was seen before may show a certificate that is not believed.
const DISTRUST: Duration = Duration::from_secs(60);

/// The same after a boot: the machine's clock may be wrong until it has asked the time, for which it first needs a network,
/// and a certificate then seems expired or not valid yet.
const DISTRUST_AFTER_BOOT: Duration = Duration::from_secs(300);

impl Agent {
    /// Follows an operation until it has ended, and tells each of its steps once, in order.
    ///
    /// Waits out a lost connection, an agent that is restarted and a machine that reboots, and attaches again. An
    /// operation that ended badly is a result, not an error: see [`Task::state`].
    ///
    /// # Errors
    ///
    /// [`AgentError::TimedOut`] after `timeout`; [`AgentError::Refused`] if the agent does not know the operation or us;
    /// [`AgentError::NotTrusted`] if that lasts.
    pub async fn follow(
        &self,
        id: &str,
        timeout: Duration,
        mut on_step: impl FnMut(&TaskStep) + Send,
    ) -> Result<Task, AgentError> {
        let deadline = Instant::now() + timeout;
        let mut told = 0;
        let mut absence = Absence { distrusted_for: DISTRUST, ..Absence::of_a_boot() };
        loop {
            let error =
                match timeout_at(deadline, self.inner.follow_once(id, absence.limit, &mut told, &mut on_step)).await {
                    Ok(Ok(operation)) => return Ok(operation),
                    Ok(Err(error)) => error,
                    Err(_) => return Err(absence.timed_out(self, format!("operation {id} has not ended"), timeout)),
                };
            absence.note(error)?;
            if Instant::now() + ABSENT_PAUSE >= deadline {
                return Err(absence.timed_out(self, format!("operation {id} has not ended"), timeout));
            }
            sleep(ABSENT_PAUSE).await;
        }
    }

    /// Waits until the machine answers with another boot id than `old_boot_id`.
    ///
    /// # Errors
    ///
    /// As [`Self::follow`].
    pub async fn await_boot(&self, old_boot_id: &str, timeout: Duration) -> Result<AgentStatus, AgentError> {
        let deadline = Instant::now() + timeout;
        let mut absence = Absence::of_a_boot();
        let mut same_boot = false;
        loop {
            let pause = match timeout_at(deadline, self.inner.look(absence.limit)).await {
                // An agent that cannot read the boot id sends none.
                Ok(Ok(status)) if !status.boot_id.is_empty() && status.boot_id != old_boot_id => return Ok(status),
                Ok(Ok(_)) => {
                    same_boot = true;
                    absence = Absence::of_a_boot();
                    PRESENT_PAUSE
                }
                Ok(Err(error)) => {
                    same_boot = false;
                    absence.note(error)?;
                    ABSENT_PAUSE
                }
                Err(_) => deadline.saturating_duration_since(Instant::now()),
            };
            if Instant::now() + pause >= deadline {
                let what = if same_boot { "still runs the boot that it was to leave" } else { "has not answered" };
                return Err(absence.timed_out(self, what.to_owned(), timeout));
            }
            sleep(pause).await;
        }
    }
}

impl Inner {
    /// Attaches, and stays until the operation has ended or the connection is lost.
    async fn follow_once(
        &self,
        id: &str,
        limit: Duration,
        told: &mut usize,
        on_step: &mut (impl FnMut(&TaskStep) + Send),
    ) -> Result<Task, AgentError> {
        let started = Instant::now();
        let (channel, _) = self.channel(limit).await?;
        let request = WatchOperationRequest { operation_id: id.to_owned() };
        let mut client = NodeInfoClient::new(channel);
        let lost = match self.call(client.watch_operation(request)).await {
            Err(error) => return Err(self.failed(error, started.elapsed())),
            Ok(mut stream) => loop {
                match stream.message().await.map_err(NoResult::from) {
                    Ok(Some(message)) => {
                        let Some(operation) = message.operation.map(IntoPlain::into_plain) else { break Lost::Empty };
                        for step in operation.steps.iter().skip(*told) {
                            on_step(step);
                        }
                        *told = operation.steps.len().max(*told);
                        if operation.has_ended() {
                            return Ok(operation);
                        }
                    }
                    Ok(None) => break Lost::StreamEnded,
                    Err(NoResult::Lost(lost)) => break lost,
                    Err(refused) => {
                        // An agent that stops says so, and its connection ends with it.
                        self.forget_channel().await;
                        return Err(self.failed(refused, started.elapsed()));
                    }
                }
            },
        };
        self.forget_channel().await;
        Err(self.lost(lost, Duration::ZERO))
    }

    async fn look(&self, limit: Duration) -> Result<AgentStatus, AgentError> {
        let started = Instant::now();
        let (channel, _) = self.channel(limit).await?;
        let answer = self.call(NodeInfoClient::new(channel).get_node(GetNodeRequest {})).await;
        let answer = answer.map_err(|error| self.failed(error, started.elapsed()))?;
        self.of_this_machine(self.plain(answer.node)?).await
    }
}

/// Why the machine could not be asked, since it last could.
#[derive(Debug)]
struct Absence {
    last: Option<Cause>,
    distrusted_since: Option<Instant>,
    /// How long its certificate may not be believed.
    distrusted_for: Duration,
    /// How long the next try of a connection may take.
    limit: Duration,
}

impl Absence {
    fn of_a_boot() -> Self {
        Self { last: None, distrusted_since: None, distrusted_for: DISTRUST_AFTER_BOOT, limit: CONNECT }
    }

    /// Takes an error that may pass, and gives back one that will not.
    fn note(&mut self, error: AgentError) -> Result<(), AgentError> {
        self.limit = if is_late(&error) { (self.limit * 2).min(CONNECT_AT_MOST) } else { CONNECT };
        match error {
            AgentError::Unreachable { source, .. } => {
                self.distrusted_since = None;
                self.last = Some(source);
            }
            AgentError::NotTrusted { .. } => {
                if self.distrusted_since.get_or_insert_with(Instant::now).elapsed() > self.distrusted_for {
                    return Err(error);
                }
                self.last = Some(Box::new(error));
            }
            // Machines that come back by DHCP may swap their addresses; the name is right again before long.
            error @ AgentError::AnotherMachine { .. } => self.last = Some(Box::new(error)),
            error if error.is_passing_refusal() => self.last = Some(Box::new(error)),
            error => return Err(error),
        }
        Ok(())
    }

    fn timed_out(self, agent: &Agent, what: String, waited: Duration) -> AgentError {
        AgentError::TimedOut { node: agent.node().to_owned(), what, waited, source: self.last }
    }
}

/// Whether there was no connection because it took too long, which a longer try may mend.
fn is_late(error: &AgentError) -> bool {
    let AgentError::Unreachable { source, .. } = error else { return false };
    matches!(source.downcast_ref(), Some(ConnectError::TimedOut(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::error::Side;

    fn distrusted() -> AgentError {
        let (node, address) = ("w1".to_owned(), "w1:7470".to_owned());
        AgentError::NotTrusted {
            node,
            address,
            by: Side::Usher,
            advice: None,
            source: "certificate not valid yet".into(),
        }
    }

    #[test]
    fn tries_that_time_out_in_a_row_grow_and_an_answer_of_any_kind_makes_them_short_again() {
        let unreachable = |source: Cause| {
            let (node, address, waited) = ("w1".to_owned(), "w1:7470".to_owned(), CONNECT);
            AgentError::Unreachable { node, address, waited, source }
        };
        let late = || unreachable(Box::new(ConnectError::TimedOut(CONNECT)));
        let refused = || unreachable(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)));
        let mut absence = Absence::of_a_boot();
        let mut limits = Vec::new();
        for error in [late(), late(), late(), late(), refused(), late(), distrusted(), late()] {
            absence.note(error).unwrap();
            limits.push(absence.limit.as_secs());
        }
        assert_eq!(limits, [2, 4, 5, 5, 1, 2, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_wrong_for_minutes_after_a_boot_is_waited_for_and_its_last_words_are_kept() {
        let mut absence = Absence::of_a_boot();
        for _ in 0..5 {
            absence.note(distrusted()).unwrap();
            sleep(Duration::from_secs(60)).await;
        }
        assert!(
            absence
                .last
                .as_ref()
                .is_some_and(|last| last.to_string().contains("cannot prove that it is this machine's"))
        );
        sleep(Duration::from_secs(1)).await;
        assert!(absence.note(distrusted()).is_err(), "for good");

        let mut absence = Absence { distrusted_for: DISTRUST, ..Absence::of_a_boot() };
        absence.note(distrusted()).unwrap();
        sleep(DISTRUST + Duration::from_secs(1)).await;
        assert!(absence.note(distrusted()).is_err(), "without a boot");
    }
}
