//! The gate between a coordinator and the API server.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::json;
use tower::{Service, ServiceExt as _};
use usher_coordinator::cluster::Cluster;

use super::{
    blow::{ApiFault, Moment},
    mutant::reply,
    process::Process,
    world::World,
};
use crate::{apiserver::ReplyBody, systemd::CallMoment};

/// The API as this process reaches it: through the balancer, and each apiserver for itself.
pub(super) fn cluster(world: &Arc<World>, process: &Process) -> Cluster {
    let balancer = client(world, process, "", world.scene().api().service());
    let (world, process) = (Arc::clone(world), process.clone());
    Cluster::over(balancer, "sim", "memory").with_apiservers(move |url| {
        let host = url.trim_start_matches("https://").split(':').next().unwrap_or_default();
        let machine = world.scene().machine(host);
        let instance = machine.and_then(|machine| world.scene().hands(machine).apiserver.clone());
        match (machine, instance) {
            (Some(machine), Some(instance)) => Ok(client(&world, &process, machine, instance.service())),
            _ => Err(format!("nobody is at {url}")),
        }
    })
}

/// A client whose requests pass the gate. `via` is the machine of a single apiserver.
fn client<S>(world: &Arc<World>, process: &Process, via: &'static str, server: S) -> kube::Client
where
    S: Service<Request<Body>, Response = Response<ReplyBody>, Error = io::Error, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let (world, process) = (Arc::clone(world), process.clone());
    let service = tower::service_fn(move |request| {
        let gate = Gate { world: Arc::clone(&world), process: process.clone(), via };
        gate.ask(request, server.clone())
    });
    kube::Client::new(service, "default")
}

struct Gate {
    world: Arc<World>,
    process: Process,
    via: &'static str,
}

impl Gate {
    async fn ask<S>(self, request: Request<Body>, server: S) -> io::Result<Response<ReplyBody>>
    where
        S: Service<Request<Body>, Response = Response<ReplyBody>, Error = io::Error, Future: Send>,
    {
        let Self { world, process, via } = &self;
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.map_err(io::Error::other)?;
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let is_write = method != Method::GET && !path.ends_with("/selfsubjectaccessreviews");
        let what = format!("{method} {via}{}", parts.uri);
        // Asked when it is sent: what a frozen process was about to send gets there when it is thawed, and nobody can help that.
        if is_write {
            world.rules().begins(world.scene(), process.name(), (&method, &path, &String::from_utf8_lossy(&body)));
        }
        process.begins().await;
        world.latency().await;
        process.passes().await;

        let fault = self.moment(is_write, &what, CallMoment::Before);
        process.passes().await;
        if !world.api_is_there() {
            world.note(process.name(), &format!("{what}: nobody answers"));
            return Err(io::Error::new(ErrorKind::ConnectionRefused, "connection refused"));
        }
        let request = Request::from_parts(parts, Body::from(body));
        let answer = match fault {
            Some(ApiFault::Refuse) => Err(io::Error::new(ErrorKind::ConnectionRefused, "connection refused")),
            Some(ApiFault::Fail) => Ok(failure()),
            Some(ApiFault::LoseAnswer) => {
                server.oneshot(request).await?;
                Err(io::Error::new(ErrorKind::ConnectionReset, "the answer was lost"))
            }
            None => server.oneshot(request).await,
        };
        let answer = match (world.mutant(), answer) {
            (Some(mutant), Ok(answer)) => mutant.answer((&method, via, &path), answer).await,
            (_, answer) => answer,
        };
        let told = answer.as_ref().map_or_else(ToString::to_string, |answer| answer.status().as_u16().to_string());
        world.note(process.name(), &format!("{what}: {told}"));
        if is_write {
            world.saw();
        }

        let lost = self.moment(is_write, &what, CallMoment::After);
        world.latency().await;
        process.passes().await;
        match lost {
            Some(_) => Err(io::Error::new(ErrorKind::ConnectionReset, "the answer was lost")),
            None => answer,
        }
    }

    /// What goes wrong with the request here. Reads are no moments of their own: a kill there is one at a look.
    fn moment(&self, is_write: bool, what: &str, at: CallMoment) -> Option<ApiFault> {
        let counted = match at {
            CallMoment::Before => self.world.requested(),
            CallMoment::After => None,
        };
        if !is_write {
            return counted;
        }
        self.world.moment(&Moment { machine: None, what: what.to_owned(), at }).or(counted)
    }
}

fn failure() -> Response<ReplyBody> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500, "reason": "InternalError",
        "message": "etcdserver: request timed out",
    });
    reply(500, &status)
}
