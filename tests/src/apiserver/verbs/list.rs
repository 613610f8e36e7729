//! Lists, whole and in pages.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use serde_json::{Value, json};

use crate::apiserver::{
    answer::Failure,
    call::Call,
    resource::{PODS, Resource},
    selector::Selection,
    store::Store,
};

/// What is left of lists that clients read in pages: each goes on as of the moment of its first page.
#[derive(Default)]
pub(crate) struct ListSnapshots {
    next: u64,
    rest: BTreeMap<String, Rest>,
}

#[derive(Clone)]
struct Rest {
    version: u64,
    items: Arc<[Arc<Value>]>,
    /// How many of them were read.
    read: usize,
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

/// A list, or a page of one.
pub(crate) struct Page {
    resource: &'static Resource,
    metadata: Value,
    items: Vec<Arc<Value>>,
}

/// A list as clients see it.
pub(crate) fn list(
    store: &Store,
    snapshots: &mut ListSnapshots,
    resource: &'static Resource,
    namespace: Option<&str>,
    call: &Call,
) -> Result<Page, Failure> {
    let limit = match call.parameter("limit").unwrap_or("0").parse() {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    };
    let rest = match call.parameter("continue") {
        Some(token) => snapshots.rest.get(token).cloned().ok_or_else(expired)?,
        None => first_page(store, resource, namespace, call)?,
    };
    let end = rest.read.saturating_add(limit).min(rest.items.len());
    let items = rest.items[rest.read..end].to_vec();
    let left = rest.items.len() - end;
    let mut metadata = json!({"resourceVersion": rest.version.to_string()});
    if left > 0 {
        if rest.counted {
            metadata["remainingItemCount"] = left.into();
        }
        metadata["continue"] = snapshots.keep(Rest { read: end, ..rest }).into();
    }
    Ok(Page { resource, metadata, items })
}

fn first_page(
    store: &Store,
    resource: &'static Resource,
    namespace: Option<&str>,
    call: &Call,
) -> Result<Rest, Failure> {
    let selection = Selection::of(call, resource)?;
    let is_selected = |object: &&Arc<Value>| selection.matches(object);
    let items = match selection.node().filter(|_| resource == PODS) {
        Some(node) => {
            let there = store.pods_on(node).filter(|(key, _)| namespace.is_none_or(|it| it == key.namespace));
            there.map(|(_, pod)| pod).filter(is_selected).cloned().collect()
        }
        None => store.list(resource, namespace).map(|(_, object)| object).filter(is_selected).cloned().collect(),
    };
    Ok(Rest { version: store.version(), items, read: 0, counted: selection.is_everything() })
}

impl Page {
    pub(crate) fn to_value(&self) -> Value {
        json!({
            "kind": self.kind(), "apiVersion": self.resource.api_version(), "metadata": self.metadata,
            "items": self.items.iter().map(|item| without_type(item)).collect::<Value>(),
        })
    }

    fn kind(&self) -> String {
        format!("{}List", self.resource.kind)
    }
}

/// Without a copy of each item: a list of all pods of a cluster is tens of megabytes.
impl Serialize for Page {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let items: Vec<_> = self.items.iter().map(|item| WithoutType(item)).collect();
        let mut list = serializer.serialize_struct("List", 4)?;
        list.serialize_field("kind", &self.kind())?;
        list.serialize_field("apiVersion", &self.resource.api_version())?;
        list.serialize_field("metadata", &self.metadata)?;
        list.serialize_field("items", &items)?;
        list.end()
    }
}

/// An item of a list: it carries neither kind nor apiVersion, as from the real server.
struct WithoutType<'a>(&'a Value);

impl Serialize for WithoutType<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.0.as_object().into_iter().flatten();
        serializer.collect_map(fields.filter(|(name, _)| !matches!(name.as_str(), "kind" | "apiVersion")))
    }
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
