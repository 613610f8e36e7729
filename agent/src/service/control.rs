//! `NodeControl`: changes.

use std::time::Duration;

use jiff::SignedDuration;
use tonic::{Request, Response, Status, metadata::MetadataMap};
use tracing::{info, warn};
use usher_proto::v1::{self, node_control_server::NodeControl};

use super::{Service, audit, convert, peer};
use crate::{
    door::Peer,
    operations::{
        self,
        record::{Change, Operation, Order},
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
        Ok(Self { peer: peer(request)?, patience: patience(request.metadata()) })
    }
}

impl Service {
    async fn submit(&self, sender: Sender, order: Option<v1::Order>, change: Change) -> Result<Operation, Status> {
        let (id, order) = convert::order(order.unwrap_or_default());
        let Sender { peer, patience } = sender;
        let request = operations::Request { id, change, order, caller: peer.caller, patience };
        let record = audit::Record::of(&request, peer.address);
        let answer = self.operations.submit(request).await;
        record.answered(&answer);
        answer.map_err(Status::from)
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
        let Peer { caller, address, .. } = peer(&request)?;
        let v1::CancelOperationRequest { order, operation_id } = request.into_inner();
        let (call, order) = convert::order(order.unwrap_or_default());
        let answer = self.operations.cancel(&operation_id, &order, &caller).await;
        audited("CancelOperation", &answer, || {
            let Order { requester, reason, epoch, .. } = &order;
            let by = format!("{caller} at {address} ({requester:?}, call {call:?}, epoch {epoch})");
            format!("operation {operation_id:?} for {by}: {reason:?}")
        });
        let operation = Some(convert::operation(answer?));
        Ok(Response::new(v1::CancelOperationResponse { operation }))
    }

    async fn fence(&self, request: Request<v1::FenceRequest>) -> Result<Response<v1::FenceResponse>, Status> {
        let Peer { caller, address, .. } = peer(&request)?;
        let v1::FenceRequest { epoch, requester } = request.into_inner();
        let answer = self.operations.fence(epoch, &requester).await;
        audited("Fence", &answer, || format!("under epoch {epoch} for {caller} at {address} ({requester:?})"));
        Ok(Response::new(v1::FenceResponse { highest_epoch: answer? }))
    }
}

/// The audit record of a call that is no operation.
fn audited<T>(call: &str, answer: &Result<T, Refusal>, what: impl FnOnce() -> String) {
    match answer {
        Ok(_) => info!(audit = "accepted", call, "accepted {call} {}", what()),
        Err(refusal) => {
            warn!(audit = "refused", refusal = refusal.reason, call, "refused {call} {}: {refusal}", what());
        }
    }
}

/// How long the caller waits, by the header `grpc-timeout` of gRPC over HTTP/2: up to eight digits and a unit. `None` if it does not
/// say so.
fn patience(metadata: &MetadataMap) -> Option<Duration> {
    let timeout = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = timeout.split_at_checked(timeout.len().checked_sub(1)?)?;
    let number: u32 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    let unit = match unit {
        "H" => Duration::from_secs(3600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    unit.checked_mul(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_patience_is_read_as_grpc_writes_it() {
        for (header, expected) in [
            ("10S", Some(Duration::from_secs(10))),
            ("2500000u", Some(Duration::from_millis(2500))),
            ("1H", Some(Duration::from_secs(3600))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("999999999S", None),
            ("10", None),
            ("S", None),
            ("-1S", None),
        ] {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", header.parse().unwrap());
            assert_eq!(patience(&metadata), expected, "{header}");
        }
        assert_eq!(patience(&MetadataMap::new()), None);
    }
}
