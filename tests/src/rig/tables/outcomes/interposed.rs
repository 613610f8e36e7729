//! What happens between the list and the eviction, so that it happens each time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::Method;
use kube::{Client, client::Body};
use serde_json::json;
use tokio::sync::watch;
use tower::{BoxError, service_fn};

use super::{
    super::place::{POD, Place},
    row::{
        Event::{Denied, DeniedAndMoved, ReplacedElsewhere, ReplacedHere, Vanishes},
        Row,
    },
};

/// What the table says of it.
const DENIED: &str = "admission webhook \"keep.example\" denied the request: it is moved by its operator";

/// The server, but for what happens just before the first eviction reaches it. Until that is answered no watch begins, so that
/// the answer alone tells what has happened.
pub(super) fn interposed(place: &Place, row: &Row) -> Client {
    let (event, pod) = (row.event, row.pod.clone());
    if matches!(event, Denied | DeniedAndMoved) {
        return denied(place, event == DeniedAndMoved);
    }
    if !matches!(event, Vanishes | ReplacedElsewhere | ReplacedHere) {
        return place.client.clone();
    }
    let (client, name) = (place.client.clone(), place.name.clone());
    let (answered, is_answered) = watch::channel(false);
    let service = service_fn(move |request: http::Request<Body>| {
        let asked = request.method() == Method::POST || request.method() == Method::DELETE;
        let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let (client, pod, answered, mut is_answered) =
            (client.clone(), pod.clone(), answered.clone(), is_answered.clone());
        let place = Place { client: client.clone(), name: name.clone() };
        async move {
            if watches {
                is_answered.wait_for(|answered| *answered).await?;
            }
            let first = asked && !*is_answered.borrow();
            if first {
                place.delete(0).await;
                match event {
                    ReplacedElsewhere => drop(place.pod_on("elsewhere", POD, &pod).await),
                    ReplacedHere => drop(place.pod(POD, &pod).await),
                    _ => {}
                }
            }
            let answer = client.send(request).await;
            if first {
                answered.send_replace(true);
            }
            answer.map_err(BoxError::from)
        }
    });
    Client::new(service, "default")
}

/// The server behind an admission webhook, which is played here: a real one would need certificates and a service.
fn denied(place: &Place, moved: bool) -> Client {
    let (client, name) = (place.client.clone(), place.name.clone());
    let tries = Arc::new(AtomicUsize::new(0));
    let service = service_fn(move |request: http::Request<Body>| {
        let evicts = request.uri().path().ends_with("/eviction");
        let again = evicts && tries.fetch_add(1, Ordering::Relaxed) > 0;
        let client = client.clone();
        let place = Place { client: client.clone(), name: name.clone() };
        async move {
            if !evicts {
                return client.send(request).await.map_err(BoxError::from);
            }
            if moved && again {
                place.delete(0).await;
            }
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": DENIED,
                "reason": "Forbidden", "code": 403,
            });
            let answer = http::Response::builder().status(403).header("content-type", "application/json");
            answer.body(Body::from(status.to_string().into_bytes())).map_err(BoxError::from)
        }
    });
    Client::new(service, "default")
}
