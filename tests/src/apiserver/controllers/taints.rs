//! The taints of a Node.

use serde_json::{Value, json};

pub(super) fn has_taint(node: &Value, key: &str, effect: &str) -> bool {
    let mut taints = node["spec"]["taints"].as_array().into_iter().flatten();
    taints.any(|taint| taint["key"] == key && taint["effect"] == effect)
}

pub(super) fn set_taint(node: &mut Value, key: &str, effect: &str, wanted: bool) {
    if has_taint(node, key, effect) == wanted {
        return;
    }
    let is_it = |taint: &Value| taint["key"] == key && taint["effect"] == effect;
    let mut taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    if wanted {
        taints.push(json!({"key": key, "effect": effect}));
    } else {
        taints.retain(|taint| !is_it(taint));
    }
    if let Some(spec) = node["spec"].as_object_mut() {
        if taints.is_empty() {
            spec.remove("taints")
        } else {
            spec.insert("taints".to_owned(), taints.into())
        };
    }
}
