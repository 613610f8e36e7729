//! Replaces a lone replica before it goes: restarts its Deployment as `kubectl rollout restart` does, which starts another pod
//! first and removes the old one when the new one is ready. So the service is never away, and a budget that allows no
//! disruption is not violated.

use k8s_openapi::{
    api::apps::v1::{Deployment, ReplicaSet, RollingUpdateDeployment},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;
use usher_common::clock;

use crate::{
    cluster::names::{RESTARTED_AT, REVISION},
    drain::report::Owner,
};

/// Whether a surge can replace a pod before it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Surge {
    /// A restart of this Deployment does it.
    Possible { deployment: String },
    /// A rollout of this Deployment replaces the pod already.
    InProgress { deployment: String },
    /// The rollout would not start the new pod first.
    Impossible { reason: String },
}

/// Restarts the owner's Deployment if that starts another pod first.
pub(crate) async fn start(client: &Client, namespace: &str, owner: &Owner) -> Result<Surge, kube::Error> {
    let surge = check(client, namespace, owner).await?;
    if let Surge::Possible { deployment } = &surge {
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
        let annotations = json!({RESTARTED_AT: clock::now().strftime("%FT%TZ").to_string()});
        let restart = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
        deployments.patch(deployment, &PatchParams::default(), &Patch::Strategic(&restart)).await?;
    }
    Ok(surge)
}

/// Whether a restart would start another pod first. Changes nothing.
pub(crate) async fn check(client: &Client, namespace: &str, owner: &Owner) -> Result<Surge, kube::Error> {
    let impossible = |reason: &str| Ok(Surge::Impossible { reason: reason.to_owned() });
    if owner.kind != "ReplicaSet" || !owner.api_version.starts_with("apps/") {
        return impossible("no Deployment controls it");
    }
    let Some(set) = Api::<ReplicaSet>::namespaced(client.clone(), namespace).get_opt(&owner.name).await? else {
        return impossible("its ReplicaSet is gone");
    };
    let by = set.owner_references().iter().find(|by| by.controller == Some(true) && by.kind == "Deployment");
    let Some(by) = by.filter(|_| set.uid().as_deref() == Some(&owner.uid)) else {
        return impossible("no Deployment controls it");
    };
    let Some(deployment) = Api::<Deployment>::namespaced(client.clone(), namespace).get_opt(&by.name).await? else {
        return impossible("its Deployment is gone");
    };
    Ok(judge(&deployment, &set))
}

fn judge(deployment: &Deployment, set: &ReplicaSet) -> Surge {
    let name = deployment.name_any();
    let impossible = |reason: String| Surge::Impossible { reason };
    let spec = deployment.spec.clone().unwrap_or_default();
    if spec.paused == Some(true) {
        return impossible(format!("the rollout of deployment {name} is paused"));
    }
    let revision = |annotations: &std::collections::BTreeMap<String, String>| annotations.get(REVISION).cloned();
    if revision(deployment.annotations()) != revision(set.annotations()) {
        return Surge::InProgress { deployment: name };
    }
    let replicas = spec.replicas.unwrap_or(1);
    if replicas != 1 {
        return impossible(format!("deployment {name} has {replicas} replicas"));
    }
    let strategy = spec.strategy.unwrap_or_default();
    if strategy.type_.as_deref() == Some("Recreate") {
        return impossible(format!("deployment {name} ends its pod before it starts another one (strategy Recreate)"));
    }
    match starts_first(&strategy.rolling_update.unwrap_or_default()) {
        true => Surge::Possible { deployment: name },
        false => impossible(format!("deployment {name} may end its pod before another one is ready (maxUnavailable)")),
    }
}

/// Whether a rollout of one replica starts the new pod before it ends the old one: a surge of at least one, and none
/// unavailable. Percentages are rounded up for the surge and down for the unavailable, and default to 25 %; a value that is no
/// number counts as zero.
fn starts_first(update: &RollingUpdateDeployment) -> bool {
    let share = |value: &Option<IntOrString>| match value {
        None => 0.25,
        Some(IntOrString::Int(number)) => f64::from(*number),
        Some(IntOrString::String(text)) => {
            text.trim_end_matches('%').parse::<f64>().map_or(0.0, |percent| percent / 100.0)
        }
    };
    share(&update.max_surge).ceil() >= 1.0 && share(&update.max_unavailable).floor() < 1.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judged(change: Value) -> String {
        let mut deployment = json!({
            "metadata": {"name": "web", "annotations": {REVISION: "3"}},
            "spec": {"selector": {}, "template": {}, "replicas": 1},
        });
        for (key, value) in change.as_object().unwrap() {
            deployment["spec"][key] = value.clone();
        }
        judge(&serde_json::from_value(deployment).unwrap(), &set("3")).summary()
    }

    fn set(revision: &str) -> ReplicaSet {
        serde_json::from_value(json!({"metadata": {"annotations": {REVISION: revision}}})).unwrap()
    }

    impl Surge {
        fn summary(self) -> String {
            match self {
                Self::Possible { .. } => "possible".into(),
                Self::InProgress { .. } => "in progress".into(),
                Self::Impossible { reason } => reason,
            }
        }
    }

    fn rolling(surge: Value, unavailable: Value) -> Value {
        json!({"strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}})
    }

    #[test]
    fn only_a_lone_replica_whose_rollout_starts_the_new_pod_first_is_replaced() {
        let too_soon = "deployment web may end its pod before another one is ready (maxUnavailable)";
        for (change, expected) in [
            (json!({}), "possible"),
            (rolling(json!("1%"), json!("99%")), "possible"),
            (rolling(json!(1), json!(0)), "possible"),
            (rolling(json!(0), json!(1)), too_soon),
            (rolling(json!(1), json!(1)), too_soon),
            (rolling(json!("25%"), json!("100%")), too_soon),
            (json!({"replicas": 2}), "deployment web has 2 replicas"),
            (json!({"replicas": null}), "possible"),
            (json!({"paused": true}), "the rollout of deployment web is paused"),
            (
                json!({"strategy": {"type": "Recreate"}}),
                "deployment web ends its pod before it starts another one (strategy Recreate)",
            ),
        ] {
            assert_eq!(judged(change.clone()), expected, "{change}");
        }
    }

    #[test]
    fn a_pod_of_an_earlier_rollout_is_being_replaced_already() {
        let deployment = json!({"metadata": {"name": "web", "annotations": {REVISION: "4"}}});
        assert_eq!(judge(&serde_json::from_value(deployment).unwrap(), &set("3")).summary(), "in progress");
    }
}
