//! One eviction: the request, and what its answer means.

use std::time::Duration;

use http::header::RETRY_AFTER;
use k8s_openapi::{
    api::{core::v1::Pod, policy::v1::Eviction},
    apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions},
};
use kube::{
    Client, Resource as _,
    api::{DeleteParams, PostParams},
    client::Body,
    core::{Request, Status, response::StatusDetails},
};
use tokio::time::timeout;

use super::PodRef;
use crate::cluster::retry::{error_message, is_transient};

/// The apiserver itself gives up after 34 s.
const CALL: Duration = Duration::from_secs(40);

/// What the causes of a Status say when a budget forbids an eviction, and when the namespace is being deleted.
const BUDGET: &str = "DisruptionBudget";
const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The pod was told to go.
    Accepted,
    /// Another pod is started in its place; its Deployment takes it away when that is ready.
    Replacing { deployment: String },
    /// This pod is no more; there may be another one of its name.
    Gone,
    /// A budget forbids it for now.
    Blocked { budget: Option<String>, message: String, retry_after: Duration },
    /// The pod's namespace is being deleted, so that nothing can be created in it, not even an eviction. Its pods are on
    /// their way out or will be.
    NamespaceTerminating,
    /// The server is busy, starting, stopping or not there: the same question may be answered later.
    Later { message: String, retry_after: Duration },
    /// The answer will stay the same.
    Failed { message: String },
}

/// What to ask of the server for each pod.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// Seconds instead of each pod's own grace.
    pub(super) grace_seconds: Option<u32>,
    /// Delete instead of evicting: budgets do not count.
    pub(super) delete: bool,
    /// Ask what would happen.
    pub(super) dry_run: bool,
}

/// Asks the server to evict exactly this pod.
pub(super) async fn evict(client: &Client, pod: &PodRef, manner: Manner) -> Outcome {
    let request = match request(pod, manner) {
        Ok(request) => request,
        Err(error) => return Outcome::Failed { message: crate::words::chain(&error) },
    };
    match timeout(CALL, send(client, request)).await {
        Ok(Ok(())) => Outcome::Accepted,
        Ok(Err(error)) => outcome(&error),
        Err(_) => Outcome::Later { message: "the API did not answer".into(), retry_after: Duration::ZERO },
    }
}

/// By hand: kube's own `Api::evict` sends options under a name that Kubernetes does not know, and so loses UID and grace.
fn request(pod: &PodRef, manner: Manner) -> Result<http::Request<Vec<u8>>, kube::core::request::Error> {
    let options = DeleteOptions {
        grace_period_seconds: manner.grace_seconds.map(i64::from),
        preconditions: Some(Preconditions { uid: Some(pod.uid.clone()), ..Preconditions::default() }),
        dry_run: manner.dry_run.then(|| vec!["All".to_owned()]),
        ..DeleteOptions::default()
    };
    let pods = Request::new(Pod::url_path(&(), Some(&pod.namespace)));
    if manner.delete {
        let mut request = pods.delete(&pod.name, &DeleteParams::default())?;
        *request.body_mut() = serde_json::to_vec(&options).map_err(kube::core::request::Error::SerializeBody)?;
        return Ok(request);
    }
    let eviction = Eviction {
        metadata: ObjectMeta {
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            ..ObjectMeta::default()
        },
        delete_options: Some(options),
    };
    let body = serde_json::to_vec(&eviction).map_err(kube::core::request::Error::SerializeBody)?;
    pods.create_subresource("eviction", &pod.name, &PostParams::default(), body)
}

/// kube's own `Client::request` would lose the header Retry-After, all that a busy server says about when to come back.
async fn send(client: &Client, request: http::Request<Vec<u8>>) -> Result<(), kube::Error> {
    let (answer, body) = client.send(request.map(Body::from)).await?.into_parts();
    // A connection takes the next call only when its last answer has been read to the end.
    let text = body.collect_bytes().await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let mut status: Status = serde_json::from_slice(&text).unwrap_or_else(|_| {
        // Not from the API's own handlers: priority and fairness, a server that shuts down, a proxy.
        let words = String::from_utf8_lossy(&text).trim().to_owned();
        Status::failure(&words, "").with_code(answer.status.as_u16())
    });
    let seconds = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match (&mut status.details, seconds) {
        (Some(details), Some(seconds)) => details.retry_after_seconds = details.retry_after_seconds.max(seconds),
        (details @ None, Some(seconds)) => *details = Some(only_retry_after(seconds)),
        (_, None) => {}
    }
    Err(kube::Error::Api(status.boxed()))
}

fn only_retry_after(seconds: u32) -> StatusDetails {
    let none = String::new;
    StatusDetails {
        name: none(),
        group: none(),
        kind: none(),
        uid: none(),
        causes: Vec::new(),
        retry_after_seconds: seconds,
    }
}

/// What a refusal means.
pub(super) fn outcome(error: &kube::Error) -> Outcome {
    let message = error_message(error);
    let kube::Error::Api(status) = error else {
        return Outcome::Later { message, retry_after: Duration::ZERO };
    };
    let details = status.details.as_ref();
    let retry_after = Duration::from_secs(details.map_or(0, |details| details.retry_after_seconds).into());
    match status.code {
        404 if is_missing(status) => Outcome::Gone,
        409 if is_uid_conflict(status) => Outcome::Gone,
        409 => Outcome::Later { message, retry_after },
        429 => match cause(details, BUDGET) {
            Some(words) => Outcome::Blocked { budget: budget_in(words), message: said(words, &message), retry_after },
            None => Outcome::Later { message, retry_after },
        },
        403 if cause(details, NAMESPACE_TERMINATING).is_some() => Outcome::NamespaceTerminating,
        // More than one budget matches the pod; other 500s are the server's own trouble.
        500 if message.contains("more than one PodDisruptionBudget") => Outcome::Failed { message },
        _ if is_transient(error) => Outcome::Later { message, retry_after },
        _ => Outcome::Failed { message },
    }
}

/// Whether it is the pod, or its whole namespace, that was not found; a server or proxy that does not know evictions answers
/// 404 as well.
fn is_missing(status: &Status) -> bool {
    ["pods", "namespaces"].iter().any(|kind| status.message.starts_with(&format!("{kind} \"")))
}

/// The server's words for "there is a pod of this name, but not the one with this UID".
fn is_uid_conflict(status: &Status) -> bool {
    status.message.contains("UID in precondition")
        || status.message.contains("The object might have been deleted and then recreated")
}

fn cause<'d>(details: Option<&'d StatusDetails>, reason: &str) -> Option<&'d str> {
    details?.causes.iter().find(|cause| cause.reason == reason).map(|cause| cause.message.as_str())
}

/// The budget's name in `The disruption budget NAME needs …`: all of the server's texts begin like this.
fn budget_in(words: &str) -> Option<String> {
    words.strip_prefix("The disruption budget ")?.split_whitespace().next().map(str::to_owned)
}

/// The cause's words say more than the message; old servers leave them out.
fn said(words: &str, message: &str) -> String {
    if words.is_empty() { message.to_owned() } else { words.to_owned() }
}

#[cfg(test)]
mod tests {
    use kube::core::response::StatusCause;

    use super::*;

    fn answer(code: u16, message: &str, cause: Option<(&str, &str)>, retry_after_seconds: u32) -> Outcome {
        let causes = cause.map(|(reason, message)| StatusCause {
            reason: reason.into(),
            message: message.into(),
            field: String::new(),
        });
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: causes.into_iter().collect(),
            retry_after_seconds,
        };
        outcome(&kube::Error::Api(Status::failure(message, "").with_code(code).with_details(details).boxed()))
    }

    fn later(message: &str, seconds: u64) -> Outcome {
        Outcome::Later { message: message.into(), retry_after: Duration::from_secs(seconds) }
    }

    #[test]
    fn each_answer_of_the_server_has_its_meaning() {
        let violates = "Cannot evict pod as it would violate the pod's disruption budget.";
        let needs = "The disruption budget web needs 8 healthy pods and has 8 currently";
        let processed = "The disruption budget web is still being processed by the server.";
        let failed = |message: &str| Outcome::Failed { message: message.into() };
        let table = [
            ((404, "pods \"a\" not found", None, 0), Outcome::Gone),
            ((404, "namespaces \"web\" not found", None, 0), Outcome::Gone),
            ((404, "404 page not found", None, 0), failed("404 page not found")),
            (
                (404, "the server could not find the requested resource", None, 0),
                failed("the server could not find the requested resource"),
            ),
            (
                (
                    409,
                    "Operation cannot be fulfilled on Pod \"a\": the UID in the precondition (u1) does not match the UID in \
                     record (u2). The object might have been deleted and then recreated",
                    None,
                    0,
                ),
                Outcome::Gone,
            ),
            ((409, "the object has been modified", None, 0), later("the object has been modified", 0)),
            (
                (429, violates, Some((BUDGET, needs)), 0),
                Outcome::Blocked { budget: Some("web".into()), message: needs.into(), retry_after: Duration::ZERO },
            ),
            (
                (429, violates, Some((BUDGET, processed)), 10),
                Outcome::Blocked {
                    budget: Some("web".into()),
                    message: processed.into(),
                    retry_after: Duration::from_secs(10),
                },
            ),
            (
                (429, violates, Some((BUDGET, "")), 0),
                Outcome::Blocked { budget: None, message: violates.into(), retry_after: Duration::ZERO },
            ),
            // Priority and fairness, and a server that shuts down, answer in plain text.
            (
                (429, "Too many requests, please try again later.", None, 0),
                later("Too many requests, please try again later.", 0),
            ),
            ((429, "the watch cache is not ready", None, 2), later("the watch cache is not ready", 2)),
            (
                (403, "forbidden", Some((NAMESPACE_TERMINATING, "namespace web is being terminated")), 0),
                Outcome::NamespaceTerminating,
            ),
            (
                (403, "forbidden: not yet ready to handle request", None, 0),
                later("forbidden: not yet ready to handle request", 0),
            ),
            ((403, "pods \"a\" is forbidden", None, 0), failed("pods \"a\" is forbidden")),
            (
                (
                    500,
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                    None,
                    0,
                ),
                failed(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ),
            ),
            ((500, "etcdserver: leader changed", None, 0), later("etcdserver: leader changed", 0)),
            (
                (503, "the server is currently unable to handle the request", None, 1),
                later("the server is currently unable to handle the request", 1),
            ),
            ((504, "timeout", None, 10), later("timeout", 10)),
            ((400, "bad request", None, 0), failed("bad request")),
            ((422, "invalid", None, 0), failed("invalid")),
        ];
        for ((code, message, cause, retry_after), expected) in table {
            assert_eq!(answer(code, message, cause, retry_after), expected, "{code} {message}");
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_asked_again() {
        let refused = kube::Error::Service(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)));
        assert_eq!(outcome(&refused), later("connection refused", 0));
    }
}
