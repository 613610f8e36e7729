//! The three kinds of patches.

use serde_json::{Map, Value};

use super::answer::Failure;

/// Applies a patch by its content type.
pub(super) fn apply(content_type: &str, target: &mut Value, patch: &Value) -> Result<(), Failure> {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/merge-patch+json" => merge(target, patch),
        "application/strategic-merge-patch+json" => strategic(target, patch),
        "application/json-patch+json" => return json_patch(target, patch),
        other => {
            let message = format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, \
                 application/strategic-merge-patch+json (was: {other})"
            );
            return Err(Failure::new(415, "UnsupportedMediaType", message));
        }
    }
    Ok(())
}

/// RFC 7386: null removes, objects merge, everything else replaces.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    for (key, value) in patch {
        let target = as_object(target);
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// How a list is merged: by the field that identifies its elements, as a set, or not at all.
enum ListKind {
    Keyed(&'static str),
    Set,
    Atomic,
}

/// The lists that Kubernetes' types mark with a patchStrategy, as far as the served kinds have them. `spec.taints` and
/// tolerations are atomic.
fn list_kind(name: &str) -> ListKind {
    match name {
        "conditions" | "addresses" => ListKind::Keyed("type"),
        "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "env" | "imagePullSecrets" => {
            ListKind::Keyed("name")
        }
        "ownerReferences" => ListKind::Keyed("uid"),
        "volumeMounts" => ListKind::Keyed("mountPath"),
        "hostAliases" => ListKind::Keyed("ip"),
        "topologySpreadConstraints" => ListKind::Keyed("topologyKey"),
        "finalizers" => ListKind::Set,
        _ => ListKind::Atomic,
    }
}

/// A strategic merge patch, with `$patch` and `$deleteFromPrimitiveList`; orders (`$setElementOrder`) are ignored.
fn strategic(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if patch.get("$patch").and_then(Value::as_str) == Some("replace") {
        *target = without_directives(patch);
        return;
    }
    for (key, value) in patch {
        let target = as_object(target);
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array().map(Vec::as_slice).unwrap_or_default();
            if let Some(Value::Array(elements)) = target.get_mut(list) {
                elements.retain(|element| !gone.contains(element));
            }
        } else if key.starts_with('$') {
            continue;
        } else if value.is_null() || value["$patch"] == "delete" {
            target.remove(key);
        } else if let Value::Array(patch) = value {
            let list = target.entry(key).or_insert(Value::Null);
            strategic_list(list, patch, &list_kind(key));
        } else {
            strategic(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

fn strategic_list(list: &mut Value, patch: &[Value], kind: &ListKind) {
    let mut elements = match list.take() {
        Value::Array(elements) => elements,
        _ => Vec::new(),
    };
    let replace = patch.iter().any(|element| element["$patch"] == "replace");
    match kind {
        ListKind::Keyed(key) if !replace => {
            for change in patch {
                let position = elements.iter().position(|element| element[key] == change[key]);
                match position {
                    Some(position) if change["$patch"] == "delete" => drop(elements.remove(position)),
                    Some(position) => strategic(&mut elements[position], change),
                    None if change["$patch"] == "delete" => {}
                    None => elements.push(change.clone()),
                }
            }
        }
        ListKind::Set => {
            let new: Vec<Value> = patch.iter().filter(|element| !elements.contains(element)).cloned().collect();
            elements.extend(new);
        }
        ListKind::Keyed(_) | ListKind::Atomic => {
            elements = patch.iter().filter(|element| element["$patch"].is_null()).cloned().collect();
        }
    }
    *list = Value::Array(elements);
}

fn without_directives(patch: &Map<String, Value>) -> Value {
    Value::Object(patch.iter().filter(|(key, _)| !key.starts_with('$')).map(|(k, v)| (k.clone(), v.clone())).collect())
}

/// RFC 6902. A failed operation, `test` included, is 422.
fn json_patch(target: &mut Value, patch: &Value) -> Result<(), Failure> {
    let operations = patch
        .as_array()
        .ok_or_else(|| Failure::bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch"))?;
    for operation in operations {
        let path = operation["path"].as_str().unwrap_or_default();
        let done = match operation["op"].as_str().unwrap_or_default() {
            "add" => add(target, path, operation["value"].clone()),
            "remove" => remove(target, path).map(drop),
            "replace" => remove(target, path).and_then(|_| add(target, path, operation["value"].clone())),
            "test" => (target.pointer(path).unwrap_or(&Value::Null) == &operation["value"]).then_some(()),
            "move" => remove(target, operation["from"].as_str().unwrap_or_default())
                .and_then(|value| add(target, path, value)),
            "copy" => target
                .pointer(operation["from"].as_str().unwrap_or_default())
                .cloned()
                .and_then(|value| add(target, path, value)),
            _ => None,
        };
        if done.is_none() {
            let message = "the server rejected our request due to an error in our request";
            return Err(Failure::new(422, "Invalid", message));
        }
    }
    Ok(())
}

fn place<'a>(target: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((target.pointer_mut(parent)?, last.replace("~1", "/").replace("~0", "~")))
}

fn add(target: &mut Value, path: &str, value: Value) -> Option<()> {
    match place(target, path)? {
        (Value::Object(parent), last) => drop(parent.insert(last, value)),
        (Value::Array(parent), last) if last == "-" => parent.push(value),
        (Value::Array(parent), last) => {
            let index = last.parse().ok().filter(|index| *index <= parent.len())?;
            parent.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(target: &mut Value, path: &str) -> Option<Value> {
    match place(target, path)? {
        (Value::Object(parent), last) => parent.remove(&last),
        (Value::Array(parent), last) => {
            let index = last.parse().ok().filter(|index| *index < parent.len())?;
            Some(parent.remove(index))
        }
        _ => None,
    }
}

fn as_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("it was made an object above"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(content_type: &str, mut target: Value, patch: Value) -> Result<Value, Failure> {
        apply(content_type, &mut target, &patch).map(|()| target)
    }

    const MERGE: &str = "application/merge-patch+json";
    const STRATEGIC: &str = "application/strategic-merge-patch+json; charset=utf-8";
    const JSON: &str = "application/json-patch+json";

    #[test]
    fn null_takes_a_field_away_in_both_merge_patches() {
        for kind in [MERGE, STRATEGIC] {
            let node = json!({"metadata": {"annotations": {"a": "1", "b": "2"}}, "spec": {"unschedulable": true}});
            let patch = json!({"metadata": {"annotations": {"a": null}}, "spec": {"unschedulable": null}});
            let wanted = json!({"metadata": {"annotations": {"b": "2"}}, "spec": {}});
            assert_eq!(patched(kind, node, patch), Ok(wanted), "{kind}");
        }
    }

    #[test]
    fn a_strategic_patch_merges_conditions_by_type_and_replaces_taints() {
        let node = json!({
            "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "x"}, {"type": "DiskPressure"}]},
        });
        let patch = json!({
            "spec": {"taints": [{"key": "b", "effect": "NoExecute"}]},
            "status": {"$setElementOrder/conditions": [{"type": "Ready"}], "conditions": [{"type": "Ready", "status": "Unknown"}]},
        });
        let wanted = json!({
            "spec": {"taints": [{"key": "b", "effect": "NoExecute"}]},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "x"}, {"type": "DiskPressure"}]},
        });
        assert_eq!(patched(STRATEGIC, node, patch), Ok(wanted));
    }

    #[test]
    fn a_merge_patch_replaces_whole_lists() {
        let node = json!({"status": {"conditions": [{"type": "Ready"}, {"type": "DiskPressure"}]}});
        let patch = json!({"status": {"conditions": [{"type": "Ready"}]}});
        assert_eq!(patched(MERGE, node, patch.clone()), Ok(patch));
    }

    #[test]
    fn directives_of_a_strategic_patch_delete_from_lists() {
        let object = json!({"metadata": {"finalizers": ["a", "b"]}, "containers": [{"name": "x"}, {"name": "y"}]});
        let patch = json!({
            "metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]},
            "containers": [{"name": "x", "$patch": "delete"}],
        });
        let wanted = json!({"metadata": {"finalizers": ["b"]}, "containers": [{"name": "y"}]});
        assert_eq!(patched(STRATEGIC, object, patch), Ok(wanted));
    }

    #[test]
    fn a_json_patch_stops_at_a_failed_test() {
        let node = json!({"metadata": {"labels": {"a/b": "1"}}, "spec": {"taints": []}});
        let good = json!([
            {"op": "test", "path": "/metadata/labels/a~1b", "value": "1"},
            {"op": "add", "path": "/spec/taints/-", "value": {"key": "k"}},
            {"op": "replace", "path": "/metadata/labels/a~1b", "value": "2"},
        ]);
        let wanted = json!({"metadata": {"labels": {"a/b": "2"}}, "spec": {"taints": [{"key": "k"}]}});
        assert_eq!(patched(JSON, node.clone(), good), Ok(wanted));
        let bad = json!([{"op": "test", "path": "/metadata/labels/a~1b", "value": "3"}]);
        assert_eq!(patched(JSON, node, bad).map_err(|failure| failure.code), Err(422));
    }

    #[test]
    fn a_patch_of_another_type_is_refused() {
        let failure = patched("application/apply-patch+yaml", json!({}), json!({})).unwrap_err();
        assert_eq!((failure.code, failure.reason), (415, "UnsupportedMediaType"));
    }
}
