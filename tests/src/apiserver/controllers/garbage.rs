//! The garbage collector, as far as Jobs and CronJobs need it: whom an object that goes takes along.

use std::sync::Arc;

use serde_json::Value;

use crate::apiserver::{
    resource::{CRON_JOBS, JOBS, PODS, Resource},
    store::{Key, Store, controller, copied, is_terminating},
    verbs::{self, DeleteOptions, FOREGROUND, ORPHAN},
};

/// Owners, and what they own.
const OWNERS: [(&Resource, &Resource); 2] = [(CRON_JOBS, JOBS), (JOBS, PODS)];

/// Looks at the namespaces in which something has changed since a version.
pub(super) fn pass(store: &mut Store, since: Option<u64>) {
    let changed = store.changed_since(since, &[CRON_JOBS, JOBS, PODS]);
    for (owners, dependents) in OWNERS {
        for (key, owner) in those(store, owners, is_terminating) {
            let dependents = owned_by(store, dependents, &owner);
            if has_finalizer(&owner, ORPHAN) {
                for (dependent, _) in dependents {
                    store.edit(&dependent, |object| drop(object["metadata"].as_object_mut().map(forget_owners)));
                }
                release(store, &key, ORPHAN);
            } else if has_finalizer(&owner, FOREGROUND) {
                if dependents.is_empty() {
                    release(store, &key, FOREGROUND);
                }
                delete_all(store, dependents);
            }
        }
        let left = changed.list(store, dependents).filter(|(_, object)| is_left_behind(store, owners, object));
        delete_all(store, copied(left));
    }
}

/// The objects of a kind of which something is true.
fn those(store: &Store, resource: &'static Resource, is_one: impl Fn(&Value) -> bool) -> Vec<(Key, Arc<Value>)> {
    copied(store.list(resource, None).filter(|(_, object)| is_one(object)))
}

fn owned_by(store: &Store, resource: &'static Resource, owner: &Value) -> Vec<(Key, Arc<Value>)> {
    those(store, resource, |object| controller(object).is_some_and(|it| it["uid"] == owner["metadata"]["uid"]))
}

/// Whether its owner was there once, and has gone. A fixture may name an owner that never was: that one has no uid of the store.
fn is_left_behind(store: &Store, owners: &'static Resource, object: &Value) -> bool {
    let Some(owner) = controller(object).filter(|owner| owner["kind"] == owners.kind) else { return false };
    let was_there = owner["uid"].as_str().is_some_and(|uid| uid.starts_with("00000000-"));
    was_there && !store.list(owners, None).any(|(_, it)| it["metadata"]["uid"] == owner["uid"])
}

fn delete_all(store: &mut Store, objects: Vec<(Key, Arc<Value>)>) {
    let background = DeleteOptions { propagation: Some(verbs::Propagation::Background), ..DeleteOptions::default() };
    for (key, _) in objects.into_iter().filter(|(_, object)| !is_terminating(object)) {
        // It may be gone already.
        let _ = verbs::delete(store, &key, &background);
    }
}

fn forget_owners(metadata: &mut serde_json::Map<String, Value>) -> Option<Value> {
    metadata.remove("ownerReferences")
}

fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|all| all.iter().any(|it| it == finalizer))
}

fn release(store: &mut Store, key: &Key, finalizer: &str) {
    store.edit(key, |object| {
        if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|it| it != finalizer);
        }
    });
    verbs::finish_if_free(store, key);
}
