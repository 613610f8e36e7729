//! Get, list, create, update, patch and delete.

mod delete;
mod list;
mod write;

pub(super) use delete::{DeleteOptions, FOREGROUND, ORPHAN, Propagation, delete, finish_if_free};
pub(super) use list::{ListSnapshots, as_partial_metadata, list};
pub(super) use write::{admit_to_namespace, create, label_the_pods, namespace_terminating, patch, update};

use std::sync::Arc;

use serde_json::Value;

use super::{
    answer::Failure,
    store::{Key, Store},
};

pub(super) fn get(store: &Store, key: &Key) -> Result<Arc<Value>, Failure> {
    store.get(key).ok_or_else(|| Failure::not_found(key.resource, &key.name))
}
