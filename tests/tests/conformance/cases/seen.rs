//! What a case sees, without what differs from run to run.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::PostParams, core::NamespaceResourceScope};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The lines of one case, and the namespace it works in.
pub(crate) struct Seen {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    text: String,
}

impl Seen {
    pub(crate) async fn new(client: Client, namespace: &str) -> Self {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let home = make(json!({"metadata": {"name": namespace}}));
        namespaces.create(&PostParams::default(), &home).await.expect("a namespace");
        Self { client, namespace: namespace.to_owned(), text: String::new() }
    }

    /// The objects of a kind in the namespace of this case.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Writes down a fact.
    pub(crate) fn note(&mut self, what: &str, fact: impl std::fmt::Display) {
        writeln!(self.text, "{what}: {fact}").expect("text");
    }

    /// Writes down how a call ended, and gives its result on.
    pub(crate) fn call<T>(&mut self, what: &str, result: kube::Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.note(what, "ok");
                Some(value)
            }
            Err(error) => {
                self.note(what, refusal(&error));
                None
            }
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Code, reason, causes, seconds to wait, and the words.
pub(crate) fn refusal(error: &kube::Error) -> String {
    let kube::Error::Api(status) = error else { return format!("no answer: {error}") };
    let mut text = format!("{} {}", status.code, status.reason);
    if let Some(details) = &status.details {
        for cause in details.causes.iter().filter(|cause| !cause.reason.is_empty()) {
            write!(text, " [{}: {}]", cause.reason, without_identities(&cause.message)).expect("text");
        }
        if details.retry_after_seconds > 0 {
            write!(text, " (retry after {} s)", details.retry_after_seconds).expect("text");
        }
    }
    write!(text, " \"{}\"", without_identities(&status.message)).expect("text");
    text
}

/// uids and resource versions are new in each run.
pub(crate) fn without_identities(text: &str) -> String {
    let versions = text.to_lowercase().contains("resource version") || text.contains("ResourceVersion");
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
        let core = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let is_uid = core.len() == 36 && core.chars().filter(|c| *c == '-').count() == 4;
        let is_version = versions && !core.is_empty() && core.chars().all(|c| c.is_ascii_digit());
        match (is_uid, is_version) {
            (true, _) => out.push_str(&word.replace(core, "<uid>")),
            (_, true) => out.push_str(&word.replace(core, "<version>")),
            _ => out.push_str(word),
        }
    }
    out
}

/// A typed object from JSON.
pub(crate) fn make<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("an object of its kind")
}

/// A field of a typed object as JSON.
pub(crate) fn field<K: serde::Serialize>(object: &K, pointer: &str) -> Value {
    let value = serde_json::to_value(object).expect("JSON");
    value.pointer(pointer).cloned().unwrap_or_default()
}
