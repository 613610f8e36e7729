//! `NodeLocal`: what the node's own root asks for.

use jiff::SignedDuration;
use tonic::{Request, Response, Status};
use usher_proto::v1::{self, node_local_server::NodeLocal};

use super::{Service, audit::Received, convert, peer, to_the_end};
use crate::operations::NewHold;

#[tonic::async_trait]
impl NodeLocal for Service {
    async fn request_restart(
        &self,
        request: Request<v1::RequestRestartRequest>,
    ) -> Result<Response<v1::RequestRestartResponse>, Status> {
        let (peer, service) = (peer(&request)?, self.clone());
        let v1::RequestRestartRequest { unit, reason, requester, if_sole } = request.into_inner();
        let wanted = to_the_end(async move {
            let description = format!("note that {unit} is to be restarted");
            let received = Received::local(
                service.audit.clone(),
                ("RequestRestart", description),
                &unit,
                (&reason, &requester),
                &peer,
            );
            let received = received.await;
            let answer = service.operations.request_restart(&unit, &reason, &requester, if_sole).await;
            received.answered(&answer).await;
            answer.map(|wanted| convert::wanted(unit, wanted))
        });
        Ok(Response::new(v1::RequestRestartResponse { wanted: Some(wanted.await?) }))
    }

    async fn await_restart(
        &self,
        request: Request<v1::AwaitRestartRequest>,
    ) -> Result<Response<v1::AwaitRestartResponse>, Status> {
        let v1::AwaitRestartRequest { unit, invocation_id } = request.into_inner();
        let awaited = self.operations.await_restart(&unit, &invocation_id).await?;
        Ok(Response::new(v1::AwaitRestartResponse {
            settled: awaited.settled,
            unit: Some(convert::unit(awaited.unit, String::new(), None, false)),
            operation: awaited.operation.map(convert::operation),
        }))
    }

    async fn withdraw_restart(
        &self,
        request: Request<v1::WithdrawRestartRequest>,
    ) -> Result<Response<v1::WithdrawRestartResponse>, Status> {
        let (peer, service) = (peer(&request)?, self.clone());
        let v1::WithdrawRestartRequest { unit, requester, reason } = request.into_inner();
        let withdrawn = to_the_end(async move {
            let description = format!("take back the requests to restart {unit}");
            let call = ("WithdrawRestart", description);
            let received = Received::local(service.audit.clone(), call, &unit, (&reason, &requester), &peer).await;
            let answer = service.operations.withdraw_restart(&unit).await;
            received.answered(&answer).await;
            answer
        });
        Ok(Response::new(v1::WithdrawRestartResponse { withdrawn: withdrawn.await? }))
    }

    async fn set_hold(&self, request: Request<v1::SetHoldRequest>) -> Result<Response<v1::SetHoldResponse>, Status> {
        let (peer, service) = (peer(&request)?, self.clone());
        let v1::SetHoldRequest { owner, reason, lasts, requester } = request.into_inner();
        // One that is out of the range of times is refused as zero is.
        let lasts = lasts.map(|lasts| convert::signed(lasts).unwrap_or(SignedDuration::ZERO));
        let hold = NewHold { owner, reason, requester, lasts };
        let set = to_the_end(async move {
            let call = ("SetHold", format!("hold the node for {:?}", hold.owner));
            let asked = (hold.reason.as_str(), hold.requester.as_str());
            let received = Received::local(service.audit.clone(), call, "", asked, &peer).await;
            let answer = service.operations.set_hold(hold).await;
            received.answered(&answer).await;
            answer
        });
        Ok(Response::new(v1::SetHoldResponse { hold: Some(convert::owned_hold(set.await?)) }))
    }

    async fn release_hold(
        &self,
        request: Request<v1::ReleaseHoldRequest>,
    ) -> Result<Response<v1::ReleaseHoldResponse>, Status> {
        let (peer, service) = (peer(&request)?, self.clone());
        let v1::ReleaseHoldRequest { owner, requester } = request.into_inner();
        let released = to_the_end(async move {
            let call = ("ReleaseHold", format!("end the hold of {owner:?}"));
            let received = Received::local(service.audit.clone(), call, "", ("", &requester), &peer).await;
            let answer = service.operations.release_hold(&owner, &requester).await;
            received.answered(&answer).await;
            answer
        });
        released.await?;
        Ok(Response::new(v1::ReleaseHoldResponse {}))
    }
}
