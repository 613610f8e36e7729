//! What one of them answers.

use std::time::SystemTime;

use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use usher_common::clock;
use usher_proto::v1::{self, node_control_server::NodeControl, node_info_server::NodeInfo};

use super::{StubAgents, boot_id};

/// The units of a control-plane machine, whose name begins with `cp`.
const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

#[derive(Clone)]
pub(super) struct Service {
    pub(super) agents: StubAgents,
    pub(super) machine: String,
}

impl Service {
    async fn called(&self, call: &'static str) {
        *self.agents.lock().calls.entry(call).or_default() += 1;
        sleep(self.agents.answers_in).await;
    }

    fn node(&self) -> v1::Node {
        let machine = &self.machine;
        let (boots, highest_epoch) = {
            let state = self.agents.lock();
            (state.boots.get(machine).copied().unwrap_or(1), state.highest_epoch)
        };
        let units: &[&str] = if machine.starts_with("cp") { &COMPONENTS } else { &["containerd", "kubelet"] };
        let unit = |name: &&str| v1::Unit {
            name: format!("{name}.service"),
            load_state: "loaded".into(),
            active_state: "active".into(),
            sub_state: "running".into(),
            invocation_id: format!("{boots:032x}"),
            file_state: "enabled".into(),
            ..v1::Unit::default()
        };
        let now = SystemTime::from(clock::now());
        v1::Node {
            name: machine.clone(),
            hostname: machine.clone(),
            agent_version: env!("CARGO_PKG_VERSION").into(),
            boot_id: boot_id(machine, boots),
            booted_at: Some(now.into()),
            kernel_running: "6.1.0-31-amd64".into(),
            kernel_installed: "6.1.0-31-amd64".into(),
            units: units.iter().map(unit).collect(),
            reboot_budget: Some(v1::RebootBudget { used: 0, allowed: 4 }),
            highest_epoch,
            now: Some(now.into()),
            ..v1::Node::default()
        }
    }

    fn unknown<T>() -> Result<Response<T>, Status> {
        Err(Status::unimplemented("a stub does nothing but reboot"))
    }
}

#[tonic::async_trait]
impl NodeInfo for Service {
    type WatchOperationStream = ReceiverStream<Result<v1::WatchOperationResponse, Status>>;

    async fn get_node(&self, _: Request<v1::GetNodeRequest>) -> Result<Response<v1::GetNodeResponse>, Status> {
        self.called("GetNode").await;
        Ok(Response::new(v1::GetNodeResponse { node: Some(self.node()) }))
    }

    async fn get_operation(
        &self,
        _: Request<v1::GetOperationRequest>,
    ) -> Result<Response<v1::GetOperationResponse>, Status> {
        Self::unknown()
    }

    async fn list_operations(
        &self,
        _: Request<v1::ListOperationsRequest>,
    ) -> Result<Response<v1::ListOperationsResponse>, Status> {
        Self::unknown()
    }

    async fn list_audit_records(
        &self,
        _: Request<v1::ListAuditRecordsRequest>,
    ) -> Result<Response<v1::ListAuditRecordsResponse>, Status> {
        Self::unknown()
    }

    /// It knows nothing of etcd, as an agent whose configuration does not name it.
    async fn get_etcd_member(
        &self,
        _: Request<v1::GetEtcdMemberRequest>,
    ) -> Result<Response<v1::GetEtcdMemberResponse>, Status> {
        self.called("GetEtcdMember").await;
        Self::unknown()
    }

    async fn probe_unit(&self, _: Request<v1::ProbeUnitRequest>) -> Result<Response<v1::ProbeUnitResponse>, Status> {
        self.called("ProbeUnit").await;
        Self::unknown()
    }

    async fn watch_operation(
        &self,
        _: Request<v1::WatchOperationRequest>,
    ) -> Result<Response<Self::WatchOperationStream>, Status> {
        Self::unknown()
    }
}

#[tonic::async_trait]
impl NodeControl for Service {
    async fn restart_unit(
        &self,
        _: Request<v1::RestartUnitRequest>,
    ) -> Result<Response<v1::RestartUnitResponse>, Status> {
        Self::unknown()
    }

    async fn stop_unit(&self, _: Request<v1::StopUnitRequest>) -> Result<Response<v1::StopUnitResponse>, Status> {
        Self::unknown()
    }

    async fn start_unit(&self, _: Request<v1::StartUnitRequest>) -> Result<Response<v1::StartUnitResponse>, Status> {
        Self::unknown()
    }

    async fn reboot_node(
        &self,
        request: Request<v1::RebootNodeRequest>,
    ) -> Result<Response<v1::RebootNodeResponse>, Status> {
        self.called("RebootNode").await;
        let order = request.into_inner().order;
        let operation = v1::Operation {
            id: order.as_ref().map(|order| order.operation_id.clone()).unwrap_or_default(),
            kind: v1::OperationKind::RebootNode.into(),
            state: v1::OperationState::Running.into(),
            order,
            ..v1::Operation::default()
        };
        let agents = self.agents.clone();
        self.agents.lock().tasks.spawn(agents.cycle(self.machine.clone()));
        Ok(Response::new(v1::RebootNodeResponse { operation: Some(operation) }))
    }

    async fn move_etcd_leader(
        &self,
        _: Request<v1::MoveEtcdLeaderRequest>,
    ) -> Result<Response<v1::MoveEtcdLeaderResponse>, Status> {
        Self::unknown()
    }

    async fn cancel_operation(
        &self,
        _: Request<v1::CancelOperationRequest>,
    ) -> Result<Response<v1::CancelOperationResponse>, Status> {
        Self::unknown()
    }

    async fn fence(&self, request: Request<v1::FenceRequest>) -> Result<Response<v1::FenceResponse>, Status> {
        self.called("Fence").await;
        let mut state = self.agents.lock();
        state.highest_epoch = state.highest_epoch.max(request.get_ref().epoch);
        Ok(Response::new(v1::FenceResponse { highest_epoch: state.highest_epoch }))
    }
}
