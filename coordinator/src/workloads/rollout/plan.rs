//! What would be restarted, what stands against it, and what is left alone.

use serde::Serialize;
use usher_core::text;

use super::{
    Kind, Places,
    budgets::{Budget, budgets},
    standing::{Standing, standing},
    workload::{Strategy, Workload},
};
use crate::cluster::{Cluster, ClusterError};

/// Namespaces in which Kubernetes itself lives. kubeadm and most distributions have the first three.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// What is to be done with a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Its template gets a new annotation, and the controller replaces its pods.
    Restart,
    /// Its template becomes that of the revision before.
    Undo,
    /// It is left alone on purpose.
    Skip,
    /// It cannot be done.
    Refuse,
}

/// A line of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub namespace: String,
    pub kind: Kind,
    pub name: String,
    pub replicas: i32,
    pub strategy: String,
    pub action: Action,
    /// Why it is skipped or refused, or what stands against it; a line each.
    pub remarks: Vec<String>,
}

/// Looks into the budgets and plans the restart of each workload. `protected` namespaces are left alone unless `places` is one of
/// them by name; those of Kubernetes itself are always protected.
///
/// # Errors
///
/// If the API does not answer.
pub async fn plan(
    cluster: &Cluster,
    places: &Places,
    workloads: &[Workload],
    protected: &[String],
) -> Result<Vec<Row>, ClusterError> {
    let budgets = budgets(cluster, places).await?;
    let is_protected = |namespace: &str| {
        places.named() != Some(namespace)
            && (SYSTEM.contains(&namespace) || protected.iter().any(|other| other == namespace))
    };
    Ok(workloads.iter().map(|workload| row(workload, is_protected(&workload.id.namespace), &budgets)).collect())
}

fn row(workload: &Workload, is_protected: bool, budgets: &[Budget]) -> Row {
    let id = &workload.id;
    let (action, remarks) = if is_protected {
        let namespace = &id.namespace;
        (Action::Skip, vec![format!("{namespace} is protected; to restart what is in it: -n {namespace}")])
    } else if workload.paused {
        let (kind, name, namespace) = (id.kind, &id.name, &id.namespace);
        let resume = format!("kubectl rollout resume {kind}/{name} -n {namespace}");
        (Action::Refuse, vec![format!("it is paused, so nothing would restart; to go on with it: {resume}")])
    } else {
        (Action::Restart, remarks(workload, budgets))
    };
    Row::of(workload, action, remarks)
}

impl Row {
    pub(super) fn of(workload: &Workload, action: Action, remarks: Vec<String>) -> Self {
        let id = &workload.id;
        Self {
            namespace: id.namespace.clone(),
            kind: id.kind,
            name: id.name.clone(),
            replicas: workload.replicas,
            strategy: workload.strategy.to_text(),
            action,
            remarks,
        }
    }

    /// It cannot be done, and why.
    pub fn refuse(&mut self, why: String) {
        self.action = Action::Refuse;
        self.remarks.insert(0, why);
    }
}

impl Strategy {
    fn to_text(&self) -> String {
        match self {
            Self::RollingUpdate { partition: 0, limits } if limits.is_empty() => "RollingUpdate".to_owned(),
            Self::RollingUpdate { partition: 0, limits } => format!("RollingUpdate ({limits})"),
            Self::RollingUpdate { partition, .. } => format!("RollingUpdate (from {partition} up)"),
            Self::Recreate => "Recreate".to_owned(),
            Self::OnDelete => "OnDelete".to_owned(),
        }
    }
}

/// What an operator should know before the restart.
fn remarks(workload: &Workload, budgets: &[Budget]) -> Vec<String> {
    let Workload { id, replicas, strategy, status, selector, .. } = workload;
    let mut remarks = Vec::new();
    match strategy {
        _ if *replicas == 0 => remarks.push("it has no pods, so nothing restarts".to_owned()),
        Strategy::OnDelete => remarks.push(format!(
            "OnDelete: a pod restarts only once it is deleted: kubectl delete pod -n {} -l '{selector}'",
            id.namespace
        )),
        Strategy::RollingUpdate { partition, .. } if partition >= replicas => remarks.push(format!(
            "nothing restarts: its partition {partition} leaves all of {} alone",
            text::count(usize::try_from(*replicas).unwrap_or_default(), "pod")
        )),
        Strategy::RollingUpdate { partition: partition @ 1.., .. } => {
            remarks.push(format!("its partition leaves ordinals below {partition} alone"));
        }
        Strategy::Recreate => remarks.push("Recreate: all its pods are away at once".to_owned()),
        Strategy::RollingUpdate { .. } => {}
    }
    match standing(workload) {
        Standing::Rolling(what) => remarks.push(format!("it is rolling already: {what}")),
        Standing::Failed(what) => remarks.push(format!("its present rollout has failed: {what}")),
        Standing::Complete | Standing::ByHand(_) if status.available < *replicas => {
            remarks.push(format!("{} of {replicas} pods are available", status.available));
        }
        Standing::Complete | Standing::ByHand(_) => {}
    }
    let exhausted = budgets.iter().filter(|it| it.allowed == 0 && it.covers(&id.namespace, &workload.pod_labels));
    // Controllers delete pods, they do not evict them (k8s.io/kubernetes/pkg/controller).
    remarks.extend(
        exhausted.map(|it| format!("its budget {} allows no disruption, and a rollout does not ask it", it.name)),
    );
    remarks
}

#[cfg(test)]
mod tests {
    use super::{
        super::{budgets::budget, fixtures::workload},
        *,
    };

    #[test]
    fn a_plan_says_what_stands_against_a_restart() {
        let deployment = || workload(Kind::Deployment, "web");
        let set = |strategy| Workload { replicas: 3, strategy, ..workload(Kind::StatefulSet, "db") };
        let partition = |partition| Strategy::RollingUpdate { partition, limits: String::new() };
        let whole = |mut workload: Workload| {
            let replicas = workload.replicas;
            workload.status = super::super::workload::Status {
                pods: replicas,
                updated: replicas,
                ready: replicas,
                available: replicas,
                ..workload.status
            };
            workload
        };
        for (workload, expected) in [
            (deployment(), ""),
            (whole(Workload { replicas: 0, ..deployment() }), "it has no pods, so nothing restarts"),
            (Workload { strategy: Strategy::Recreate, ..deployment() }, "Recreate: all its pods are away at once"),
            (Workload { replicas: 2, ..deployment() }, "it is rolling already: 1 of 2 pods are new"),
            (
                whole(set(Strategy::OnDelete)),
                "OnDelete: a pod restarts only once it is deleted: kubectl delete pod -n shop -l 'app=db'",
            ),
            (whole(set(partition(1))), "its partition leaves ordinals below 1 alone"),
            (whole(set(partition(3))), "nothing restarts: its partition 3 leaves all of 3 pods alone"),
            (
                workload(Kind::DaemonSet, "tight"),
                "its budget tight allows no disruption, and a rollout does not ask it",
            ),
        ] {
            let row = row(&workload, false, &[budget("tight", 0), budget("web", 1)]);
            assert_eq!((row.action, row.remarks.join("; ").as_str()), (Action::Restart, expected));
        }
    }

    #[test]
    fn a_paused_deployment_is_refused_and_a_protected_namespace_is_skipped() {
        let paused = row(&Workload { paused: true, ..workload(Kind::Deployment, "web") }, false, &[]);
        assert_eq!(paused.action, Action::Refuse);
        assert!(paused.remarks[0].ends_with("kubectl rollout resume deployment/web -n shop"), "{:?}", paused.remarks);
        let skipped = row(&workload(Kind::Deployment, "web"), true, &[]);
        assert_eq!(skipped.action, Action::Skip);
        assert_eq!(skipped.remarks, ["shop is protected; to restart what is in it: -n shop"]);
    }
}
