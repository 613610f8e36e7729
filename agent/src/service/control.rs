//! `NodeControl`: changes.

use tonic::{Request, Response, Status};
use usher_proto::v1::{self, node_control_server::NodeControl};

use super::{Service, audit::Received, convert, peer};
use crate::{
    access::{Verb, Wanted},
    door::Peer,
    operations::{
        self,
        record::{Change, Operation, Order},
    },
    refusal::Refusal,
};

impl Service {
    async fn submit(&self, peer: Peer, order: Option<v1::Order>, change: Change) -> Result<Operation, Status> {
        let order = order.unwrap_or_default();
        let request = operations::Request {
            id: order.operation_id,
            change,
            order: Order {
                epoch: order.epoch,
                reason: order.reason,
                task_id: order.task_id,
                requester: order.requester,
                dry_run: order.dry_run,
            },
            caller: peer.caller.clone(),
        };
        let service = self.clone();
        // A task of its own: whatever becomes of the caller, what was begun is recorded.
        let answered = tokio::spawn(async move {
            let received = Received::record(service.audit.clone(), &request, &peer).await;
            let answer = match service.permit(&peer, &request.change) {
                Ok(()) => service.operations.submit(request).await,
                Err(refusal) => Err(refusal),
            };
            received.answered(&answer).await;
            answer
        });
        // Only the end of the runtime ends the task.
        let answer = answered
            .await
            .map_err(|_| Status::unavailable("the agent is stopping; ask for the operation by its id"))?;
        answer.map_err(Status::from)
    }

    /// What the caller's entry in the allow-list says about the change.
    fn permit(&self, peer: &Peer, change: &Change) -> Result<(), Refusal> {
        let (verb, overrides) = match change {
            Change::RestartUnit { .. } => (Verb::Restart, false),
            Change::StopUnit { .. } => (Verb::Stop, false),
            Change::StartUnit { .. } => (Verb::Start, false),
            Change::RebootNode { override_blockers, .. } => (Verb::Reboot, !override_blockers.is_empty()),
        };
        self.live.permit(peer, &Wanted { verb, unit: change.unit(), overrides })
    }
}

#[tonic::async_trait]
impl NodeControl for Service {
    async fn restart_unit(
        &self,
        request: Request<v1::RestartUnitRequest>,
    ) -> Result<Response<v1::RestartUnitResponse>, Status> {
        let peer = peer(&request)?;
        let v1::RestartUnitRequest { order, unit, expected_invocation_id } = request.into_inner();
        let operation = self.submit(peer, order, Change::RestartUnit { unit, expected_invocation_id }).await?;
        Ok(Response::new(v1::RestartUnitResponse { operation: Some(convert::operation(operation)) }))
    }

    async fn stop_unit(&self, request: Request<v1::StopUnitRequest>) -> Result<Response<v1::StopUnitResponse>, Status> {
        let peer = peer(&request)?;
        let v1::StopUnitRequest { order, unit, expected_invocation_id } = request.into_inner();
        let operation = self.submit(peer, order, Change::StopUnit { unit, expected_invocation_id }).await?;
        Ok(Response::new(v1::StopUnitResponse { operation: Some(convert::operation(operation)) }))
    }

    async fn start_unit(
        &self,
        request: Request<v1::StartUnitRequest>,
    ) -> Result<Response<v1::StartUnitResponse>, Status> {
        let peer = peer(&request)?;
        let v1::StartUnitRequest { order, unit } = request.into_inner();
        let operation = self.submit(peer, order, Change::StartUnit { unit }).await?;
        Ok(Response::new(v1::StartUnitResponse { operation: Some(convert::operation(operation)) }))
    }

    async fn reboot_node(
        &self,
        request: Request<v1::RebootNodeRequest>,
    ) -> Result<Response<v1::RebootNodeResponse>, Status> {
        let peer = peer(&request)?;
        let v1::RebootNodeRequest { order, expected_boot_id, override_blockers } = request.into_inner();
        let override_blockers = override_blockers.into_iter().collect();
        let operation = self.submit(peer, order, Change::RebootNode { expected_boot_id, override_blockers }).await?;
        Ok(Response::new(v1::RebootNodeResponse { operation: Some(convert::operation(operation)) }))
    }
}
