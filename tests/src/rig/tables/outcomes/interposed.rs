//! What happens between the list and the eviction, so that it happens each time.

use http::Method;
use kube::{Client, client::Body};
use tokio::sync::watch;
use tower::{BoxError, service_fn};

use super::{
    super::place::{POD, Place},
    row::{
        Event::{ReplacedElsewhere, ReplacedHere, Vanishes},
        Row,
    },
};

/// The server, but for what happens just before the first eviction reaches it. Until that is answered no watch begins, so that
/// the answer alone tells what has happened.
pub(super) fn interposed(place: &Place, row: &Row) -> Client {
    let (event, pod) = (row.event, row.pod.clone());
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
