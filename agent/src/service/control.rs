//! `NodeControl`: changes.

use std::time::Duration;

use jiff::SignedDuration;
use tonic::{Request, Response, Status};
use usher_proto::v1::{self, node_control_server::NodeControl};

use super::{Service, audit::Received, convert, peer, to_the_end};
use crate::{
    access::{Verb, Wanted},
    door::{Patience, Peer},
    operations::{
        self, LeaderMove,
        record::{Change, Operation},
    },
    refusal::Refusal,
};

/// Who calls, and how long they wait.
struct Sender {
    peer: Peer,
    patience: Option<Duration>,
}

impl Sender {
    fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        Ok(Self { peer: peer(request)?, patience: request.extensions().get::<Patience>().map(|patience| patience.0) })
    }
}

impl Service {
    async fn submit(&self, sender: Sender, order: Option<v1::Order>, change: Change) -> Result<Operation, Status> {
        let (id, order) = convert::order(order.unwrap_or_default());
        let Sender { peer, patience } = sender;
        let request = operations::Request { id, change, order, caller: peer.caller.clone(), patience };
        let service = self.clone();
        to_the_end(async move {
            let received = Received::change(service.audit.clone(), &request, &peer).await;
            let answer = match service.permit(&peer, &request.change) {
                Ok(()) => service.operations.submit(request).await,
                Err(refusal) => Err(refusal),
            };
            received.answered(&answer).await;
            answer
        })
        .await
    }

    /// What the caller's entry in the allow-list says about ending a change that waits: it must permit the change itself. An entry
    /// without the right to override blockers may end a reboot that overrides some, which does less than the reboot.
    fn permit_cancel(&self, peer: &Peer, change: &Change) -> Result<(), Refusal> {
        self.live.permit(peer, &Wanted { verb: verb(change), unit: change.unit(), overrides: false })
    }

    /// What the caller's entry in the allow-list says about the change.
    fn permit(&self, peer: &Peer, change: &Change) -> Result<(), Refusal> {
        let overrides = matches!(change, Change::RebootNode { override_blockers, .. } if !override_blockers.is_empty());
        self.live.permit(peer, &Wanted { verb: verb(change), unit: change.unit(), overrides })
    }
}

/// The right that a change needs.
fn verb(change: &Change) -> Verb {
    match change {
        Change::RestartUnit { .. } => Verb::Restart,
        Change::StopUnit { .. } => Verb::Stop,
        Change::StartUnit { .. } => Verb::Start,
        Change::RebootNode { .. } => Verb::Reboot,
    }
}

#[tonic::async_trait]
impl NodeControl for Service {
    async fn restart_unit(
        &self,
        request: Request<v1::RestartUnitRequest>,
    ) -> Result<Response<v1::RestartUnitResponse>, Status> {
        let sender = Sender::of(&request)?;
        let v1::RestartUnitRequest { order, unit, expected_invocation_id } = request.into_inner();
        let operation = self.submit(sender, order, Change::RestartUnit { unit, expected_invocation_id }).await?;
        Ok(Response::new(v1::RestartUnitResponse { operation: Some(convert::operation(operation)) }))
    }

    async fn stop_unit(&self, request: Request<v1::StopUnitRequest>) -> Result<Response<v1::StopUnitResponse>, Status> {
        let sender = Sender::of(&request)?;
        let v1::StopUnitRequest { order, unit, expected_invocation_id, start_again_after } = request.into_inner();
        // One that is out of the range of times is refused as zero is.
        let start_again_after = start_again_after.map(|after| convert::signed(after).unwrap_or(SignedDuration::ZERO));
        let change = Change::StopUnit { unit, expected_invocation_id, start_again_after };
        let operation = self.submit(sender, order, change).await?;
        Ok(Response::new(v1::StopUnitResponse { operation: Some(convert::operation(operation)) }))
    }

    async fn start_unit(
        &self,
        request: Request<v1::StartUnitRequest>,
    ) -> Result<Response<v1::StartUnitResponse>, Status> {
        let sender = Sender::of(&request)?;
        let v1::StartUnitRequest { order, unit } = request.into_inner();
        let operation = self.submit(sender, order, Change::StartUnit { unit }).await?;
        Ok(Response::new(v1::StartUnitResponse { operation: Some(convert::operation(operation)) }))
    }

    async fn reboot_node(
        &self,
        request: Request<v1::RebootNodeRequest>,
    ) -> Result<Response<v1::RebootNodeResponse>, Status> {
        let sender = Sender::of(&request)?;
        let v1::RebootNodeRequest { order, expected_boot_id, override_blockers } = request.into_inner();
        let override_blockers = override_blockers.into_iter().collect();
        let operation = self.submit(sender, order, Change::RebootNode { expected_boot_id, override_blockers }).await?;
        Ok(Response::new(v1::RebootNodeResponse { operation: Some(convert::operation(operation)) }))
    }

    async fn cancel_operation(
        &self,
        request: Request<v1::CancelOperationRequest>,
    ) -> Result<Response<v1::CancelOperationResponse>, Status> {
        let (peer, service) = (peer(&request)?, self.clone());
        let v1::CancelOperationRequest { order, operation_id } = request.into_inner();
        let (_, order) = convert::order(order.unwrap_or_default());
        let operation = to_the_end(async move {
            let received = Received::cancel(service.audit.clone(), &operation_id, &order, &peer).await;
            let permit = |change: &Change| service.permit_cancel(&peer, change);
            let answer = service.operations.cancel(&operation_id, &order, &peer.caller, permit).await;
            received.answered(&answer).await;
            answer
        });
        let operation = Some(convert::operation(operation.await?));
        Ok(Response::new(v1::CancelOperationResponse { operation }))
    }

    async fn move_etcd_leader(
        &self,
        request: Request<v1::MoveEtcdLeaderRequest>,
    ) -> Result<Response<v1::MoveEtcdLeaderResponse>, Status> {
        let (peer, service) = (peer(&request)?, self.clone());
        let v1::MoveEtcdLeaderRequest { order, expected_leader_id: from, to_member_id: to } = request.into_inner();
        let order = convert::order(order.unwrap_or_default());
        let member = to_the_end(service.hand_etcd_on(order, LeaderMove { from, to }, peer)).await?;
        Ok(Response::new(v1::MoveEtcdLeaderResponse { member: Some(member) }))
    }

    async fn fence(&self, request: Request<v1::FenceRequest>) -> Result<Response<v1::FenceResponse>, Status> {
        let (peer, service) = (peer(&request)?, self.clone());
        let v1::FenceRequest { epoch, requester } = request.into_inner();
        let highest = to_the_end(async move {
            let received = Received::fence(service.audit.clone(), epoch, &requester, &peer).await;
            // usher fences before each change, whatever the change is.
            let answer = match service.live.permit_any(&peer) {
                Ok(()) => service.operations.fence(epoch, &requester).await,
                Err(refusal) => Err(refusal),
            };
            received.answered(&answer).await;
            answer
        });
        Ok(Response::new(v1::FenceResponse { highest_epoch: highest.await? }))
    }
}
