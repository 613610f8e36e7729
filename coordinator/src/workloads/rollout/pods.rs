//! Looks at the pods of a workload that does not come along, and says why.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{ListParams, LogParams},
};
use usher_common::{chain, clock};
use usher_core::text;

use super::workload::Workload;
use crate::{
    cluster::Cluster,
    workloads::{
        Namespaces,
        pods::{
            object,
            why::{Cause, trouble},
        },
        read,
    },
};

/// Pods that are told of; the others mostly have the same trouble.
const SHOWN: usize = 3;

/// The last lines of a container that crashed, and their size at most.
const LOG_LINES: i64 = 5;
const LOG_BYTES: i64 = 2048;

/// A pod that keeps its workload from being complete, the likeliest cause first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Troubled {
    cause: Cause,
    pod: String,
    what: String,
    /// The container whose last words would help.
    container: Option<String>,
}

/// Why the workload is not complete, a line each, the likeliest cause first; empty if its pods are on their way. With `logs`
/// also the last words of a container that crashed. Never fails: a line says what cannot be read.
pub async fn reasons(cluster: &Cluster, workload: &Workload, logs: bool) -> Vec<String> {
    let api: Api<Pod> = Api::namespaced(cluster.client().clone(), &workload.id.namespace);
    let mut lines: Vec<_> = workload.status.no_pods.iter().map(|why| format!("it gets no new pods: {why}")).collect();
    let (params, now) = (ListParams::default().labels(&workload.selector), clock::now());
    let add = |(count, worst): &mut (usize, BTreeSet<Troubled>), pod: object::Pod| {
        if let Some(trouble) = trouble(&pod, now) {
            *count += 1;
            let (cause, what, container) = (trouble.cause, trouble.what, trouble.container);
            worst.insert(Troubled { cause, pod: pod.metadata.name, what, container });
            if worst.len() > SHOWN {
                worst.pop_last();
            }
        }
    };
    let places = Namespaces::One(workload.id.namespace.clone());
    let listed = read::fold::<Pod, _, _>((cluster, &places), params, "list its pods", <_>::default(), add);
    let (count, worst) = match listed.await {
        Ok(found) => found,
        Err(error) => {
            lines.push(format!("its pods are not known: {}", chain(&error)));
            return lines;
        }
    };
    let crashed = worst.iter().find(|trouble| trouble.container.is_some());
    let last_words = match crashed.filter(|_| logs) {
        Some(trouble) => last_words(&api, trouble).await,
        None => Vec::new(),
    };
    for trouble in &worst {
        lines.push(format!("pod {}: {}", trouble.pod, trouble.what));
        if crashed == Some(trouble) {
            lines.extend(last_words.iter().map(|line| format!("  | {line}")));
        }
    }
    if count > worst.len() {
        lines.push(format!("and {} more", text::count(count - worst.len(), "pod")));
    }
    lines
}

/// The end of the log of the container that crashed; empty if nobody may read it, or it is gone.
async fn last_words(api: &Api<Pod>, trouble: &Troubled) -> Vec<String> {
    let params = LogParams {
        container: trouble.container.clone(),
        previous: true,
        tail_lines: Some(LOG_LINES),
        limit_bytes: Some(LOG_BYTES),
        ..LogParams::default()
    };
    let log = api.logs(&trouble.pod, &params).await.unwrap_or_default();
    // A log may hold whatever a terminal takes for a command.
    let printable = |line: &str| line.chars().filter(|char| !char.is_control()).collect::<String>();
    log.lines().map(printable).filter(|line| !line.trim().is_empty()).collect()
}
