//! The pods that belong to a node, of DaemonSets and static ones, before and after its boot.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A pod that belongs to its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnPod {
    /// `namespace/name`.
    pub place: String,
    /// What puts one such pod on the node.
    pub source: Source,
    /// Its Ready condition is True.
    pub ready: bool,
    /// It has ended, or is on its way out: another takes its place.
    pub finished: bool,
    /// The ids of its containers. Each start of a container makes a new one.
    pub containers: BTreeSet<String>,
}

/// What puts one pod on a node, whatever that pod's name is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// Kubernetes' own DaemonSet.
    DaemonSet { namespace: String, name: String },
    /// A file of the kubelet's, whose mirror is this `namespace/name`.
    File(String),
}

/// What has become of a node's own pods over a boot.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Why the node is not as well as before, a phrase each.
    pub worse: Vec<String>,
    /// DaemonSets that had a pod here that was ready and have none now, as namespace and name. Each may have been deleted meanwhile.
    pub gone: Vec<(String, String)>,
    /// Pods that are not ready and were not before, as `namespace/name`.
    pub as_before: Vec<String>,
}

/// Compares a node's own pods with those right before its boot. Only what has become worse counts against the boot: a pod that was
/// not ready before cannot prove anything.
///
/// Readiness counts once the kubelet has reported containers of the new boot. Until then the API server still has the condition of the
/// old one.
pub fn compare(before: &[OwnPod], now: &[OwnPod]) -> Compared {
    let (before, now) = (by_source(before), by_source(now));
    let mut compared = Compared::default();
    for source in before.keys().chain(now.keys().filter(|source| !before.contains_key(*source))) {
        let was: &[_] = before.get(source).map_or(&[], Vec::as_slice);
        let was_ready = was.is_empty() || was.iter().any(|pod| pod.ready);
        let old: BTreeSet<_> = was.iter().flat_map(|pod| &pod.containers).collect();
        let Some(pods) = now.get(source) else {
            match source {
                _ if !was_ready => {}
                Source::DaemonSet { namespace, name } => compared.gone.push((namespace.clone(), name.clone())),
                Source::File(place) => compared.worse.push(format!("the static pod {place} does not run")),
            }
            continue;
        };
        let is_stale = |pod: &OwnPod| !pod.containers.is_empty() && pod.containers.iter().all(|id| old.contains(id));
        if pods.iter().any(|pod| pod.ready && !is_stale(pod)) {
            continue;
        }
        for pod in pods {
            match pod.ready {
                true => compared.worse.push(format!("{} has not been reported since the boot", pod.place)),
                false if was_ready => compared.worse.push(format!("{} is not ready", pod.place)),
                false => compared.as_before.push(pod.place.clone()),
            }
        }
    }
    compared
}

/// The pods that run or are to run, by what puts them there.
fn by_source(pods: &[OwnPod]) -> BTreeMap<&Source, Vec<&OwnPod>> {
    let mut sources: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !pod.finished) {
        sources.entry(&pod.source).or_default().push(pod);
    }
    sources
}

/// The pods that are to run and are not ready, as `namespace/name`.
pub fn not_ready(pods: &[OwnPod]) -> Vec<&str> {
    pods.iter().filter(|pod| !pod.finished && !pod.ready).map(|pod| pod.place.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(place: &str, set: &str, ready: bool, container: &str) -> OwnPod {
        OwnPod {
            place: place.to_owned(),
            source: Source::DaemonSet { namespace: "kube-system".into(), name: set.into() },
            ready,
            finished: false,
            containers: Some(container.to_owned()).filter(|id| !id.is_empty()).into_iter().collect(),
        }
    }

    fn finished(pod: OwnPod) -> OwnPod {
        OwnPod { finished: true, ready: false, ..pod }
    }

    fn fixed(place: &str, ready: bool) -> OwnPod {
        OwnPod { source: Source::File(place.into()), ..pod(place, "", ready, "") }
    }

    #[test]
    fn only_what_has_become_worse_is_held_against_a_boot() {
        let cni = || pod("kube-system/cni-a", "cni", true, "c1");
        let sick = || pod("kube-system/cni-a", "cni", false, "c1");
        let booted = || pod("kube-system/cni-a", "cni", true, "c2");
        let gone = || vec![("kube-system".to_owned(), "cni".to_owned())];
        for (what, before, now, worse, missing, as_before) in [
            ("all well", vec![cni()], vec![booted()], "", vec![], ""),
            ("another pod of the set", vec![cni()], vec![pod("kube-system/cni-b", "cni", true, "c9")], "", vec![], ""),
            (
                "not yet",
                vec![cni()],
                vec![pod("kube-system/cni-a", "cni", false, "c2")],
                "cni-a is not ready",
                vec![],
                "",
            ),
            ("of the old boot", vec![cni()], vec![cni()], "cni-a has not been reported since the boot", vec![], ""),
            ("no container ids", vec![pod("k/a", "cni", true, "")], vec![pod("k/a", "cni", true, "")], "", vec![], ""),
            ("was sick", vec![sick()], vec![sick()], "", vec![], "kube-system/cni-a"),
            ("was sick and is gone", vec![sick()], vec![], "", vec![], ""),
            ("gone", vec![cni()], vec![], "", gone(), ""),
            ("ended, and no other came", vec![cni()], vec![finished(cni())], "", gone(), ""),
            ("ended, and another came", vec![cni()], vec![finished(cni()), booted()], "", vec![], ""),
            ("one that had ended before", vec![finished(cni())], vec![finished(cni())], "", vec![], ""),
            ("a set that came meanwhile", vec![], vec![sick()], "cni-a is not ready", vec![], ""),
            ("a static pod is gone", vec![fixed("k/etcd-cp1", true)], vec![], "k/etcd-cp1 does not run", vec![], ""),
        ] {
            let compared = compare(&before, &now);
            match worse {
                "" => assert_eq!(compared.worse, [""; 0], "{what}"),
                worse => {
                    assert!(compared.worse.len() == 1 && compared.worse[0].ends_with(worse), "{what}: {compared:?}");
                }
            }
            assert_eq!(compared.gone, missing, "{what}");
            assert_eq!(compared.as_before.join(""), as_before, "{what}");
        }
    }
}
