//! Create, update, patch: what the generic registry checks and sets.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{finish_if_free, get};
use crate::apiserver::{
    answer::Failure,
    clock::seconds,
    managed::{self, Writer},
    patch as patches,
    resource::{BUDGETS, JOBS, LEASES, NAMESPACES, NODES, PODS, Resource},
    store::{Key, Store, is_terminating, meta},
};

/// Stores a new object.
pub(crate) fn create(
    store: &mut Store,
    resource: &'static Resource,
    namespace: &str,
    mut object: Value,
    writer: Writer<'_>,
) -> Result<Arc<Value>, Failure> {
    check_type(resource, &object)?;
    check_namespace(resource, namespace, &object)?;
    let name = new_name(store, resource, &object)?;
    let key = Key::new(resource, namespace, &name);
    if resource.namespaced {
        admit_to_namespace(store, &key)?;
    }
    if !meta(&object, "resourceVersion").is_empty() {
        return Err(Failure::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    if store.get(&key).is_some() {
        return Err(Failure::already_exists(resource, &name));
    }
    store.stamp(&key, &mut object);
    fill_in(resource, &mut object);
    leave_out_empty(resource, &mut object);
    managed::record(&Value::Null, &mut object, writer, None, &seconds(store.now()));
    Ok(if writer.dry_run { Arc::new(object) } else { store.put(key, object) })
}

/// Replaces an object, or its status. Leases are created if they are not there.
pub(crate) fn update(
    store: &mut Store,
    key: &Key,
    subresource: Option<&str>,
    object: Value,
    writer: Writer<'_>,
) -> Result<Arc<Value>, Failure> {
    check_type(key.resource, &object)?;
    check_namespace(key.resource, &key.namespace, &object)?;
    if meta(&object, "name") != key.name {
        let (given, name) = (meta(&object, "name"), &key.name);
        let message = format!("the name of the object ({given}) does not match the name on the URL ({name})");
        return Err(Failure::bad_request(message));
    }
    let Some(old) = store.get(key) else {
        if key.resource == LEASES && subresource.is_none() && meta(&object, "resourceVersion").is_empty() {
            return create(store, key.resource, &key.namespace, object, writer);
        }
        return Err(Failure::not_found(key.resource, &key.name));
    };
    if meta(&object, "resourceVersion").is_empty() && !key.resource.unconditional_update {
        return Err(Failure::version_needed(key));
    }
    let (uid, wanted) = (meta(&old, "uid"), meta(&object, "uid"));
    if !wanted.is_empty() && wanted != uid {
        return Err(Failure::another_uid(key, wanted, uid));
    }
    replace(store, key, subresource, &old, object, writer)
}

/// Changes an object, or its status, by a patch of the given content type.
pub(crate) fn patch(
    store: &mut Store,
    key: &Key,
    subresource: Option<&str>,
    content_type: &str,
    patch: &Value,
    writer: Writer<'_>,
) -> Result<Arc<Value>, Failure> {
    let old = get(store, key)?;
    let mut object = (*old).clone();
    patches::apply(content_type, &mut object, patch)?;
    for field in ["name", "uid"] {
        if meta(&object, field) != meta(&old, field) {
            let (place, value) = (format!("metadata.{field}"), format!("\"{}\"", meta(&object, field)));
            return Err(Failure::invalid(key.resource, &key.name, &place, &value, "field is immutable"));
        }
    }
    replace(store, key, subresource, &old, object, writer)
}

fn replace(
    store: &mut Store,
    key: &Key,
    subresource: Option<&str>,
    old: &Value,
    mut object: Value,
    writer: Writer<'_>,
) -> Result<Arc<Value>, Failure> {
    let version = meta(&object, "resourceVersion");
    if !version.is_empty() && version != meta(old, "resourceVersion") {
        return Err(Failure::modified(key));
    }
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
        copy_field(&old["metadata"], &mut object["metadata"], field);
    }
    object["metadata"]["name"] = key.name.as_str().into();
    for field in ["kind", "apiVersion"] {
        copy_field(old, &mut object, field);
    }
    match subresource {
        Some("status") => copy_field(old, &mut object, "spec"),
        _ if key.resource.status => copy_field(old, &mut object, "status"),
        _ => {}
    }
    if key.resource.generation && object["spec"] != old["spec"] {
        object["metadata"]["generation"] = (old["metadata"]["generation"].as_i64().unwrap_or(0) + 1).into();
    }
    leave_out_empty(key.resource, &mut object);
    managed::record(old, &mut object, writer, subresource, &seconds(store.now()));
    if writer.dry_run {
        return Ok(Arc::new(object));
    }
    let stored = store.put(key.clone(), object);
    finish_if_free(store, key);
    Ok(stored)
}

fn copy_field(from: &Value, to: &mut Value, field: &str) {
    match from.get(field) {
        Some(value) => to[field] = value.clone(),
        None => {
            if let Some(to) = to.as_object_mut() {
                to.remove(field);
            }
        }
    }
}

fn check_type(resource: &Resource, object: &Value) -> Result<(), Failure> {
    if !object.is_object() || !matches!(object["metadata"], Value::Object(_) | Value::Null) {
        return Err(Failure::bad_request(format!("the body is no {}", resource.kind)));
    }
    for (field, wanted) in [("kind", resource.kind), ("apiVersion", &resource.api_version())] {
        if let Some(given) = object[field].as_str().filter(|given| !given.is_empty() && *given != wanted) {
            let message = format!("the {field} in the data ({given}) does not match the expected {field} ({wanted})");
            return Err(Failure::bad_request(message));
        }
    }
    Ok(())
}

fn check_namespace(resource: &Resource, namespace: &str, object: &Value) -> Result<(), Failure> {
    let given = meta(object, "namespace");
    if resource.namespaced && !given.is_empty() && given != namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

fn new_name(store: &mut Store, resource: &'static Resource, object: &Value) -> Result<String, Failure> {
    match (meta(object, "name"), meta(object, "generateName")) {
        ("", "") => {
            let why = "name or generateName is required";
            Err(Failure::invalid(resource, "", "metadata.name", "\"\"", why))
        }
        ("", prefix) => {
            let uid = store.new_uid();
            Ok(format!("{prefix}{}", &uid[uid.len() - 5..]))
        }
        (name, _) => Ok(name.to_owned()),
    }
}

/// The NamespaceLifecycle admission plugin: nothing is created in a namespace that is missing or going.
pub(crate) fn admit_to_namespace(store: &Store, key: &Key) -> Result<(), Failure> {
    let namespace = get(store, &Key::new(NAMESPACES, "", &key.namespace))?;
    if is_terminating(&namespace) {
        return Err(namespace_terminating(&key.resource.qualified(), &key.name, &key.namespace));
    }
    Ok(())
}

/// The refusal of a creation in a namespace that is being deleted.
pub(crate) fn namespace_terminating(resource: &str, name: &str, namespace: &str) -> Failure {
    let message = format!(
        "{resource} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being \
         terminated"
    );
    Failure::new(403, "Forbidden", message)
        .cause("NamespaceTerminating", format!("namespace {namespace} is being terminated"))
}

/// The fields of a Node's `status.nodeInfo`, which are there even if nobody has said anything.
const NODE_INFO: [&str; 10] = [
    "architecture",
    "bootID",
    "containerRuntimeVersion",
    "kernelVersion",
    "kubeProxyVersion",
    "kubeletVersion",
    "machineID",
    "operatingSystem",
    "osImage",
    "systemUUID",
];

/// What the server fills in on creation, as far as clients of this double look at it.
fn fill_in(resource: &'static Resource, object: &mut Value) {
    if resource == PODS {
        set_default(&mut object["spec"], "terminationGracePeriodSeconds", json!(30));
        set_default(&mut object["spec"], "restartPolicy", json!("Always"));
        set_default(&mut object["spec"], "schedulerName", json!("default-scheduler"));
        object["status"] = json!({"phase": "Pending", "qosClass": "BestEffort"});
    } else if resource == NAMESPACES {
        let name = object["metadata"]["name"].clone();
        object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
        object["spec"]["finalizers"] = json!(["kubernetes"]);
        object["status"] = json!({"phase": "Active"});
    } else if resource == NODES {
        for field in NODE_INFO {
            set_default(&mut object["status"]["nodeInfo"], field, json!(""));
        }
    } else if resource == BUDGETS {
        object["status"] = json!({
            "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
        });
    } else if resource.status && resource.namespaced {
        if resource == JOBS {
            label_the_pods(object);
        }
        object["status"] = json!({});
    }
}

/// A Job finds its pods by its uid: the server adds a selector, and labels to the template (`generateSelector` in
/// k8s.io/kubernetes/pkg/registry/batch/job).
pub(in crate::apiserver) fn label_the_pods(job: &mut Value) {
    if job["spec"]["manualSelector"] == true {
        return;
    }
    let (uid, name) = (job["metadata"]["uid"].clone(), job["metadata"]["name"].clone());
    let labels = &mut job["spec"]["template"]["metadata"]["labels"];
    for (prefix, label, value) in [
        ("batch.kubernetes.io/", "controller-uid", &uid),
        ("batch.kubernetes.io/", "job-name", &name),
        ("", "controller-uid", &uid),
        ("", "job-name", &name),
    ] {
        labels[format!("{prefix}{label}")] = value.clone();
    }
    job["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
}

/// What Go's types leave out when it is empty.
fn leave_out_empty(resource: &'static Resource, object: &mut Value) {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|_, value| !is_empty(value));
    }
    if resource == NODES
        && let Some(spec) = object["spec"].as_object_mut()
    {
        spec.retain(|_, value| !is_empty(value) && *value != false);
    }
}

fn set_default(object: &mut Value, field: &str, value: Value) {
    if object[field].is_null() {
        object[field] = value;
    }
}
