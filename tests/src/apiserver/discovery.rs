//! Health, version and discovery.

use http::Method;
use serde_json::{Value, json};

use super::{
    answer::{Reply, object, text},
    call::Call,
    resource::{ALL, PODS, Resource},
};

/// The paths that are answered without a certificate.
pub(super) fn health(call: &Call, ready: bool) -> Option<Reply> {
    match call.path.as_str() {
        "/livez" | "/healthz" => Some(text(200, "ok")),
        "/readyz" if ready => Some(text(200, "ok")),
        "/readyz" => {
            Some(text(500, "[+]ping ok\n[+]etcd ok\n[-]shutdown failed: reason withheld\nreadyz check failed\n"))
        }
        _ => None,
    }
}

/// What is neither an object nor health; `None` if there is nothing at this path.
pub(super) fn answer(call: &Call, git_version: &str) -> Option<Reply> {
    let segments: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    let value = match (&call.method, segments.as_slice()) {
        (&Method::GET, ["version"]) => version(git_version),
        (&Method::GET, ["api"]) => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        (&Method::GET, ["apis"]) => groups(),
        (&Method::GET, ["apis", group]) => group_of(group)?,
        (&Method::GET, ["api", version]) => resources("", version)?,
        (&Method::GET, ["apis", group, version]) => resources(group, version)?,
        _ => return None,
    };
    Some(object(200, &value))
}

fn version(git_version: &str) -> Value {
    let mut numbers = git_version.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next().unwrap_or_default(), "minor": numbers.next().unwrap_or_default(),
        "gitVersion": git_version, "gitCommit": "in-memory", "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc", "platform": "linux/amd64",
    })
}

fn groups() -> Value {
    let mut names: Vec<&str> = ALL.iter().map(|it| it.group).filter(|group| !group.is_empty()).collect();
    names.push("authorization.k8s.io");
    names.sort_unstable();
    names.dedup();
    let groups: Vec<Value> = names.into_iter().map(group).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn group(name: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn group_of(name: &str) -> Option<Value> {
    let known = ALL.iter().any(|it| it.group == name) && !name.is_empty();
    let mut answer = known.then(|| group(name))?;
    answer["kind"] = "APIGroup".into();
    answer["apiVersion"] = "v1".into();
    Some(answer)
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for resource in ALL.iter().filter(|it| it.group == group && it.version == version) {
        resources.push(entry(resource));
        if resource.status {
            resources.push(json!({
                "name": format!("{}/status", resource.plural), "singularName": "", "kind": resource.kind,
                "namespaced": resource.namespaced, "verbs": ["get", "patch", "update"],
            }));
        }
        if *resource == PODS {
            resources.push(json!({
                "name": "pods/eviction", "singularName": "", "namespaced": true, "group": "policy", "version": "v1",
                "kind": "Eviction", "verbs": ["create"],
            }));
        }
    }
    if group == "authorization.k8s.io" && version == "v1" {
        resources.push(json!({
            "name": "selfsubjectaccessreviews", "singularName": "selfsubjectaccessreview", "namespaced": false,
            "kind": "SelfSubjectAccessReview", "verbs": ["create"],
        }));
    }
    let place = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!resources.is_empty())
        .then(|| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": place, "resources": resources}))
}

fn entry(resource: &Resource) -> Value {
    json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "shortNames": resource.short,
        "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
    })
}
