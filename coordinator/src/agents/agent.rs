//! The agent of one machine, and what can be read from it.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use rustls_pki_types::ServerName;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep, timeout},
};
use tonic::{Response, Status};
use usher_proto::v1::{
    GetEtcdMemberRequest, GetNodeRequest, GetOperationRequest, ListAuditRecordsRequest, ListOperationsRequest,
    ProbeUnitRequest, node_info_client::NodeInfoClient,
};

use super::{
    AgentError, AgentStatus, AuditRecord, Task, Word,
    answer::{Lost, NoResult},
    connect::{self, ConnectError, Ours},
    convert::IntoPlain,
    dial::Dial,
    error::Cause,
    line::{InTrace, Line},
    trust::Trust,
};

/// Agents answer every call but a watch at once: they store, start, and answer.
pub(super) const CALL: Duration = Duration::from_secs(10);

/// How long a connection is tried. An agent that is being restarted is back within a fraction of it.
const CONNECT: Duration = Duration::from_secs(5);

/// Between two tries of a connection that was refused.
const CONNECT_PAUSE: Duration = Duration::from_millis(250);

/// The agent of one machine. Cheap to clone; clones share one connection.
#[derive(Debug, Clone)]
pub struct Agent {
    pub(super) inner: Arc<Inner>,
    pub(super) may_change: MayChange,
}

/// Whether a change may be sent at this moment.
#[derive(Clone)]
pub(super) struct MayChange(Arc<dyn Fn() -> bool + Send + Sync>);

impl MayChange {
    pub(super) fn now(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for MayChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MayChange({})", self.now())
    }
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) node: String,
    /// The address for people, of several the first.
    pub(super) address: String,
    /// All of them.
    addresses: Vec<String>,
    server_name: ServerName<'static>,
    dial: Dial,
    /// None where connections are made without TLS.
    pub(super) trust: Option<Arc<Trust>>,
    /// The connection in use. Taken out as soon as a call on it was lost.
    channel: Mutex<Option<Line>>,
    trace: InTrace,
}

impl Agent {
    pub(super) fn new(
        node: String,
        addresses: Vec<String>,
        server_name: ServerName<'static>,
        (dial, trust): (Dial, Option<Arc<Trust>>),
        trace: InTrace,
    ) -> Self {
        let address = addresses.first().cloned().unwrap_or_default();
        let channel = Mutex::new(None);
        let inner = Inner { node, address, addresses, server_name, dial, trust, channel, trace };
        Self { inner: Arc::new(inner), may_change: MayChange(Arc::new(|| true)) }
    }

    /// The same, which sends a change only while this holds. It is asked each time when there is a connection and the next thing is to
    /// send: a process that was stopped meanwhile must not go on with what it knew before.
    #[must_use]
    pub fn only_while(self, holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { may_change: MayChange(Arc::new(holds)), ..self }
    }

    pub fn node(&self) -> &str {
        &self.inner.node
    }

    /// `HOST:PORT` at which the agent is asked; the first of several.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// What the machine and its units are like now.
    ///
    /// # Errors
    ///
    /// If the agent is not there, is not trusted or does not trust us, or refuses.
    pub async fn status(&self) -> Result<AgentStatus, AgentError> {
        let answer = self.read(|channel| async move { NodeInfoClient::new(channel).get_node(GetNodeRequest {}).await });
        self.inner.plain(answer.await?.node)
    }

    /// The same, from this machine and no other: an address may have become another one's.
    ///
    /// # Errors
    ///
    /// As [`Self::status`]; [`AgentError::AnotherMachine`].
    pub async fn own_status(&self) -> Result<AgentStatus, AgentError> {
        self.inner.of_this_machine(self.status().await?).await
    }

    /// What the machine and its units are like now, with no more patience than `limit` for all of it. A connection that is made for
    /// it ends with it: a command that only looks asks each of thousands of agents once.
    ///
    /// # Errors
    ///
    /// As [`Self::status`].
    pub async fn status_within(&self, limit: Duration) -> Result<AgentStatus, AgentError> {
        let started = Instant::now();
        let at_hand = self.inner.at_hand(limit).await?.clone();
        let channel = match at_hand {
            Some(channel) => channel,
            None => self.inner.connect(limit.saturating_sub(started.elapsed())).await?,
        };
        let ask = async move { NodeInfoClient::new(channel).get_node(GetNodeRequest {}).await };
        let answer = self.inner.answered_within(limit, started, ask).await?;
        self.inner.plain(answer.node)
    }

    /// Ends the connection. The next call makes another one.
    pub async fn hang_up(&self) {
        self.inner.forget_channel().await;
    }

    /// The machine's member of etcd now. `limit` is for all of it; None: as for every other read.
    ///
    /// # Errors
    ///
    /// As [`Self::status`]; refused with `NO_ETCD` if the agent's configuration names no member.
    pub async fn etcd_member(&self, limit: Option<Duration>) -> Result<Word, AgentError> {
        let ask = |channel| async move { NodeInfoClient::new(channel).get_etcd_member(GetEtcdMemberRequest {}).await };
        let answer = self.read_within(limit, ask).await?;
        self.inner.plain(answer.member)
    }

    /// What is wrong with a unit by one question of its probe; None if it is healthy. `limit` as for [`Self::etcd_member`].
    ///
    /// # Errors
    ///
    /// As [`Self::status`]; refused with `NO_PROBE` if the unit has none.
    pub async fn probe(&self, unit: &str, limit: Option<Duration>) -> Result<Option<String>, AgentError> {
        let request = ProbeUnitRequest { unit: unit.to_owned() };
        let ask = |channel| {
            let request = request.clone();
            async move { NodeInfoClient::new(channel).probe_unit(request).await }
        };
        let answer = self.read_within(limit, ask).await?;
        Ok((!answer.healthy).then_some(answer.problem))
    }

    /// One operation, running or past.
    ///
    /// # Errors
    ///
    /// As [`Self::status`]; refused with `NO_SUCH_OPERATION` if the agent does not know the id.
    pub async fn operation(&self, id: &str) -> Result<Task, AgentError> {
        let request = GetOperationRequest { operation_id: id.to_owned() };
        let answer = self.read(move |channel| {
            let request = request.clone();
            async move { NodeInfoClient::new(channel).get_operation(request).await }
        });
        self.inner.plain(answer.await?.operation)
    }

    /// The machine's operations, newest first, at most `limit` of them (0: as many as the agent thinks right).
    ///
    /// # Errors
    ///
    /// As [`Self::status`].
    pub async fn operations(&self, limit: u32) -> Result<Vec<Task>, AgentError> {
        let read = self.read(move |channel| async move {
            NodeInfoClient::new(channel).list_operations(ListOperationsRequest { limit }).await
        });
        Ok(read.await?.operations.into_iter().map(IntoPlain::into_plain).collect())
    }

    /// The machine's audit records, newest first, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// As [`Self::status`].
    pub async fn audit(&self, limit: u32) -> Result<Vec<AuditRecord>, AgentError> {
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut records, mut before) = (Vec::new(), 0);
        loop {
            let left = u32::try_from(wanted - records.len()).unwrap_or(u32::MAX);
            let request = ListAuditRecordsRequest { before, limit: left };
            let page = self
                .read(move |channel| async move { NodeInfoClient::new(channel).list_audit_records(request).await })
                .await?;
            records.extend(page.records.into_iter().map(IntoPlain::into_plain));
            // Numbers fall from page to page, so that this ends whatever an agent says.
            let falls = before == 0 || page.next_before < before;
            if page.next_before == 0 || records.len() >= wanted || !falls {
                records.truncate(wanted);
                return Ok(records);
            }
            before = page.next_before;
        }
    }

    /// [`Self::read`], or one try within `limit` if there is one.
    async fn read_within<T, F>(&self, limit: Option<Duration>, call: impl Fn(Line) -> F) -> Result<T, AgentError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        match limit {
            Some(limit) => self.inner.ask_within(limit, call).await,
            None => self.read(call).await,
        }
    }

    /// A call that changes nothing and may therefore be repeated: once, over a fresh connection, if the one that was at
    /// hand turns out to be dead.
    async fn read<T, F>(&self, call: impl Fn(Line) -> F) -> Result<T, AgentError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let started = Instant::now();
        loop {
            let (channel, reused) = self.inner.channel(CONNECT).await?;
            match self.inner.call(call(channel)).await {
                Err(NoResult::Lost(_)) if reused => {}
                Err(error) => return Err(self.inner.failed(error, started.elapsed())),
                Ok(answer) => return Ok(answer),
            }
        }
    }
}

impl Inner {
    /// The connection at hand, or a new one made within `limit`; and whether it was at hand.
    pub(super) async fn channel(&self, limit: Duration) -> Result<(Line, bool), AgentError> {
        let started = Instant::now();
        let mut at_hand = self.at_hand(limit).await?;
        if let Some(channel) = &*at_hand {
            return Ok((channel.clone(), true));
        }
        let channel = self.connect(limit.saturating_sub(started.elapsed())).await?;
        *at_hand = Some(channel.clone());
        Ok((channel, false))
    }

    /// The connection at hand, if there is one, after at most `limit`: another call may be making one.
    async fn at_hand(&self, limit: Duration) -> Result<MutexGuard<'_, Option<Line>>, AgentError> {
        let late = |_| self.unreachable(ConnectError::TimedOut(limit).into_cause(), limit);
        timeout(limit, self.channel.lock()).await.map_err(late)
    }

    async fn connect(&self, limit: Duration) -> Result<Line, AgentError> {
        let started = Instant::now();
        let (tls, subject) = self.trust.as_deref().map(Trust::current).map(|it| (it.tls, it.subject)).unzip();
        loop {
            let left = limit.saturating_sub(started.elapsed());
            match connect::open(&self.dial, &self.addresses, &self.server_name, tls.clone(), left).await {
                Ok(channel) => return Ok(self.trace.over(channel)),
                Err(ConnectError::NotTrusted { by, error }) => {
                    let server_name = self.server_name.to_str();
                    let subject = subject.as_deref().unwrap_or_default();
                    let ours = Ours { node: &self.node, server_name: &server_name, subject };
                    return Err(AgentError::NotTrusted {
                        node: self.node.clone(),
                        address: self.address.clone(),
                        by,
                        advice: connect::advice(&error, &ours),
                        source: Box::new(error),
                    });
                }
                Err(_) if started.elapsed() + CONNECT_PAUSE < limit => sleep(CONNECT_PAUSE).await,
                Err(error) => return Err(self.unreachable(error.into_cause(), started.elapsed())),
            }
        }
    }

    /// What an answer is about. One without it is as good as none.
    pub(super) fn plain<T: IntoPlain>(&self, answer: Option<T>) -> Result<T::Plain, AgentError> {
        answer.map(IntoPlain::into_plain).ok_or_else(|| self.lost(Lost::Empty, Duration::ZERO))
    }

    /// One try of a call within `limit`, the connection included.
    pub(super) async fn ask_within<T, F>(&self, limit: Duration, call: impl FnOnce(Line) -> F) -> Result<T, AgentError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let started = Instant::now();
        let (channel, _) = self.channel(limit).await?;
        self.answered_within(limit, started, call(channel)).await
    }

    /// The answer of a call, with what is left of a limit that began at `started`.
    async fn answered_within<T>(
        &self,
        limit: Duration,
        started: Instant,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, AgentError> {
        let answer = self.call_within(limit.saturating_sub(started.elapsed()), call).await;
        answer.map_err(|error| self.failed(error, started.elapsed()))
    }

    /// Awaits an answer for at most [`CALL`]. A connection on which it was lost is not used again.
    pub(super) async fn call<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, NoResult> {
        self.call_within(CALL, call).await
    }

    pub(super) async fn call_within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, NoResult> {
        let answer = match timeout(limit, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(status.into()),
            Err(_) => Err(NoResult::Lost(Lost::Late(limit))),
        };
        if let Err(NoResult::Lost(_)) = answer {
            self.forget_channel().await;
        }
        answer
    }

    pub(super) async fn forget_channel(&self) {
        self.channel.lock().await.take();
    }

    pub(super) fn failed(&self, error: NoResult, waited: Duration) -> AgentError {
        match error {
            NoResult::Lost(lost) => self.lost(lost, waited),
            NoResult::Refused { reason, message, metadata } => {
                AgentError::Refused { node: self.node.clone(), reason, message, metadata }
            }
        }
    }

    pub(super) fn lost(&self, lost: Lost, waited: Duration) -> AgentError {
        self.unreachable(Box::new(lost), waited)
    }

    /// An answer, unless another machine has given it. The connection to that one is not used again.
    pub(super) async fn of_this_machine(&self, status: AgentStatus) -> Result<AgentStatus, AgentError> {
        if status.is_of(&self.node) {
            return Ok(status);
        }
        self.forget_channel().await;
        let (node, address) = (self.node.clone(), self.address.clone());
        Err(AgentError::AnotherMachine { node, address, answers: status.name })
    }

    fn unreachable(&self, source: Cause, waited: Duration) -> AgentError {
        AgentError::Unreachable { node: self.node.clone(), address: self.address.clone(), waited, source }
    }
}
