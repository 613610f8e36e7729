//! Deletion: preconditions, grace, finalizers.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::get;
use crate::apiserver::{
    answer::{Failure, deleted},
    call::dry_run,
    clock::seconds,
    resource::{JOBS, NAMESPACES, PODS},
    store::{Key, Store, is_terminating, meta},
};

/// `metav1.DeleteOptions`, as far as it is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeleteOptions {
    pub(crate) grace: Option<i64>,
    pub(crate) uid: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) propagation: Option<Propagation>,
}

/// What becomes of the objects that an object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They stay, without their owner.
    Orphan,
    /// The garbage collector deletes them once their owner has gone.
    Background,
    /// The owner goes after them.
    Foreground,
}

/// The finalizers with which the garbage collector is asked to see to dependents first.
pub(crate) const ORPHAN: &str = "orphan";
pub(crate) const FOREGROUND: &str = "foregroundDeletion";

impl DeleteOptions {
    pub(crate) fn parse(options: &Value, in_query: bool) -> Result<Self, Failure> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let in_body = dry_run(options["dryRun"][0].as_str())?;
        Ok(Self {
            grace: options["gracePeriodSeconds"].as_i64(),
            uid: text(&options["preconditions"]["uid"]),
            version: text(&options["preconditions"]["resourceVersion"]),
            dry_run: in_query || in_body,
            propagation: propagation(options)?,
        })
    }

    pub(crate) fn check(&self, key: &Key, object: &Value) -> Result<(), Failure> {
        let (uid, version) = (meta(object, "uid"), meta(object, "resourceVersion"));
        if let Some(wanted) = self.uid.as_deref().filter(|wanted| *wanted != uid) {
            let why = format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have \
                 been deleted and then recreated"
            );
            return Err(Failure::precondition(key, &why));
        }
        if let Some(wanted) = self.version.as_deref().filter(|wanted| *wanted != version) {
            let why = format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
                 ({version}). The object might have been modified"
            );
            return Err(Failure::precondition(key, &why));
        }
        Ok(())
    }
}

/// Deletes an object. A bound pod that has not ended gets its grace; what has finalizers waits for them.
pub(crate) fn delete(store: &mut Store, key: &Key, options: &DeleteOptions) -> Result<Value, Failure> {
    let object = get(store, key)?;
    options.check(key, &object)?;
    if options.dry_run {
        return Ok((*object).clone());
    }
    let finalizer = match options.propagation.unwrap_or_else(|| default_propagation(key, &object)) {
        Propagation::Background => None,
        Propagation::Orphan => Some(ORPHAN),
        Propagation::Foreground => Some(FOREGROUND),
    };
    // Pods are marked even if they go at once: watches see both.
    if key.resource != PODS && key.resource != NAMESPACES && !has_finalizers(&object) && finalizer.is_none() {
        store.remove(key);
        return Ok(deleted(key, &object["metadata"]["uid"]));
    }
    let (now, grace) = (store.now(), grace(key, &object, options.grace));
    let going = store.edit(key, |object| {
        mark(object, now, grace);
        // The last one who asks decides.
        let finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        let others = finalizers.into_iter().filter(|it| it != ORPHAN && it != FOREGROUND);
        let finalizers: Vec<Value> = others.chain(finalizer.map(Value::from)).collect();
        if !finalizers.is_empty() {
            object["metadata"]["finalizers"] = finalizers.into();
        }
    });
    let going = going.unwrap_or(object);
    finish_if_free(store, key);
    Ok((*going).clone())
}

/// What a server does that is not told otherwise: it has left the pods of Jobs of batch/v1 alone ever since
/// (`DefaultGarbageCollectionPolicy` in k8s.io/kubernetes/pkg/registry/batch/job).
/// What was asked for before still holds.
fn default_propagation(key: &Key, object: &Value) -> Propagation {
    let has =
        |finalizer| object["metadata"]["finalizers"].as_array().is_some_and(|all| all.contains(&json!(finalizer)));
    match key.resource {
        _ if has(ORPHAN) => Propagation::Orphan,
        _ if has(FOREGROUND) => Propagation::Foreground,
        it if it == JOBS => Propagation::Orphan,
        _ => Propagation::Background,
    }
}

fn propagation(options: &Value) -> Result<Option<Propagation>, Failure> {
    match options["propagationPolicy"].as_str() {
        None => Ok(None),
        Some("Orphan") => Ok(Some(Propagation::Orphan)),
        Some("Background") => Ok(Some(Propagation::Background)),
        Some("Foreground") => Ok(Some(Propagation::Foreground)),
        Some(other) => Err(Failure::new(
            422,
            "Invalid",
            format!(
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"{other}\": supported \
                 values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
            ),
        )),
    }
}

/// How long the object may still live, in seconds. A pod that is already going can only get less.
fn grace(key: &Key, object: &Value, asked: Option<i64>) -> i64 {
    let ended = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let unbound = object["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    if key.resource != PODS || ended || unbound {
        return 0;
    }
    let own = object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    match object["metadata"]["deletionGracePeriodSeconds"].as_i64() {
        Some(left) => asked.unwrap_or(left).min(left),
        // A negative grace is a client's mistake that the server turns into the shortest.
        None => asked.map_or(own, |asked| if asked < 0 { 1 } else { asked }),
    }
}

fn mark(object: &mut Value, now: Timestamp, grace: i64) {
    let already = object["metadata"]["deletionGracePeriodSeconds"].as_i64();
    if is_terminating(object) && already.is_none_or(|already| already <= grace) {
        return;
    }
    if !is_terminating(object)
        && let Some(generation) = object["metadata"]["generation"].as_i64()
    {
        object["metadata"]["generation"] = (generation + 1).into();
    }
    // A shorter grace counts from when the deletion was asked for first.
    let old_end = meta(object, "deletionTimestamp").parse::<Timestamp>();
    let asked = old_end.map_or(now, |end| end - SignedDuration::from_secs(already.unwrap_or(0)));
    let end = asked + SignedDuration::from_secs(grace);
    object["metadata"]["deletionTimestamp"] = seconds(end).into();
    object["metadata"]["deletionGracePeriodSeconds"] = grace.into();
    if object["kind"] == "Namespace" {
        object["status"]["phase"] = json!("Terminating");
    }
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// Removes an object that is going and that nothing holds back any more: no grace, no finalizer.
pub(crate) fn finish_if_free(store: &mut Store, key: &Key) {
    let Some(object) = store.get(key) else { return };
    let grace = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    if is_terminating(&object) && grace == 0 && !has_finalizers(&object) && key.resource != NAMESPACES {
        store.remove(key);
    }
}
