//! In what the template of a job's pods differs from the one that its CronJob has now.
//!
//! The API server fills in the same defaults in both (`SetObjectDefaults_CronJob` and `SetObjectDefaults_Job` in
//! k8s.io/kubernetes/pkg/apis/batch/v1). Only in the job's template it adds the labels by which the job finds its pods
//! (`generateSelector` in pkg/registry/batch/job). What else differs has been changed since, in the CronJob or by a webhook.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

/// The labels that the API server adds to the template of a job.
const ADDED_LABELS: [&str; 4] =
    ["batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"];

/// A field of the pods' template that has changed since a job was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Such as `spec.containers[main].image`.
    pub field: String,
    /// In the job, and what it would be now. Only of images: other fields may hold secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<(String, String)>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.image {
            Some((before, now)) => write!(f, "{}: {before} → {now}", self.field),
            None => f.write_str(&self.field),
        }
    }
}

/// In what a template differs from the one of now: images first, then other fields by their path.
pub(in crate::workloads) fn differences(of_job: &Value, now: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(String::new(), &without_added_labels(of_job), &without_added_labels(now), &mut found);
    found.sort_by_key(|difference| difference.image.is_none());
    found
}

/// The images of a template's containers, in their order.
pub(in crate::workloads) fn images(template: &Value) -> Vec<String> {
    let containers = template["spec"]["containers"].as_array().into_iter().flatten();
    containers.filter_map(|container| Some(container["image"].as_str()?.to_owned())).collect()
}

fn without_added_labels(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.retain(|label, _| !ADDED_LABELS.contains(&label.as_str()));
    }
    template
}

fn walk(path: String, before: &Value, now: &Value, found: &mut Vec<Difference>) {
    if before == now || (is_empty(before) && is_empty(now)) {
        return;
    }
    match (before, now) {
        (Value::Object(_) | Value::Null, Value::Object(_)) | (Value::Object(_), Value::Null) => {
            let none = Map::new();
            let (before, now) = (before.as_object().unwrap_or(&none), now.as_object().unwrap_or(&none));
            for field in before.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
                let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
                walk(path, before.get(field).unwrap_or(&Value::Null), now.get(field).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(before), Value::Array(now)) if all_named(before) && all_named(now) => {
            for name in before.iter().chain(now).filter_map(name).collect::<BTreeSet<_>>() {
                let of_name = |items: &[Value]| items.iter().find(|item| self::name(item) == Some(name)).cloned();
                match (of_name(before), of_name(now)) {
                    (Some(before), Some(now)) => walk(format!("{path}[{name}]"), &before, &now, found),
                    // As a whole: its fields would say no more.
                    _ => found.push(Difference { field: format!("{path}[{name}]"), image: None }),
                }
            }
            // The same items in another order: init containers run, and variables refer to others, in theirs.
            if before.iter().filter_map(name).ne(now.iter().filter_map(name)) && before.len() == now.len() {
                found.push(Difference { field: path, image: None });
            }
        }
        _ => {
            let image = path.ends_with(".image").then(|| (plain(before), plain(now)));
            found.push(Difference { field: path, image });
        }
    }
}

/// What Go's types leave out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        _ => false,
    }
}

fn all_named(items: &[Value]) -> bool {
    let names: BTreeSet<_> = items.iter().filter_map(name).collect();
    names.len() == items.len()
}

fn name(item: &Value) -> Option<&str> {
    item["name"].as_str()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| "none".to_owned(), str::to_owned)
}

#[cfg(test)]
mod tests;
