//! A lone replica is replaced before it goes: its Deployment is restarted as `kubectl rollout restart` does it, which starts
//! another pod first and takes the old one away when the new one is ready. So its service is never away, and a budget that
//! allows no disruption needs none.

use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::{Deployment, ReplicaSet, RollingUpdateDeployment},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::Owner;

/// kubectl's own, so that others recognise what has happened.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Which rollout of a Deployment an object is of.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Whether a pod can be replaced before it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fitness {
    /// By restarting this Deployment.
    Fit { deployment: String },
    /// That is under way already.
    UnderWay { deployment: String },
    /// No, and why.
    Unfit { why: String },
}

/// Starts another pod in place of the owner's, if that can be done without a gap.
pub(super) async fn surge(client: &Client, namespace: &str, owner: &Owner) -> Result<Fitness, kube::Error> {
    let fitness = fitness(client, namespace, owner).await?;
    if let Fitness::Fit { deployment } = &fitness {
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
        let annotations = json!({RESTARTED_AT: Timestamp::now().strftime("%FT%TZ").to_string()});
        let restart = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
        deployments.patch(deployment, &PatchParams::default(), &Patch::Strategic(&restart)).await?;
    }
    Ok(fitness)
}

/// Looks whether it can be done.
pub(super) async fn fitness(client: &Client, namespace: &str, owner: &Owner) -> Result<Fitness, kube::Error> {
    let unfit = |why: &str| Ok(Fitness::Unfit { why: why.to_owned() });
    if owner.kind != "ReplicaSet" || !owner.api_version.starts_with("apps/") {
        return unfit("no Deployment controls it");
    }
    let Some(set) = Api::<ReplicaSet>::namespaced(client.clone(), namespace).get_opt(&owner.name).await? else {
        return unfit("its ReplicaSet is gone");
    };
    let by = set.owner_references().iter().find(|by| by.controller == Some(true) && by.kind == "Deployment");
    let Some(by) = by.filter(|_| set.uid().as_deref() == Some(&owner.uid)) else {
        return unfit("no Deployment controls it");
    };
    let Some(deployment) = Api::<Deployment>::namespaced(client.clone(), namespace).get_opt(&by.name).await? else {
        return unfit("its Deployment is gone");
    };
    Ok(judge(&deployment, &set))
}

fn judge(deployment: &Deployment, set: &ReplicaSet) -> Fitness {
    let name = deployment.name_any();
    let unfit = |why: String| Fitness::Unfit { why };
    let spec = deployment.spec.clone().unwrap_or_default();
    if spec.paused == Some(true) {
        return unfit(format!("the rollout of deployment {name} is paused"));
    }
    let revision = |annotations: &std::collections::BTreeMap<String, String>| annotations.get(REVISION).cloned();
    if revision(deployment.annotations()) != revision(set.annotations()) {
        return Fitness::UnderWay { deployment: name };
    }
    let replicas = spec.replicas.unwrap_or(1);
    if replicas != 1 {
        return unfit(format!("deployment {name} has {replicas} replicas"));
    }
    let strategy = spec.strategy.unwrap_or_default();
    if strategy.type_.as_deref() == Some("Recreate") {
        return unfit(format!("deployment {name} ends its pod before it starts another one (strategy Recreate)"));
    }
    match starts_first(&strategy.rolling_update.unwrap_or_default()) {
        true => Fitness::Fit { deployment: name },
        false => unfit(format!("deployment {name} may end its pod before another one is ready (maxUnavailable)")),
    }
}

/// Whether a rollout of one replica starts the new pod before it ends the old one: a surge of at least one, and nothing
/// unavailable. Shares are rounded up for the surge and down for the other, and default to 25 %; a value that is no number
/// counts as none.
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
        judge(&serde_json::from_value(deployment).unwrap(), &set("3")).words()
    }

    fn set(revision: &str) -> ReplicaSet {
        serde_json::from_value(json!({"metadata": {"annotations": {REVISION: revision}}})).unwrap()
    }

    impl Fitness {
        fn words(self) -> String {
            match self {
                Self::Fit { .. } => "fit".into(),
                Self::UnderWay { .. } => "under way".into(),
                Self::Unfit { why } => why,
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
            (json!({}), "fit"),
            (rolling(json!("1%"), json!("99%")), "fit"),
            (rolling(json!(1), json!(0)), "fit"),
            (rolling(json!(0), json!(1)), too_soon),
            (rolling(json!(1), json!(1)), too_soon),
            (rolling(json!("25%"), json!("100%")), too_soon),
            (json!({"replicas": 2}), "deployment web has 2 replicas"),
            (json!({"replicas": null}), "fit"),
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
        assert_eq!(judge(&serde_json::from_value(deployment).unwrap(), &set("3")).words(), "under way");
    }
}
