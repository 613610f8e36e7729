//! `metadata.managedFields`: which client wrote which field last, and when. Lists count as one field.

use serde_json::{Map, Value, json};

/// Fields that belong to nobody.
const IDENTITY: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "uid",
];

/// A client that writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer<'a> {
    /// The `fieldManager` it gave, else the first word of its User-Agent.
    pub(super) manager: &'a str,
    /// Whether it only wants to know what would happen.
    pub(super) dry_run: bool,
}

impl Writer<'static> {
    /// Who arranges what a test begins with.
    pub(super) const TESTKIT: Self = Self { manager: "testkit", dry_run: false };
    /// The control loops.
    pub(super) const CONTROLLERS: Self = Self { manager: "kube-controller-manager", dry_run: false };
}

/// Makes what changed the writer's, and takes it from everybody else. `now` is a `metav1.Time`.
pub(super) fn record(old: &Value, new: &mut Value, writer: Writer<'_>, subresource: Option<&str>, now: &str) {
    let (mut changed, mut gone) = (Map::new(), Map::new());
    compare(&owned_part(old), &owned_part(new), &mut changed, &mut gone);
    let mut entries = old["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    if !changed.is_empty() || !gone.is_empty() {
        for entry in &mut entries {
            for fields in [&changed, &gone] {
                subtract(&mut entry["fieldsV1"], fields);
            }
        }
        entries.retain(|entry| entry["fieldsV1"].as_object().is_some_and(|fields| !fields.is_empty()));
    }
    if !changed.is_empty() {
        let is_mine =
            |entry: &Value| entry["manager"] == writer.manager && entry["subresource"].as_str() == subresource;
        let mut mine = match entries.iter().position(is_mine) {
            Some(place) => entries.remove(place),
            None => json!({
                "manager": writer.manager, "operation": "Update", "apiVersion": new["apiVersion"],
                "fieldsType": "FieldsV1", "fieldsV1": {},
            }),
        };
        if let Some(subresource) = subresource {
            mine["subresource"] = subresource.into();
        }
        mine["time"] = now.into();
        add(&mut mine["fieldsV1"], &changed);
        entries.push(mine);
    }
    new["metadata"]["managedFields"] = entries.into();
}

/// The object without its identity.
fn owned_part(object: &Value) -> Value {
    let mut part = object.clone();
    if let Some(fields) = part.as_object_mut() {
        fields.retain(|name, _| name != "apiVersion" && name != "kind");
    }
    if let Some(metadata) = part.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| !IDENTITY.contains(&name.as_str()) && name != "resourceVersion");
    }
    part
}

/// Collects what is new or different, and what is no more, as sets in the form of FieldsV1.
fn compare(old: &Value, new: &Value, changed: &mut Map<String, Value>, gone: &mut Map<String, Value>) {
    let none = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&none), new.as_object().unwrap_or(&none));
    for (name, value) in new {
        let before = old.get(name).unwrap_or(&Value::Null);
        if value.is_object() && (before.is_object() || before.is_null()) {
            let (mut inner, mut lost) = (Map::new(), Map::new());
            compare(before, value, &mut inner, &mut lost);
            keep(changed, name, inner);
            keep(gone, name, lost);
        } else if value != before {
            changed.insert(format!("f:{name}"), json!({}));
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        gone.insert(format!("f:{name}"), json!({}));
    }
}

fn keep(set: &mut Map<String, Value>, name: &str, inner: Map<String, Value>) {
    if !inner.is_empty() {
        set.insert(format!("f:{name}"), inner.into());
    }
}

fn add(set: &mut Value, fields: &Map<String, Value>) {
    for (name, inner) in fields {
        if set[name].is_null() {
            set[name] = json!({});
        }
        if let Some(inner) = inner.as_object() {
            add(&mut set[name], inner);
        }
    }
}

/// Takes fields out of a set; what has nothing left goes with them.
fn subtract(set: &mut Value, fields: &Map<String, Value>) {
    let Some(set) = set.as_object_mut() else { return };
    for (name, inner) in fields {
        let Some(mine) = set.get_mut(name) else { continue };
        match inner.as_object() {
            Some(inner) if !inner.is_empty() => subtract(mine, inner),
            _ => *mine = json!({}),
        }
        if mine.as_object().is_none_or(Map::is_empty) {
            set.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(old: &Value, new: Value, manager: &str) -> Value {
        let mut new = new;
        record(old, &mut new, Writer { manager, dry_run: false }, None, "now");
        new
    }

    fn owners(object: &Value) -> Vec<(String, String)> {
        let entries = object["metadata"]["managedFields"].as_array().unwrap();
        entries.iter().map(|it| (it["manager"].as_str().unwrap().to_owned(), it["fieldsV1"].to_string())).collect()
    }

    #[test]
    fn a_field_belongs_to_who_changed_it_last() {
        let made = written(&Value::Null, json!({"metadata": {"name": "w1"}, "spec": {"a": 1, "b": [1]}}), "maker");
        assert_eq!(owners(&made), [("maker".into(), r#"{"f:spec":{"f:a":{},"f:b":{}}}"#.into())]);
        let mut changed = made.clone();
        changed["spec"]["a"] = 2.into();
        changed["metadata"]["annotations"] = json!({"who": "me"});
        let changed = written(&made, changed, "other");
        assert_eq!(
            owners(&changed),
            [
                ("maker".into(), r#"{"f:spec":{"f:b":{}}}"#.into()),
                ("other".into(), r#"{"f:metadata":{"f:annotations":{"f:who":{}}},"f:spec":{"f:a":{}}}"#.into()),
            ]
        );
        let mut less = changed.clone();
        less["metadata"].as_object_mut().unwrap().remove("annotations");
        less["spec"].as_object_mut().unwrap().remove("b");
        let less = written(&changed, less, "third");
        assert_eq!(owners(&less), [("other".into(), r#"{"f:spec":{"f:a":{}}}"#.into())]);
    }
}
