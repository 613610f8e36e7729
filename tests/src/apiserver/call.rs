//! A request, taken apart.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Method, header, request::Parts};
use serde_json::Value;

use super::{answer::Failure, managed::Writer, resource::Resource};

/// One request with its whole body.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) raw_query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// All objects of a kind, in one namespace or everywhere.
    Collection { resource: &'static Resource, namespace: Option<String> },
    /// One object or a subresource of it.
    Object { resource: &'static Resource, namespace: String, name: String, subresource: Option<String> },
    /// Not an object's path: health, discovery, or nothing.
    Other,
}

impl Call {
    pub(super) fn new(parts: Parts, body: Bytes) -> Self {
        let raw_query = parts.uri.query().unwrap_or_default().to_owned();
        let query = form_urlencoded::parse(raw_query.as_bytes()).into_owned().collect();
        Self { method: parts.method, path: parts.uri.path().to_owned(), query, raw_query, headers: parts.headers, body }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.query.get(name).map(String::as_str), Some("true" | "1"))
    }

    pub(super) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether nothing is to be stored. The only value that Kubernetes knows is `All`.
    pub(super) fn dry_run(&self) -> Result<bool, Failure> {
        dry_run(self.parameter("dryRun"))
    }

    /// Who writes, and whether in earnest.
    pub(super) fn writer(&self) -> Result<Writer<'_>, Failure> {
        let agent = self.header(header::USER_AGENT).split('/').next().filter(|agent| !agent.is_empty());
        let manager = self.parameter("fieldManager").or(agent).unwrap_or("unknown");
        Ok(Writer { manager, dry_run: self.dry_run()? })
    }

    /// The body as JSON; an empty body is null.
    pub(super) fn json(&self) -> Result<Value, Failure> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::bad_request(format!("the body is no JSON (this double takes no other): {error}")))
    }

    pub(super) fn target(&self) -> Target {
        let segments: Vec<&str> = self.path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Target::Other,
        };
        // `/namespaces/x/status` is a subresource of x, `/namespaces/x/pods` a collection in it.
        let (namespace, rest) = match rest {
            ["namespaces", namespace, inner @ ..] if !matches!(inner, [] | ["status" | "finalize"]) => {
                (Some((*namespace).to_owned()), inner)
            }
            rest => (None, rest),
        };
        let Some(resource) = rest.first().and_then(|plural| Resource::find(group, version, plural)) else {
            return Target::Other;
        };
        match rest {
            [_] => Target::Collection { resource, namespace },
            [_, name, inner @ ..] if inner.len() <= 1 && resource.namespaced == namespace.is_some() => Target::Object {
                resource,
                namespace: namespace.unwrap_or_default(),
                name: (*name).to_owned(),
                subresource: inner.first().map(|inner| (*inner).to_owned()),
            },
            _ => Target::Other,
        }
    }
}

pub(super) fn dry_run(value: Option<&str>) -> Result<bool, Failure> {
    match value {
        None => Ok(false),
        Some("All") => Ok(true),
        Some(other) => Err(Failure::new(
            422,
            "Invalid",
            format!("dryRun: Unsupported value: \"{other}\": supported values: \"All\""),
        )),
    }
}
