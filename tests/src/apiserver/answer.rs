//! Answers: objects, `metav1.Status`, plain text, streams.

use std::io;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    resource::{NODES, Resource},
    store::Key,
};

/// The body of every answer. An error in it is a connection that broke.
pub type ReplyBody = UnsyncBoxBody<Bytes, io::Error>;
pub(super) type Reply = Response<ReplyBody>;

/// A refusal as `metav1.Status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status code.
    pub code: u16,
    /// Kubernetes' machine-readable reason; may be empty.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// `details.causes`: reason and message.
    pub causes: Vec<(&'static str, String)>,
    /// `details.retryAfterSeconds` and the Retry-After header; 0 sets neither.
    pub retry_after: u32,
    about: Option<(&'static Resource, String)>,
}

impl Failure {
    /// A refusal with neither causes nor details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), causes: Vec::new(), retry_after: 0, about: None }
    }

    /// Adds a cause.
    #[must_use]
    pub fn cause(mut self, reason: &'static str, message: impl Into<String>) -> Self {
        self.causes.push((reason, message.into()));
        self
    }

    /// Asks the client to come back after this many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = seconds;
        self
    }

    pub(super) fn about(mut self, resource: &'static Resource, name: &str) -> Self {
        self.about = Some((resource, name.to_owned()));
        self
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn not_found(resource: &'static Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::new(404, "NotFound", message).about(resource, name)
    }

    pub(super) fn already_exists(resource: &'static Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    fn conflict(key: &Key, called: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {called} \"{}\": {why}", key.name);
        Self::new(409, "Conflict", message).about(key.resource, &key.name)
    }

    pub(super) fn modified(key: &Key) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(key, &key.resource.qualified(), why)
    }

    /// A PUT for an object with another uid: the storage layer says so in its own way.
    pub(super) fn another_uid(key: &Key, wanted: &str, uid: &str) -> Self {
        let place = if key.resource == NODES { "minions" } else { key.resource.plural };
        let path = [place, &key.namespace, &key.name].into_iter().filter(|step| !step.is_empty());
        let path = path.collect::<Vec<_>>().join("/");
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{path}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
        );
        Self::conflict(key, &key.resource.qualified(), &why)
    }

    /// A precondition of a deletion that does not hold. These messages name the kind.
    pub(super) fn precondition(key: &Key, why: &str) -> Self {
        Self::conflict(key, &key.resource.qualified_kind(), why)
    }

    /// A field that cannot be what it is: the field, the value, and why.
    pub(super) fn invalid(resource: &'static Resource, name: &str, field: &str, value: &str, why: &str) -> Self {
        let message =
            format!("{} \"{name}\" is invalid: {field}: Invalid value: {value}: {why}", resource.qualified_kind());
        Self::new(422, "Invalid", message)
            .cause("FieldValueInvalid", format!("Invalid value: {value}: {why}"))
            .about(resource, name)
    }

    /// A PUT without a version where one is needed.
    pub(super) fn version_needed(key: &Key) -> Self {
        let field = "metadata.resourceVersion";
        let failure = Self::invalid(key.resource, &key.name, field, "0", "must be specified for an update");
        let message = failure.message.replacen(&key.resource.qualified_kind(), &key.resource.qualified(), 1);
        Self { message, ..failure }
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// The `metav1.Status`.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        let mut details = json!({});
        if let Some((resource, name)) = &self.about {
            details["name"] = name.as_str().into();
            details["kind"] = if self.code == 422 { resource.kind } else { resource.plural }.into();
            if !resource.group.is_empty() {
                details["group"] = resource.group.into();
            }
        }
        if !self.causes.is_empty() {
            details["causes"] =
                self.causes.iter().map(|(reason, message)| json!({"reason": reason, "message": message})).collect();
        }
        if self.retry_after > 0 {
            details["retryAfterSeconds"] = self.retry_after.into();
        }
        if details.as_object().is_some_and(|details| !details.is_empty()) {
            status["details"] = details;
        }
        status
    }

    pub(super) fn reply(&self) -> Reply {
        let mut reply = object(self.code, &self.status());
        if self.retry_after > 0 {
            reply.headers_mut().insert(header::RETRY_AFTER, self.retry_after.into());
        }
        reply
    }
}

/// The Status of a deletion that left nothing behind.
pub(super) fn deleted(key: &Key, uid: &Value) -> Value {
    let mut details = json!({"name": key.name, "kind": key.resource.plural, "uid": uid});
    if !key.resource.group.is_empty() {
        details["group"] = key.resource.group.into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

pub(super) fn object(code: u16, value: &impl Serialize) -> Reply {
    // What is stored here has names for keys, so that it can always be written.
    body(code, "application/json", serde_json::to_string(value).unwrap_or_default())
}

pub(super) fn text(code: u16, words: &str) -> Reply {
    body(code, "text/plain; charset=utf-8", words.to_owned())
}

fn body(code: u16, content_type: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Full::from(body).map_err(|never| match never {}).boxed_unsync());
    *reply.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    reply
}
