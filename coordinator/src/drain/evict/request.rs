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
use usher_core::drain::DrainOptions;

use crate::{
    cluster::retry::{error_message, is_transient},
    drain::report::PodRef,
};

/// The apiserver itself gives up after 34 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);

/// The causes in a Status when a budget forbids an eviction, and when the namespace is being deleted.
const BUDGET: &str = "DisruptionBudget";
const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The pod terminates.
    Accepted,
    /// Another pod is being started; the Deployment removes this one when that is ready.
    Replacing { deployment: String },
    /// This pod no longer exists; there may be another one of its name.
    Gone,
    /// A budget forbids it for now.
    Blocked { budget: Option<String>, message: String, retry_after: Duration },
    /// An admission webhook denies it, with its words. It may have begun to move the pod by other means, and change its mind.
    Denied { webhook: String, message: String },
    /// The pod's namespace is being deleted, so that nothing can be created in it, not even an eviction. The namespace
    /// controller deletes its pods.
    NamespaceTerminating,
    /// The server is busy, starting, stopping or unreachable: the same request may succeed later.
    Retry { message: String, retry_after: Duration },
    /// The answer will not change.
    Failed { message: String },
}

/// How a pod is evicted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EvictionOptions {
    /// Seconds instead of the pod's own grace period.
    pub(crate) grace_seconds: Option<u32>,
    /// Delete instead of evicting: budgets do not count.
    pub(crate) delete: bool,
    pub(crate) dry_run: bool,
}

impl From<&DrainOptions> for EvictionOptions {
    fn from(options: &DrainOptions) -> Self {
        Self { grace_seconds: options.grace_seconds, delete: options.disable_eviction, dry_run: false }
    }
}

/// Asks the server to evict this very pod, not a successor of the same name.
pub(crate) async fn evict(client: &Client, pod: &PodRef, options: EvictionOptions) -> Outcome {
    let request = match request(pod, options) {
        Ok(request) => request,
        Err(error) => return Outcome::Failed { message: usher_common::chain(&error) },
    };
    match timeout(REQUEST_TIMEOUT, send(client, request)).await {
        Ok(Ok(())) => Outcome::Accepted,
        Ok(Err(error)) => outcome(&error),
        Err(_) => Outcome::Retry { message: "the API did not answer".into(), retry_after: Duration::ZERO },
    }
}

/// Built by hand: kube's `Api::evict` sends the options under a name that Kubernetes does not know, and so loses UID and
/// grace period.
fn request(pod: &PodRef, options: EvictionOptions) -> Result<http::Request<Vec<u8>>, kube::core::request::Error> {
    let delete_options = DeleteOptions {
        grace_period_seconds: options.grace_seconds.map(i64::from),
        preconditions: Some(Preconditions { uid: Some(pod.uid.clone()), ..Preconditions::default() }),
        dry_run: options.dry_run.then(|| vec!["All".to_owned()]),
        ..DeleteOptions::default()
    };
    let pods = Request::new(Pod::url_path(&(), Some(&pod.namespace)));
    if options.delete {
        let mut request = pods.delete(&pod.name, &DeleteParams::default())?;
        *request.body_mut() = serde_json::to_vec(&delete_options).map_err(kube::core::request::Error::SerializeBody)?;
        return Ok(request);
    }
    let eviction = Eviction {
        metadata: ObjectMeta {
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            ..ObjectMeta::default()
        },
        delete_options: Some(delete_options),
    };
    let body = serde_json::to_vec(&eviction).map_err(kube::core::request::Error::SerializeBody)?;
    pods.create_subresource("eviction", &pod.name, &PostParams::default(), body)
}

/// kube's `Client::request` would lose the header Retry-After, which alone says when a busy server wants to be asked again.
async fn send(client: &Client, request: http::Request<Vec<u8>>) -> Result<(), kube::Error> {
    let (answer, body) = client.send(request.map(Body::from)).await?.into_parts();
    // A connection is reused only after its last response has been read to the end.
    let text = body.collect_bytes().await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let mut status: Status = serde_json::from_slice(&text).unwrap_or_else(|_| {
        // Not from the API's handlers: priority and fairness, a server that shuts down, a proxy.
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        Status::failure(&text, "").with_code(answer.status.as_u16())
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

/// What an error means for an eviction.
pub(crate) fn outcome(error: &kube::Error) -> Outcome {
    let message = error_message(error);
    let kube::Error::Api(status) = error else {
        return Outcome::Retry { message, retry_after: Duration::ZERO };
    };
    let details = status.details.as_ref();
    let retry_after = Duration::from_secs(details.map_or(0, |details| details.retry_after_seconds).into());
    if let Some(webhook) = denied_by(&message) {
        return Outcome::Denied { webhook: webhook.to_owned(), message };
    }
    match status.code {
        404 if is_missing(status) => Outcome::Gone,
        409 if is_uid_conflict(status) => Outcome::Gone,
        409 => Outcome::Retry { message, retry_after },
        // The cause says more than the message; old servers leave it empty.
        429 => match cause(details, BUDGET) {
            Some(cause) => {
                let message = if cause.is_empty() { message } else { cause.to_owned() };
                Outcome::Blocked { budget: budget_in(cause), message, retry_after }
            }
            None => Outcome::Retry { message, retry_after },
        },
        403 if cause(details, NAMESPACE_TERMINATING).is_some() => Outcome::NamespaceTerminating,
        // More than one budget matches the pod; other 500s are trouble of the server.
        500 if message.contains("more than one PodDisruptionBudget") => Outcome::Failed { message },
        _ if is_transient(error) => Outcome::Retry { message, retry_after },
        _ => Outcome::Failed { message },
    }
}

/// The webhook whose own words these are, behind the server's preface. Of one that does not answer it says `failed calling webhook`.
fn denied_by(message: &str) -> Option<&str> {
    let (webhook, rest) = message.strip_prefix("admission webhook \"")?.split_once('"')?;
    rest.starts_with(" denied the request").then_some(webhook)
}

/// Whether the pod or its namespace was not found; a server or proxy that does not know evictions answers 404 as well.
fn is_missing(status: &Status) -> bool {
    ["pods", "namespaces"].iter().any(|kind| status.message.starts_with(&format!("{kind} \"")))
}

/// The server's message for "there is a pod of this name, but not with this UID".
fn is_uid_conflict(status: &Status) -> bool {
    status.message.contains("UID in precondition")
        || status.message.contains("The object might have been deleted and then recreated")
}

fn cause<'d>(details: Option<&'d StatusDetails>, reason: &str) -> Option<&'d str> {
    details?.causes.iter().find(|cause| cause.reason == reason).map(|cause| cause.message.as_str())
}

/// The budget's name in `The disruption budget NAME needs …`: all of the server's messages begin like this.
fn budget_in(cause: &str) -> Option<String> {
    cause.strip_prefix("The disruption budget ")?.split_whitespace().next().map(str::to_owned)
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

    fn retry(message: &str, seconds: u64) -> Outcome {
        Outcome::Retry { message: message.into(), retry_after: Duration::from_secs(seconds) }
    }

    #[test]
    fn each_answer_of_the_server_has_its_meaning() {
        let violates = "Cannot evict pod as it would violate the pod's disruption budget.";
        let needs = "The disruption budget web needs 8 healthy pods and has 8 currently";
        let processed = "The disruption budget web is still being processed by the server.";
        let keeps = "admission webhook \"keep.example\" denied the request: it is moved by its operator";
        let away = "Internal error occurred: failed calling webhook \"keep.example\": connection refused";
        let denied = || Outcome::Denied { webhook: "keep.example".into(), message: keeps.into() };
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
            ((409, "the object has been modified", None, 0), retry("the object has been modified", 0)),
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
                retry("Too many requests, please try again later.", 0),
            ),
            ((429, "the watch cache is not ready", None, 2), retry("the watch cache is not ready", 2)),
            (
                (403, "forbidden", Some((NAMESPACE_TERMINATING, "namespace web is being terminated")), 0),
                Outcome::NamespaceTerminating,
            ),
            (
                (403, "forbidden: not yet ready to handle request", None, 0),
                retry("forbidden: not yet ready to handle request", 0),
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
            ((500, "etcdserver: leader changed", None, 0), retry("etcdserver: leader changed", 0)),
            (
                (503, "the server is currently unable to handle the request", None, 1),
                retry("the server is currently unable to handle the request", 1),
            ),
            ((504, "timeout", None, 10), retry("timeout", 10)),
            ((400, "bad request", None, 0), failed("bad request")),
            // A webhook chooses the code itself.
            ((400, keeps, None, 0), denied()),
            ((403, keeps, None, 0), denied()),
            ((409, keeps, None, 0), denied()),
            ((422, keeps, None, 0), denied()),
            ((429, keeps, None, 0), denied()),
            ((500, keeps, None, 0), denied()),
            ((500, away, None, 0), retry(away, 0)),
            ((422, "invalid", None, 0), failed("invalid")),
        ];
        for ((code, message, cause, retry_after), expected) in table {
            assert_eq!(answer(code, message, cause, retry_after), expected, "{code} {message}");
        }
    }

    #[test]
    fn an_unreachable_server_is_asked_again() {
        let refused = kube::Error::Service(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)));
        assert_eq!(outcome(&refused), retry("connection refused", 0));
    }
}
