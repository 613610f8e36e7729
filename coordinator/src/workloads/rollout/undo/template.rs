//! Compares pod templates. No I/O.

use serde_json::Value;

use crate::cluster::names::{RESTARTED_AT, TEMPLATE_HASH};

/// Takes away what controllers have added to a template when they stored it as a revision.
pub(super) fn without_marks(template: &mut Value) {
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(TEMPLATE_HASH);
    }
    if let Some(template) = template.as_object_mut() {
        template.remove("$patch");
    }
    prune(template);
}

pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    pruned(one) == pruned(other)
}

/// Whether two templates differ in nothing but the restart annotation.
pub(super) fn same_but_for_the_restart(one: &Value, other: &Value) -> bool {
    without_restart(one) == without_restart(other)
}

/// What changes from one template to another, a line each.
pub(super) fn differences(from: &Value, to: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if same_but_for_the_restart(from, to) {
        lines.push("only the restart is taken back".to_owned());
        return lines;
    }
    let (mut rest, mut other) = (without_restart(from), without_restart(to));
    for list in ["initContainers", "containers"] {
        for container in to["spec"][list].as_array().into_iter().flatten() {
            let name = &container["name"];
            let before = from["spec"][list].as_array().into_iter().flatten().find(|before| before["name"] == *name);
            let (Some(before), Some(after)) = (before.and_then(|it| it["image"].as_str()), container["image"].as_str())
            else {
                continue;
            };
            if before != after {
                lines.push(format!("{}: {before} → {after}", name.as_str().unwrap_or_default()));
            }
        }
        for template in [&mut rest, &mut other] {
            for container in template["spec"][list].as_array_mut().into_iter().flatten() {
                container["image"] = Value::Null;
            }
            prune(template);
        }
    }
    if rest != other {
        lines.push("and more than images: kubectl rollout history --revision shows it".to_owned());
    }
    lines
}

fn without_restart(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(annotations) = template["metadata"]["annotations"].as_object_mut() {
        annotations.remove(RESTARTED_AT);
    }
    prune(&mut template);
    template
}

fn pruned(template: &Value) -> Value {
    let mut template = template.clone();
    prune(&mut template);
    template
}

/// Takes away nulls, and maps that are empty without them: servers and versions differ in which of them they store.
fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            fields.retain(|name, field| {
                let is_metadata = name == "annotations" || name == "labels" || name == "metadata";
                let is_empty = field.as_object().is_some_and(serde_json::Map::is_empty);
                !(field.is_null() || is_metadata && is_empty)
            });
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(image: &str, restarted: Option<&str>) -> Value {
        let mut template = json!({
            "metadata": {"labels": {"app": "web"}, "creationTimestamp": null},
            "spec": {"containers": [{"name": "main", "image": image}]},
        });
        if let Some(at) = restarted {
            template["metadata"]["annotations"] = json!({RESTARTED_AT: at});
        }
        template
    }

    #[test]
    fn a_restart_is_told_from_a_deploy() {
        let restarted = template("web:1", Some("2026-11-25T12:00:00Z"));
        for (previous, alone, expected) in [
            (template("web:1", None), true, "only the restart is taken back"),
            (template("web:1", Some("2026-01-01T00:00:00Z")), true, "only the restart is taken back"),
            (template("web:0", None), false, "main: web:1 → web:0"),
        ] {
            assert_eq!(same_but_for_the_restart(&previous, &restarted), alone);
            assert_eq!(differences(&restarted, &previous), [expected]);
        }
        let mut more = template("web:0", None);
        more["spec"]["hostNetwork"] = true.into();
        assert_eq!(differences(&restarted, &more).len(), 2);
    }

    #[test]
    fn the_marks_of_controllers_and_empty_maps_make_no_difference() {
        let mut stored = template("web:1", None);
        stored["metadata"]["labels"][TEMPLATE_HASH] = "5d4f".into();
        stored["metadata"]["annotations"] = json!({});
        stored["$patch"] = "replace".into();
        without_marks(&mut stored);
        assert!(is_same(&stored, &template("web:1", None)));
        assert_eq!(
            stored,
            json!({
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "web:1"}]},
            })
        );
    }
}
