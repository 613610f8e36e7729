//! Who may do what: everybody everything, except what a test has forbidden.

use http::Method;
use serde_json::{Value, json};

use super::{
    answer::{Failure, Reply, object},
    call::{Call, Target},
};

/// The path of a question about one's own rights.
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// A right that nobody has.
#[derive(Debug, Clone)]
pub(super) struct Forbidden {
    pub(super) verb: String,
    /// With its subresource, or a path.
    pub(super) resource: String,
}

impl Forbidden {
    fn covers(&self, verb: &str, resource: &str) -> bool {
        self.verb == verb && self.resource == resource
    }
}

/// The refusal of a request that is forbidden.
pub(super) fn refusal(call: &Call, forbidden: &[Forbidden]) -> Option<Failure> {
    let (verb, resource) = asked(call);
    forbidden.iter().any(|right| right.covers(&verb, &resource)).then(|| {
        Failure::new(
            403,
            "Forbidden",
            format!("{resource} is forbidden: User \"tester\" cannot {verb} resource \"{resource}\""),
        )
    })
}

/// The answer to a question about one's own rights; None if it is no such question.
pub(super) fn review(call: &Call, forbidden: &[Forbidden]) -> Option<Reply> {
    if call.method != Method::POST || call.path != REVIEWS {
        return None;
    }
    // kubectl asks in protobuf, which this double does not read.
    let mut review = call.json().unwrap_or_else(|_| json!({}));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spec = &review["spec"];
    let (verb, resource) = match &spec["nonResourceAttributes"] {
        Value::Null => {
            let attributes = &spec["resourceAttributes"];
            let sub = text(&attributes["subresource"]);
            let slash = if sub.is_empty() { "" } else { "/" };
            (text(&attributes["verb"]), format!("{}{slash}{sub}", text(&attributes["resource"])))
        }
        path => (text(&path["verb"]), text(&path["path"])),
    };
    let allowed = !forbidden.iter().any(|right| right.covers(&verb, &resource));
    review["kind"] = "SelfSubjectAccessReview".into();
    review["apiVersion"] = "authorization.k8s.io/v1".into();
    review["status"] = json!({"allowed": allowed});
    Some(object(201, &review))
}

/// The right that a request takes, as `patch nodes`.
pub(super) fn of(call: &Call) -> String {
    let (verb, resource) = asked(call);
    format!("{verb} {resource}")
}

/// The verb and the resource of a request, as RBAC names them.
fn asked(call: &Call) -> (String, String) {
    let verb = |of_get: &str| match call.method {
        Method::GET if call.flag("watch") => "watch".to_owned(),
        Method::GET => of_get.to_owned(),
        Method::POST => "create".to_owned(),
        Method::PUT => "update".to_owned(),
        _ => call.method.as_str().to_lowercase(),
    };
    match call.target() {
        Target::Other => (verb("get"), call.path.clone()),
        Target::Collection { resource, .. } => (verb("list"), resource.plural.to_owned()),
        Target::Object { resource, subresource, .. } => {
            let sub = subresource.map(|sub| format!("/{sub}")).unwrap_or_default();
            (verb("get"), format!("{}{sub}", resource.plural))
        }
    }
}
