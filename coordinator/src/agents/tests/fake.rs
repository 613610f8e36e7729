//! A scripted agent behind a cable that can be cut: the generated server, over real TLS and TCP or in memory.

#![allow(clippy::disallowed_methods)] // a cable that can be cut

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    io::{copy_bidirectional, duplex},
    net::{TcpListener, TcpStream},
    sync::{broadcast, mpsc},
    task::JoinHandle,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnboundedReceiverStream};
use tonic::{
    Code, Request, Response, Status,
    transport::{Certificate, Identity as TlsIdentity, Server, ServerTlsConfig},
};
use tonic_types::{ErrorDetails, StatusExt as _};
use usher_proto::{
    reason,
    v1::{
        self, node_control_server::NodeControl, node_control_server::NodeControlServer, node_info_server::NodeInfo,
        node_info_server::NodeInfoServer,
    },
};

use super::pki::{Authority, Identity};
use crate::{
    agents::{Agent, Agents, Dial},
    site::Site,
};
use usher_common::stream::BoxedStream;

/// How many audit records one answer holds.
const AUDIT_PAGE: u32 = 3;

/// What the next changing call meets.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mishap {
    /// It is taken, and the cable is cut before the answer.
    LostAnswer,
    /// The same, and all that comes after it is refused for this reason.
    LostAnswerThen(&'static str),
    /// The cable is cut before it is taken.
    LostRequest,
    /// It is taken, and nobody is there any more.
    Gone,
}

/// What the agent does, and what was done to it.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) boot_id: String,
    /// The machine whose agent it is; w1 if none.
    pub(super) name: Option<&'static str>,
    pub(super) refusal: Option<(Code, &'static str)>,
    pub(crate) mishaps: Vec<Mishap>,
    /// Nobody listens. Only heeded in memory.
    pub(crate) away: bool,
    pub(super) operations: BTreeMap<String, v1::Operation>,
    /// How many questions for an operation are answered with "still being checked".
    pub(super) admitting: usize,
    /// How many changes were carried out.
    pub(super) taken: usize,
    pub(super) watches: usize,
    pub(super) caller: Vec<u8>,
    /// How many audit records it has.
    pub(super) audit_records: u64,
    /// What each attachment of a watch sends; after the last message the connection is cut.
    pub(super) attachments: Vec<Vec<v1::Operation>>,
}

#[derive(Clone)]
pub(crate) struct FakeAgent {
    pub(super) script: Arc<Mutex<Script>>,
    cut: broadcast::Sender<()>,
}

/// Where the agent can be reached; drops every connection and listens no more when dropped.
pub(super) struct Cable {
    pub(super) address: SocketAddr,
    listener: JoinHandle<()>,
    cut: broadcast::Sender<()>,
}

impl FakeAgent {
    pub(crate) fn new() -> Self {
        Self { script: Arc::default(), cut: broadcast::channel(8).0 }
    }

    /// w1 as usher reaches it in memory and without TLS, for tests on paused time.
    pub(crate) fn in_memory(&self) -> Agent {
        let mut site = Site::default();
        site.agents.addresses.insert("w1".into(), "w1:7470".into());
        Agents::over(&site, BTreeMap::new(), self.dial()).agent("w1").unwrap()
    }

    fn dial(&self) -> Dial {
        const BUFFER: usize = 64 * 1024;
        let (sender, incoming) = mpsc::unbounded_channel();
        let services = (NodeInfoServer::new(self.clone()), NodeControlServer::new(self.clone()));
        let server = Server::builder().add_service(services.0).add_service(services.1);
        tokio::spawn(server.serve_with_incoming(UnboundedReceiverStream::new(incoming)));
        let agent = self.clone();
        let open = move |_| {
            let (agent, sender) = (agent.clone(), sender.clone());
            async move {
                if agent.script().away {
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                }
                let ((ours, mut near), (mut far, theirs)) = (duplex(BUFFER), duplex(BUFFER));
                let mut cut = agent.cut.subscribe();
                sender.send(Ok::<_, io::Error>(theirs)).unwrap();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.recv() => {}
                    }
                });
                Ok(Box::new(ours) as BoxedStream)
            }
        };
        Dial::over(open).without_tls()
    }

    /// Serves as `identity` to clients of `authority`.
    pub(super) async fn serve(&self, identity: &Identity, authority: &Authority) -> Cable {
        self.serve_at("127.0.0.1:0".parse().unwrap(), identity, authority).await
    }

    /// The same at a given address.
    pub(super) async fn serve_at(&self, outer: SocketAddr, identity: &Identity, authority: &Authority) -> Cable {
        let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = behind.local_addr().unwrap();
        let tls = ServerTlsConfig::new()
            .identity(TlsIdentity::from_pem(&identity.certificate, &identity.key))
            .client_ca_root(Certificate::from_pem(authority.pem()));
        let server = Server::builder()
            .tls_config(tls)
            .unwrap()
            .add_service(NodeInfoServer::new(self.clone()))
            .add_service(NodeControlServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(behind)));
        self.plug_in(outer, inner).await
    }

    async fn plug_in(&self, outer: SocketAddr, inner: SocketAddr) -> Cable {
        let front = TcpListener::bind(outer).await.unwrap();
        let address = front.local_addr().unwrap();
        let cut = self.cut.clone();
        let listener = tokio::spawn(async move {
            while let Ok((mut near, _)) = front.accept().await {
                let mut cut = cut.subscribe();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(inner).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        Cable { address, listener, cut: self.cut.clone() }
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    fn check(&self) -> Result<(), Status> {
        match self.script().refusal {
            None => Ok(()),
            Some((code, reason)) => {
                let metadata = [("names".to_owned(), "CN=cumin1001".to_owned())];
                let details = ErrorDetails::with_error_info(reason, reason::DOMAIN, metadata);
                Err(Status::with_error_details(code, "\"CN=cumin1001\" is not in its allow-list", details))
            }
        }
    }

    async fn lost<T>(&self) -> Result<T, Status> {
        self.cut.send(()).unwrap();
        std::future::pending().await
    }

    async fn change(&self, order: Option<v1::Order>) -> Result<v1::Operation, Status> {
        self.check()?;
        let mishap = self.script().mishaps.pop();
        if mishap == Some(Mishap::LostRequest) {
            return self.lost().await;
        }
        let operation = {
            let order = order.unwrap();
            let mut script = self.script();
            let script = &mut *script;
            let taken = &mut script.taken;
            let operation = script.operations.entry(order.operation_id.clone()).or_insert_with(|| {
                *taken += 1;
                v1::Operation {
                    id: order.operation_id.clone(),
                    state: v1::OperationState::Running.into(),
                    order: Some(order),
                    ..Default::default()
                }
            });
            operation.clone()
        };
        match mishap {
            None | Some(Mishap::LostRequest) => Ok(operation),
            Some(Mishap::LostAnswer) => self.lost().await,
            Some(Mishap::LostAnswerThen(reason)) => {
                self.script().refusal = Some((Code::FailedPrecondition, reason));
                self.lost().await
            }
            Some(Mishap::Gone) => {
                self.script().away = true;
                self.lost().await
            }
        }
    }

    fn known(&self, id: &str) -> Result<v1::Operation, Status> {
        self.check()?;
        if self.script().admitting > 0 {
            self.script().admitting -= 1;
            let details = ErrorDetails::with_error_info(reason::ADMITTING, reason::DOMAIN, []);
            return Err(Status::with_error_details(Code::Unavailable, "the call is still being checked", details));
        }
        self.script().operations.get(id).cloned().ok_or_else(|| {
            let details = ErrorDetails::with_error_info(reason::NO_SUCH_OPERATION, reason::DOMAIN, []);
            Status::with_error_details(Code::NotFound, format!("no operation {id} is known"), details)
        })
    }
}

impl Cable {
    /// Ends all connections; new ones are accepted.
    pub(super) fn cut(&self) {
        let _ = self.cut.send(());
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.listener.abort();
        self.cut();
    }
}

#[tonic::async_trait]
impl NodeInfo for FakeAgent {
    type WatchOperationStream = ReceiverStream<Result<v1::WatchOperationResponse, Status>>;

    async fn get_node(&self, request: Request<v1::GetNodeRequest>) -> Result<Response<v1::GetNodeResponse>, Status> {
        self.check()?;
        let mut script = self.script();
        script.caller = request.peer_certs().map(|chain| chain[0].to_vec()).unwrap_or_default();
        let name = script.name.unwrap_or("w1").to_owned();
        let node = v1::Node { name, boot_id: script.boot_id.clone(), ..Default::default() };
        Ok(Response::new(v1::GetNodeResponse { node: Some(node) }))
    }

    async fn get_operation(
        &self,
        request: Request<v1::GetOperationRequest>,
    ) -> Result<Response<v1::GetOperationResponse>, Status> {
        let operation = self.known(&request.get_ref().operation_id)?;
        Ok(Response::new(v1::GetOperationResponse { operation: Some(operation) }))
    }

    async fn list_operations(
        &self,
        _: Request<v1::ListOperationsRequest>,
    ) -> Result<Response<v1::ListOperationsResponse>, Status> {
        let operations = self.script().operations.values().cloned().collect();
        Ok(Response::new(v1::ListOperationsResponse { operations, truncated: false }))
    }

    async fn list_audit_records(
        &self,
        request: Request<v1::ListAuditRecordsRequest>,
    ) -> Result<Response<v1::ListAuditRecordsResponse>, Status> {
        let v1::ListAuditRecordsRequest { before, limit } = *request.get_ref();
        let newest = if before == 0 { self.script().audit_records } else { before - 1 };
        let numbers: Vec<_> = (1..=newest).rev().take(limit.min(AUDIT_PAGE) as usize).collect();
        let next_before = numbers.last().copied().filter(|oldest| *oldest > 1).unwrap_or_default();
        let records = numbers.into_iter().map(|number| v1::AuditRecord { number, ..Default::default() }).collect();
        Ok(Response::new(v1::ListAuditRecordsResponse { records, next_before }))
    }

    async fn get_etcd_member(
        &self,
        _: Request<v1::GetEtcdMemberRequest>,
    ) -> Result<Response<v1::GetEtcdMemberResponse>, Status> {
        Err(Status::unimplemented("no test asks for etcd"))
    }

    async fn probe_unit(&self, _: Request<v1::ProbeUnitRequest>) -> Result<Response<v1::ProbeUnitResponse>, Status> {
        Err(Status::unimplemented("no test probes"))
    }

    async fn watch_operation(
        &self,
        request: Request<v1::WatchOperationRequest>,
    ) -> Result<Response<Self::WatchOperationStream>, Status> {
        self.known(&request.get_ref().operation_id)?;
        let messages = {
            let mut script = self.script();
            script.watches += 1;
            if script.attachments.is_empty() { Vec::new() } else { script.attachments.remove(0) }
        };
        let (sender, receiver) = mpsc::channel(8);
        let cut = self.cut.clone();
        tokio::spawn(async move {
            for operation in messages {
                let message = v1::WatchOperationResponse { operation: Some(operation) };
                sender.send(Ok(message)).await.unwrap();
            }
            // The receiver takes each message out before it is written; one that is reserved again was taken.
            while sender.capacity() < sender.max_capacity() {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let _ = cut.send(());
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

#[tonic::async_trait]
impl NodeControl for FakeAgent {
    async fn restart_unit(
        &self,
        request: Request<v1::RestartUnitRequest>,
    ) -> Result<Response<v1::RestartUnitResponse>, Status> {
        let operation = Some(self.change(request.into_inner().order).await?);
        Ok(Response::new(v1::RestartUnitResponse { operation }))
    }

    async fn stop_unit(&self, request: Request<v1::StopUnitRequest>) -> Result<Response<v1::StopUnitResponse>, Status> {
        let operation = Some(self.change(request.into_inner().order).await?);
        Ok(Response::new(v1::StopUnitResponse { operation }))
    }

    async fn start_unit(
        &self,
        request: Request<v1::StartUnitRequest>,
    ) -> Result<Response<v1::StartUnitResponse>, Status> {
        let operation = Some(self.change(request.into_inner().order).await?);
        Ok(Response::new(v1::StartUnitResponse { operation }))
    }

    async fn reboot_node(
        &self,
        request: Request<v1::RebootNodeRequest>,
    ) -> Result<Response<v1::RebootNodeResponse>, Status> {
        let operation = Some(self.change(request.into_inner().order).await?);
        Ok(Response::new(v1::RebootNodeResponse { operation }))
    }

    async fn cancel_operation(
        &self,
        _: Request<v1::CancelOperationRequest>,
    ) -> Result<Response<v1::CancelOperationResponse>, Status> {
        Err(Status::unimplemented("no test cancels"))
    }

    async fn move_etcd_leader(
        &self,
        _: Request<v1::MoveEtcdLeaderRequest>,
    ) -> Result<Response<v1::MoveEtcdLeaderResponse>, Status> {
        Err(Status::unimplemented("no test moves a leader"))
    }

    async fn fence(&self, _: Request<v1::FenceRequest>) -> Result<Response<v1::FenceResponse>, Status> {
        Err(Status::unimplemented("no test fences"))
    }
}
