//! One member's side of a connection.

use tokio::io::DuplexStream;
use tokio_rustls::server::TlsStream;
use tonic::{Request, Response, Status, transport::Server};
use usher_proto::etcd::{
    self as wire, AlarmMember, AlarmRequest, AlarmResponse, MemberListRequest, MemberListResponse, MoveLeaderRequest,
    MoveLeaderResponse, ResponseHeader, StatusRequest, StatusResponse,
    cluster_server::{Cluster, ClusterServer},
    maintenance_server::{Maintenance, MaintenanceServer},
};

use super::FakeEtcd;

/// A member of the cluster.
#[derive(Clone)]
struct Member {
    etcd: FakeEtcd,
    name: String,
}

/// Serves one connection until the client ends it.
pub(super) async fn serve(etcd: FakeEtcd, name: String, stream: TlsStream<DuplexStream>) {
    let member = Member { etcd, name };
    let incoming = tokio_stream::once(Ok::<_, std::io::Error>(stream));
    let server = Server::builder()
        .add_service(ClusterServer::new(member.clone()))
        .add_service(MaintenanceServer::new(member))
        .serve_with_incoming(incoming);
    // A client that hangs up is no failure.
    let _ = server.await;
}

impl Member {
    /// A learner answers to little more than the question for its status.
    fn votes(&self) -> Result<(), Status> {
        match self.etcd.state().member(&self.name).is_learner {
            true => Err(Status::unavailable("etcdserver: rpc not supported for learner")),
            false => Ok(()),
        }
    }

    fn header(&self) -> ResponseHeader {
        let state = self.etcd.state();
        let member = state.member(&self.name);
        ResponseHeader { cluster_id: member.cluster, member_id: member.id }
    }
}

#[tonic::async_trait]
impl Cluster for Member {
    async fn member_list(&self, _: Request<MemberListRequest>) -> Result<Response<MemberListResponse>, Status> {
        self.etcd.answers(&self.name).await;
        self.votes()?;
        let header = Some(self.header());
        let members = self.etcd.state().members.clone().into_iter().enumerate().map(|(at, member)| wire::Member {
            id: member.id,
            name: member.name,
            peer_urls: vec![format!("https://10.77.0.{}:2380", at + 1)],
            client_urls: vec![format!("https://10.77.0.{}:2379", at + 1)],
            is_learner: member.is_learner,
        });
        Ok(Response::new(MemberListResponse { header, members: members.collect() }))
    }
}

#[tonic::async_trait]
impl Maintenance for Member {
    async fn alarm(&self, _: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        self.etcd.answers(&self.name).await;
        self.votes()?;
        self.etcd.proposed().await;
        let header = Some(self.header());
        let alarms = self.etcd.state().alarms.clone().into_iter();
        let alarms = alarms.map(|(member_id, alarm)| AlarmMember { member_id, alarm: alarm.into() });
        Ok(Response::new(AlarmResponse { header, alarms: alarms.collect() }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.etcd.answers(&self.name).await;
        let header = Some(self.header());
        let mut state = self.etcd.state();
        let (leader, behind) = (state.leader(), state.behind(&self.name));
        let no_leader = (leader == 0).then(|| "etcdserver: no leader".to_owned());
        let alarms = state.alarms.iter().map(|(id, alarm)| format!("memberID:{id} alarm:{} ", alarm.as_str_name()));
        Ok(Response::new(StatusResponse {
            header,
            version: "3.7.3".to_owned(),
            db_size: 20 << 20,
            leader,
            raft_index: state.index,
            raft_term: state.term,
            raft_applied_index: state.index - behind,
            errors: no_leader.into_iter().chain(alarms).collect(),
            db_size_in_use: 10 << 20,
            is_learner: state.member(&self.name).is_learner,
        }))
    }

    async fn move_leader(&self, request: Request<MoveLeaderRequest>) -> Result<Response<MoveLeaderResponse>, Status> {
        self.etcd.answers(&self.name).await;
        let (to, leads, fit) = {
            let (to, state) = (request.get_ref().target_id, self.etcd.state());
            let fit = state.members.iter().any(|member| member.id == to && !member.is_learner && member.runs);
            (to, state.leader() == state.member(&self.name).id, fit)
        };
        if !leads {
            return Err(Status::failed_precondition("etcdserver: not leader"));
        }
        if !fit {
            return Err(Status::failed_precondition("etcdserver: bad leader transferee"));
        }
        self.etcd.moved(to).await;
        Ok(Response::new(MoveLeaderResponse { header: None }))
    }
}
