//! Lists, whole and in pages.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::apiserver::{answer::Failure, call::Call, resource::Resource, selector::Selection, store::Store};

/// What is left of lists that clients read in pages: each goes on as of the moment of its first page.
#[derive(Default)]
pub(crate) struct ListSnapshots {
    next: u64,
    rest: BTreeMap<String, Rest>,
}

struct Rest {
    version: u64,
    items: Vec<Arc<Value>>,
    counted: bool,
}

impl ListSnapshots {
    pub(crate) fn clear(&mut self) {
        self.rest.clear();
    }

    fn keep(&mut self, rest: Rest) -> String {
        self.next += 1;
        let token = format!("page-{}", self.next);
        self.rest.insert(token.clone(), rest);
        token
    }
}

/// A list as clients see it. The items carry neither kind nor apiVersion, as from the real server.
pub(crate) fn list(
    store: &Store,
    snapshots: &mut ListSnapshots,
    resource: &'static Resource,
    namespace: Option<&str>,
    call: &Call,
) -> Result<Value, Failure> {
    let limit = match call.parameter("limit").unwrap_or("0").parse() {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    };
    let mut rest = match call.parameter("continue") {
        Some(token) => snapshots.rest.get(token).map(Rest::again).ok_or_else(expired)?,
        None => first_page(store, resource, namespace, call)?,
    };
    let after = rest.items.split_off(limit.min(rest.items.len()));
    let items: Vec<Value> = rest.items.iter().map(|item| without_type(item)).collect();
    let mut metadata = json!({"resourceVersion": rest.version.to_string()});
    if !after.is_empty() {
        if rest.counted {
            metadata["remainingItemCount"] = after.len().into();
        }
        metadata["continue"] = snapshots.keep(Rest { items: after, ..rest }).into();
    }
    Ok(json!({
        "kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
        "metadata": metadata, "items": items,
    }))
}

impl Rest {
    fn again(&self) -> Self {
        Self { version: self.version, items: self.items.clone(), counted: self.counted }
    }
}

fn first_page(
    store: &Store,
    resource: &'static Resource,
    namespace: Option<&str>,
    call: &Call,
) -> Result<Rest, Failure> {
    let selection = Selection::of(call, resource)?;
    let items = store.list(resource, namespace).map(|(_, object)| object).filter(|object| selection.matches(object));
    Ok(Rest { version: store.version(), items: items.cloned().collect(), counted: selection.is_everything() })
}

fn expired() -> Failure {
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a new \
                   list without the continue parameter, or use the continue token in this response to retrieve the \
                   remainder of the results. Continuing with the provided token results in an inconsistent list - \
                   objects that were created, modified, or deleted between the time the first chunk was returned and \
                   now may show up in the list.";
    Failure::new(410, "Expired", message)
}

fn without_type(item: &Value) -> Value {
    let mut item = item.clone();
    if let Some(fields) = item.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    item
}

/// An object or a list as `PartialObjectMetadata`.
pub(crate) fn as_partial_metadata(value: &Value) -> Value {
    let kind = |kind: &str| json!({"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": value["metadata"]});
    let Some(items) = value["items"].as_array() else { return kind("PartialObjectMetadata") };
    let mut list = kind("PartialObjectMetadataList");
    list["items"] = items.iter().map(|item| without_type(&as_partial_metadata(item))).collect();
    list
}
