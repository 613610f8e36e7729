//! Calls that change something: at most once, whatever happens to the answer.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::{Request, Response, Status};
use usher_proto::{
    reason,
    v1::{
        CancelOperationRequest, FenceRequest, GetOperationRequest, MoveEtcdLeaderRequest, Operation as WireOperation,
        RebootNodeRequest, RestartUnitRequest, StartUnitRequest, StopUnitRequest,
        node_control_client::NodeControlClient, node_info_client::NodeInfoClient,
    },
};

use super::{
    Agent, AgentError, Id, Order, Task, Word,
    agent::CALL,
    answer::{Lost, NoResult},
    convert::{IntoPlain as _, on_the_wire},
    error::Cause,
    line::Line,
};

/// How long a connection is tried before the first attempt, when giving up means that nothing has happened.
const CONNECT: Duration = Duration::from_secs(5);

/// How long to keep asking for a lost answer. Longer than an agent's restart and a machine's hiccup; a machine that reboots
/// takes longer, but for that there is [`Agent::follow`].
const SETTLE: Duration = Duration::from_secs(30);

/// One try of a connection while an answer is being asked for.
const SETTLE_CONNECT: Duration = Duration::from_secs(2);

/// Between two such tries.
const SETTLE_PAUSE: Duration = Duration::from_millis(500);

/// tonic heeds the timeout that it sends, too. Ours ends first, and its error says what happened.
const OWN_TIMEOUT_FIRST: Duration = Duration::from_millis(500);

/// The agent's changing calls.
type Control = NodeControlClient<Line>;

/// What each of them is answered with: the operation, which proto3 lets be missing.
type Answer = Result<Response<Option<WireOperation>>, Status>;

impl Agent {
    /// Restarts a unit that is believed to run as `expected_invocation_id`. The operation is started, not awaited.
    ///
    /// # Errors
    ///
    /// [`AgentError::Refused`], [`AgentError::NotTrusted`] or [`AgentError::Unreachable`] if nothing was done;
    /// [`AgentError::AnswerLost`] if that cannot be told; [`AgentError::NotSent`] if it must not be sent any more.
    pub async fn restart_unit(
        &self,
        order: &Order,
        unit: &str,
        expected_invocation_id: &str,
    ) -> Result<Task, AgentError> {
        let request = RestartUnitRequest {
            order: Some(on_the_wire(order, &self.inner.node)),
            unit: unit.to_owned(),
            expected_invocation_id: expected_invocation_id.to_owned(),
        };
        let send = async |mut agent: Control| {
            Ok(agent.restart_unit(timed(request.clone())).await?.map(|answer| answer.operation))
        };
        self.change(&order.operation_id, send).await
    }

    /// Stops a unit that is believed to run as `expected_invocation_id`. The operation is started, not awaited. With
    /// `start_again_after`, from 1 s to 24 h, the agent starts the unit again by itself that long after the stop, unless it was
    /// started before: for a usher that dies in between.
    ///
    /// # Errors
    ///
    /// As [`Self::restart_unit`].
    pub async fn stop_unit(
        &self,
        order: &Order,
        unit: &str,
        expected_invocation_id: &str,
        start_again_after: Option<Duration>,
    ) -> Result<Task, AgentError> {
        let request = StopUnitRequest {
            order: Some(on_the_wire(order, &self.inner.node)),
            unit: unit.to_owned(),
            expected_invocation_id: expected_invocation_id.to_owned(),
            // What does not fit is out of the agent's range, which it says.
            start_again_after: start_again_after.map(|after| after.try_into().unwrap_or_default()),
        };
        let send = async |mut agent: Control| {
            Ok(agent.stop_unit(timed(request.clone())).await?.map(|answer| answer.operation))
        };
        self.change(&order.operation_id, send).await
    }

    /// Starts a unit; an active one is left alone. The operation is started, not awaited.
    ///
    /// # Errors
    ///
    /// As [`Self::restart_unit`].
    pub async fn start_unit(&self, order: &Order, unit: &str) -> Result<Task, AgentError> {
        let request = StartUnitRequest { order: Some(on_the_wire(order, &self.inner.node)), unit: unit.to_owned() };
        let send = async |mut agent: Control| {
            Ok(agent.start_unit(timed(request.clone())).await?.map(|answer| answer.operation))
        };
        self.change(&order.operation_id, send).await
    }

    /// Reboots the machine that is believed to run the boot `expected_boot_id`. `override_blockers` are the inhibitors and
    /// users that are not respected. The agent answers before it reboots.
    ///
    /// # Errors
    ///
    /// As [`Self::restart_unit`]. After [`AgentError::AnswerLost`] the machine may be rebooting: follow the operation.
    pub async fn reboot(
        &self,
        order: &Order,
        expected_boot_id: &str,
        override_blockers: &[String],
    ) -> Result<Task, AgentError> {
        let request = RebootNodeRequest {
            order: Some(on_the_wire(order, &self.inner.node)),
            expected_boot_id: expected_boot_id.to_owned(),
            override_blockers: override_blockers.to_vec(),
        };
        let send = async |mut agent: Control| {
            Ok(agent.reboot_node(timed(request.clone())).await?.map(|answer| answer.operation))
        };
        self.change(&order.operation_id, send).await
    }

    /// Ends an operation that only waits, and returns it as it is then. What it had asked for is not taken back. Asking twice does
    /// no harm, so a lost answer is the caller's to ask for again.
    ///
    /// # Errors
    ///
    /// Refused with `NOT_WAITING` if the operation does more than wait; else as [`Self::status`].
    pub async fn cancel(&self, order: &Order, operation_id: &str) -> Result<Task, AgentError> {
        let request = CancelOperationRequest {
            order: Some(on_the_wire(order, &self.inner.node)),
            operation_id: operation_id.to_owned(),
        };
        let started = Instant::now();
        let channel = self.line_for_a_change().await?;
        let answer = self.inner.call(Control::new(channel).cancel_operation(timed(request))).await;
        let answer = answer.map_err(|error| self.inner.failed(error, started.elapsed()))?;
        let ended = answer.operation.map(|operation| operation.into_plain());
        ended.ok_or_else(|| self.inner.lost(Lost::Empty, started.elapsed()))
    }

    /// Hands the leadership of etcd from the machine's member `from` to the member `to`, and returns what the machine's member says
    /// once that one leads. Asking twice does no harm: a member that leads no more is refused.
    ///
    /// # Errors
    ///
    /// Refused with `NOT_ETCD_LEADER` if the machine's member is not `from` or does not lead; else as [`Self::status`].
    pub async fn move_etcd_leader(&self, order: &Order, from: Id, to: Id) -> Result<Word, AgentError> {
        let request = MoveEtcdLeaderRequest {
            order: Some(on_the_wire(order, &self.inner.node)),
            expected_leader_id: from.0,
            to_member_id: to.0,
        };
        let started = Instant::now();
        let channel = self.line_for_a_change().await?;
        let answer = self.inner.call(Control::new(channel).move_etcd_leader(timed(request))).await;
        let answer = answer.map_err(|error| self.inner.failed(error, started.elapsed()))?;
        let member = answer.member.map(|member| member.into_plain());
        member.ok_or_else(|| self.inner.lost(Lost::Empty, started.elapsed()))
    }

    /// Lets the agent store an epoch, so that it refuses lower ones from then on, and returns the highest that is on its disk.
    /// `limit` is for all of it.
    ///
    /// # Errors
    ///
    /// Refused with `STALE_EPOCH` if the agent has seen a higher one; else as [`Self::status`].
    pub async fn fence(&self, epoch: u64, requester: &str, limit: Duration) -> Result<u64, AgentError> {
        let request = FenceRequest { epoch, requester: requester.to_owned() };
        let send = |channel| async move { Control::new(channel).fence(request).await };
        Ok(self.inner.ask_within(limit, send).await?.highest_epoch)
    }
}

/// A request that tells the agent how long usher waits for the answer: what the agent has not begun by then, it never begins.
fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL + OWN_TIMEOUT_FIRST);
    request
}

impl Agent {
    /// A connection over which a change may be sent at once.
    async fn line_for_a_change(&self) -> Result<Line, AgentError> {
        let (channel, _) = self.inner.channel(CONNECT).await?;
        self.check_that_it_may_change()?;
        Ok(channel)
    }

    fn check_that_it_may_change(&self) -> Result<(), AgentError> {
        match self.may_change.now() {
            true => Ok(()),
            false => Err(AgentError::NotSent { node: self.inner.node.clone() }),
        }
    }

    /// Sends a change. If its answer is lost, asks the agent for the operation by its id; only if it does not know it
    /// is the change sent again, under the same id, which the agent would answer with the first one's state.
    async fn change(&self, id: &str, send: impl AsyncFn(Control) -> Answer) -> Result<Task, AgentError> {
        let inner = &self.inner;
        let channel = self.line_for_a_change().await?;
        let started = Instant::now();
        let mut lost: Cause = match inner.call(send(Control::new(channel))).await {
            Ok(Some(operation)) => return Ok(operation.into_plain()),
            Ok(None) => Box::new(Lost::Empty),
            Err(NoResult::Lost(lost)) => Box::new(lost),
            Err(refused) => return Err(inner.failed(refused, started.elapsed())),
        };

        let lost_at = Instant::now();
        while lost_at.elapsed() < SETTLE {
            match self.settle(id, &send).await {
                Ok(operation) => return Ok(operation),
                Err(AgentError::Unreachable { source, .. } | AgentError::NotTrusted { source, .. }) => lost = source,
                Err(error @ AgentError::NotSent { .. }) => lost = Box::new(error),
                Err(error) if error.is_passing_refusal() => lost = Box::new(error),
                Err(error) if error.tells_nothing_of_a_call() => {
                    // The next try must not meet the same one if that is another machine's.
                    inner.forget_channel().await;
                    lost = Box::new(error);
                }
                Err(error) => return Err(error),
            }
            sleep(SETTLE_PAUSE).await;
        }
        Err(AgentError::AnswerLost { node: inner.node.clone(), operation_id: id.to_owned(), source: lost })
    }

    async fn settle(&self, id: &str, send: &impl AsyncFn(Control) -> Answer) -> Result<Task, AgentError> {
        let inner = &self.inner;
        let (channel, _) = inner.channel(SETTLE_CONNECT).await?;
        let started = Instant::now();
        let request = GetOperationRequest { operation_id: id.to_owned() };
        let known = inner.call(NodeInfoClient::new(channel.clone()).get_operation(request)).await;
        let answer = match known {
            Ok(answer) => Ok(answer.operation),
            Err(NoResult::Refused { reason, .. }) if reason == reason::NO_SUCH_OPERATION => {
                self.check_that_it_may_change()?;
                inner.call(send(Control::new(channel))).await
            }
            Err(error) => Err(error),
        };
        match answer {
            Ok(Some(operation)) => Ok(operation.into_plain()),
            Ok(None) => Err(inner.lost(Lost::Empty, started.elapsed())),
            Err(error) => Err(inner.failed(error, started.elapsed())),
        }
    }
}
