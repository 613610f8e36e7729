//! Label and field selectors.

use serde_json::Value;

use super::{answer::Failure, call::Call, resource::Resource, store::meta};

/// What a list or watch asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    path: String,
    value: String,
    equal: bool,
}

impl Selection {
    pub(super) fn of(call: &Call, resource: &'static Resource) -> Result<Self, Failure> {
        let labels = match call.parameter("labelSelector") {
            Some(text) => parse_labels(text)?,
            None => Vec::new(),
        };
        let fields = match call.parameter("fieldSelector") {
            Some(text) => parse_fields(text, resource)?,
            None => Vec::new(),
        };
        Ok(Self { labels, fields })
    }

    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The one node whose pods are selected, if it is one.
    pub(super) fn node(&self) -> Option<&str> {
        let is_it = |field: &&FieldRequirement| field.path == "spec.nodeName" && field.equal;
        self.fields.iter().find(is_it).map(|field| field.value.as_str())
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        self.labels.iter().all(|requirement| requirement.matches(&object["metadata"]["labels"]))
            && self.fields.iter().all(|field| (field_value(object, &field.path) == field.value) == field.equal)
    }
}

impl Requirement {
    fn matches(&self, labels: &Value) -> bool {
        let label = labels[&self.key].as_str();
        match &self.operator {
            Operator::In(values) => label.is_some_and(|label| values.iter().any(|value| value == label)),
            Operator::NotIn(values) => label.is_none_or(|label| values.iter().all(|value| value != label)),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
        }
    }
}

/// Whether a `metav1.LabelSelector` selects the labels: null selects nothing, an empty one everything, a broken one
/// nothing.
pub(super) fn label_selector_matches(selector: &Value, labels: &Value) -> bool {
    let Some(selector) = selector.as_object() else { return false };
    let equal = selector
        .get("matchLabels")
        .and_then(Value::as_object)
        .is_none_or(|wanted| wanted.iter().all(|(key, value)| &labels[key] == value));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    equal && expressions.is_none_or(|all| all.iter().all(|it| expression(it).is_some_and(|it| it.matches(labels))))
}

fn expression(expression: &Value) -> Option<Requirement> {
    let values =
        expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let operator = match expression["operator"].as_str()? {
        "In" => Operator::In(values),
        "NotIn" => Operator::NotIn(values),
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        _ => return None,
    };
    Some(Requirement { key: expression["key"].as_str()?.to_owned(), operator })
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, Failure> {
    split_outside_parentheses(text).into_iter().map(|part| parse_label(part.trim())).collect()
}

fn parse_label(part: &str) -> Result<Requirement, Failure> {
    let requirement = |key: &str, operator| Requirement { key: key.trim().to_owned(), operator };
    let bad = || Failure::bad_request(format!("unable to parse requirement: {part}"));
    if let Some((head, tail)) = part.split_once('(') {
        let values = tail.strip_suffix(')').ok_or_else(bad)?.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, word) = head.trim().rsplit_once(' ').ok_or_else(bad)?;
        return match word {
            "in" => Ok(requirement(key, Operator::In(values))),
            "notin" => Ok(requirement(key, Operator::NotIn(values))),
            _ => Err(bad()),
        };
    }
    if let Some(key) = part.strip_prefix('!') {
        return Ok(requirement(key, Operator::DoesNotExist));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(requirement(key, Operator::NotIn(vec![value.trim().to_owned()])));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(requirement(key, Operator::In(vec![value.trim().to_owned()])));
    }
    if part.is_empty() || part.contains(char::is_whitespace) {
        return Err(bad());
    }
    Ok(requirement(part, Operator::Exists))
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0_i32);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The fields besides name and namespace that a resource can be selected by.
fn selectable(resource: &Resource) -> &'static [&'static str] {
    match (resource.group, resource.plural) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase"],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "reason",
            "type",
        ],
        _ => &[],
    }
}

fn parse_fields(text: &str, resource: &'static Resource) -> Result<Vec<FieldRequirement>, Failure> {
    let mut fields = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
            (path, value, false)
        } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (path, value, true)
        } else {
            return Err(Failure::bad_request(format!("invalid selector: '{text}'; can't understand '{part}'")));
        };
        let always = path == "metadata.name" || (path == "metadata.namespace" && resource.namespaced);
        if !always && !selectable(resource).contains(&path) {
            return Err(Failure::bad_request(format!("field label not supported: {path}")));
        }
        fields.push(FieldRequirement { path: path.to_owned(), value: value.to_owned(), equal });
    }
    Ok(fields)
}

/// A field as selectors see it: absent strings are empty, absent truth values are false.
fn field_value(object: &Value, path: &str) -> String {
    match path {
        "metadata.name" => meta(object, "name").to_owned(),
        "metadata.namespace" => meta(object, "namespace").to_owned(),
        path => match path.split('.').fold(object, |value, step| &value[step]) {
            Value::String(text) => text.clone(),
            Value::Bool(truth) => truth.to_string(),
            _ if matches!(path, "spec.unschedulable" | "spec.hostNetwork") => "false".to_owned(),
            _ => String::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(text: &str, labels: Value) -> bool {
        parse_labels(text).unwrap().iter().all(|it| it.matches(&labels))
    }

    #[test]
    fn label_selectors_mean_what_kubectl_means() {
        let web = json!({"app": "web", "tier": "front"});
        for (text, selected) in [
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app!=web", false),
            ("missing!=x", true),
            ("app in (web, api),tier", true),
            ("app notin (web)", false),
            ("!missing", true),
            ("!app", false),
        ] {
            assert_eq!(selects(text, web.clone()), selected, "{text}");
        }
        assert!(parse_labels("app in web").is_err());
    }

    #[test]
    fn no_selector_of_a_budget_selects_nothing_and_an_empty_one_everything() {
        let labels = json!({"app": "web"});
        assert!(!label_selector_matches(&Value::Null, &labels));
        assert!(label_selector_matches(&json!({}), &labels));
        assert!(label_selector_matches(
            &json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["api"]}]}),
            &labels
        ));
        assert!(!label_selector_matches(&json!({"matchExpressions": [{"key": "app", "operator": "?"}]}), &labels));
    }

    #[test]
    fn a_node_that_says_nothing_is_schedulable_to_a_field_selector() {
        assert_eq!(field_value(&json!({"spec": {}}), "spec.unschedulable"), "false");
        assert_eq!(field_value(&json!({"spec": {"unschedulable": true}}), "spec.unschedulable"), "true");
        assert_eq!(field_value(&json!({"spec": {}}), "spec.nodeName"), "");
    }
}
