//! Kubelets: heartbeats, starting and ending of pods, power failures and boots; and the controller that watches them.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    Due, earlier,
    starts::{self, Start},
    taints::{has_taint, set_taint},
};
use crate::apiserver::{
    clock::{micros, seconds},
    fixtures::STOPS_AFTER,
    resource::{LEASES, NODES},
    store::{Key, Store, is_terminating, meta},
    verbs::{self, DeleteOptions},
};

/// How often the kubelet reports a status in which nothing has changed.
const STATUS_REPORT: SignedDuration = SignedDuration::from_mins(5);
/// After this long without a heartbeat the node-lifecycle controller calls the node unknown (Kubernetes 1.32 and later).
const GRACE: SignedDuration = SignedDuration::from_secs(50);
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// How the kubelet of a node behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubelet {
    /// Whether it runs. A dead one neither reports nor ends pods.
    pub alive: bool,
    /// How long a pod takes from its binding until it is ready.
    pub pods_start_in: Duration,
    /// How often it renews its Lease. Real ones do so each 10 s.
    pub heartbeat: Duration,
    /// How pods start whose label `app` is in here; the others start well.
    pub starts: BTreeMap<String, Start>,
}

impl Default for Kubelet {
    fn default() -> Self {
        Self {
            alive: true,
            pods_start_in: Duration::from_secs(1),
            heartbeat: Duration::from_secs(10),
            starts: BTreeMap::new(),
        }
    }
}

#[derive(Default)]
pub(in crate::apiserver) struct Kubelets {
    nodes: BTreeMap<String, Running>,
}

struct Running {
    kubelet: Kubelet,
    lease_due: Timestamp,
    status_due: Timestamp,
    last_seen: Timestamp,
    /// When pods that start or end were first seen, by uid.
    starting: BTreeMap<String, Timestamp>,
    ending: BTreeMap<String, Timestamp>,
}

impl Kubelets {
    /// Gives a node a kubelet, which reports at once.
    pub(in crate::apiserver) fn run(&mut self, node: &str, kubelet: Kubelet, now: Timestamp) {
        let running = Running {
            kubelet,
            lease_due: now,
            status_due: now,
            last_seen: now,
            starting: BTreeMap::new(),
            ending: BTreeMap::new(),
        };
        self.nodes.insert(node.to_owned(), running);
    }

    /// Changes how a kubelet behaves. One that comes to life reports at once.
    pub(in crate::apiserver) fn edit(&mut self, node: &str, edit: impl FnOnce(&mut Kubelet), now: Timestamp) {
        let Some(running) = self.nodes.get_mut(node) else { return };
        let was_alive = running.kubelet.alive;
        edit(&mut running.kubelet);
        if running.kubelet.alive && !was_alive {
            running.lease_due = now;
            running.status_due = now;
        }
    }

    /// The node comes up with a new boot: its first status says so, and what was bound to it starts anew.
    pub(in crate::apiserver) fn boot(&mut self, store: &mut Store, node: &str, boot_id: &str, now: Timestamp) {
        let kubelet = self.nodes.get(node).map(|running| running.kubelet.clone()).unwrap_or_default();
        self.run(node, Kubelet { alive: true, ..kubelet }, now);
        store.edit(&Key::new(NODES, "", node), |node| node["status"]["nodeInfo"]["bootID"] = boot_id.into());
        for key in pods_on(store, node) {
            store.edit(&key, |pod| {
                set_condition(pod, "Ready", "False", "ContainersNotReady", now);
                let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or(0);
                pod["status"]["containerStatuses"] =
                    json!([{"name": "main", "ready": false, "restartCount": restarts + 1, "image": "", "imageID": ""}]);
            });
        }
    }

    pub(super) fn pass(&mut self, store: &mut Store, now: Timestamp) -> Due {
        let mut due = None;
        let mut pods: BTreeMap<String, Vec<Key>> = BTreeMap::new();
        for (key, pod) in store.restless_pods() {
            if let Some(node) = pod["spec"]["nodeName"].as_str() {
                pods.entry(node.to_owned()).or_default().push(key.clone());
            }
        }
        for (node, running) in self.nodes.iter_mut().filter(|(_, running)| running.kubelet.alive) {
            let pods = pods.get(node);
            if pods.is_none() && running.reports_at() > now {
                due = earlier(due, Some(running.reports_at()));
                continue;
            }
            if store.get(&Key::new(NODES, "", node)).is_none() {
                continue;
            }
            due = earlier(due, Some(running.heartbeat(store, node, now)));
            for key in pods.into_iter().flatten() {
                due = earlier(due, running.tend(store, key, now));
            }
        }
        due
    }

    /// The node-lifecycle controller: taints nodes that are cordoned or silent.
    pub(super) fn watch_over_nodes(&mut self, store: &mut Store, now: Timestamp) -> Due {
        let mut due = None;
        // Most passes find nothing to change, and an edit copies the whole Node.
        let mut wrong = Vec::new();
        for (key, node) in store.list(NODES, None) {
            let silent = match self.nodes.get(&key.name) {
                Some(running) if !running.kubelet.alive => {
                    let end = running.last_seen + GRACE;
                    due = earlier(due, Some(end).filter(|end| *end > now));
                    end <= now
                }
                _ => false,
            };
            let cordoned = node["spec"]["unschedulable"] == true;
            let taints = [
                (UNSCHEDULABLE, "NoSchedule", cordoned),
                (UNREACHABLE, "NoSchedule", silent),
                (UNREACHABLE, "NoExecute", silent),
            ];
            if silent || taints.iter().any(|(key, effect, wanted)| has_taint(node, key, effect) != *wanted) {
                wrong.push((key.clone(), taints, silent));
            }
        }
        for (key, taints, silent) in wrong {
            store.edit(&key, |node| {
                for (key, effect, wanted) in taints {
                    set_taint(node, key, effect, wanted);
                }
                if silent {
                    set_condition(node, "Ready", "Unknown", "NodeStatusUnknown", now);
                }
            });
            if silent {
                for pod in pods_on(store, &key.name) {
                    store.edit(&pod, |pod| set_condition(pod, "Ready", "False", "NodeNotReady", now));
                }
            }
        }
        due
    }
}

impl Running {
    fn heartbeat(&mut self, store: &mut Store, node: &str, now: Timestamp) -> Timestamp {
        if now >= self.status_due {
            self.status_due = now + STATUS_REPORT;
            store.edit(&Key::new(NODES, "", node), |node| {
                set_condition(node, "Ready", "True", "KubeletReady", now);
                set_heartbeat(node, now);
            });
        }
        if now >= self.lease_due {
            self.lease_due = now + self.kubelet.heartbeat;
            self.last_seen = now;
            let key = Key::new(LEASES, "kube-node-lease", node);
            let mut lease = store.get(&key).map_or_else(
                || {
                    let mut lease = json!({"spec": {"holderIdentity": node, "leaseDurationSeconds": 40}});
                    store.stamp(&key, &mut lease);
                    lease
                },
                |lease| (*lease).clone(),
            );
            lease["spec"]["renewTime"] = micros(now).into();
            store.put(key, lease);
        }
        self.reports_at()
    }

    /// When it reports next.
    fn reports_at(&self) -> Timestamp {
        self.lease_due.min(self.status_due)
    }

    /// Starts or ends one pod, and tells when it wants to look at it again.
    fn tend(&mut self, store: &mut Store, key: &Key, now: Timestamp) -> Due {
        let pod = store.get(key)?;
        let uid = meta(&pod, "uid").to_owned();
        if is_terminating(&pod) {
            let since = *self.ending.entry(uid.clone()).or_insert(now);
            let end = since + life_after_deletion(&pod)?;
            if end > now {
                return Some(end);
            }
            self.ending.remove(&uid);
            end_pod(store, key);
            return None;
        }
        if pod["status"]["phase"] == "Pending" || (pod["status"]["phase"] == "Running" && is_starting(&pod)) {
            let since = *self.starting.entry(uid.clone()).or_insert(now);
            let start = since + self.kubelet.pods_start_in;
            if start > now {
                return Some(start);
            }
            self.starting.remove(&uid);
            let app = pod["metadata"]["labels"]["app"].as_str().unwrap_or_default();
            if let Some(start) = self.kubelet.starts.get(app) {
                store.edit(key, |pod| {
                    starts::goes_wrong(pod, start);
                    set_condition(pod, "Ready", "False", "ContainersNotReady", now);
                });
                return None;
            }
            store.edit(key, |pod| {
                starts::goes_well(pod);
                pod["status"]["phase"] = "Running".into();
                pod["status"]["startTime"] = seconds(now).into();
                set_condition(pod, "Ready", "True", "", now);
            });
        }
        None
    }
}

/// Whether a running pod is not ready because its node has just come up; other pods that are not ready stay so.
fn is_starting(pod: &Value) -> bool {
    pod["status"]["conditions"].as_array().into_iter().flatten().any(|it| {
        it["type"] == "Ready"
            && it["status"] != "True"
            && (it["reason"] == "ContainersNotReady" || it["reason"] == "NodeNotReady")
    })
}

/// How long a pod lives after its deletion was asked for: what it needs to stop, at most its grace. `None`: it never goes.
fn life_after_deletion(pod: &Value) -> Option<SignedDuration> {
    let grace = SignedDuration::from_secs(pod["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0));
    match pod["metadata"]["annotations"][STOPS_AFTER].as_str() {
        None => Some(grace.min(SignedDuration::from_secs(1))),
        Some("never") => None,
        Some(millis) => Some(millis.parse().map_or(grace, |millis| grace.min(SignedDuration::from_millis(millis)))),
    }
}

/// As the kubelet does when the last container has ended.
fn end_pod(store: &mut Store, key: &Key) {
    let at_once = DeleteOptions { grace: Some(0), ..DeleteOptions::default() };
    // It may be gone already.
    let _ = verbs::delete(store, key, &at_once);
}

fn pods_on(store: &Store, node: &str) -> Vec<Key> {
    store.pods_on(node).map(|(key, _)| key.clone()).collect()
}

fn set_heartbeat(node: &mut Value, now: Timestamp) {
    for condition in node["status"]["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastHeartbeatTime"] = seconds(now).into();
    }
}

/// Sets a condition; its transition time moves only with its status.
fn set_condition(object: &mut Value, kind: &str, status: &str, reason: &str, now: Timestamp) {
    if !object["status"]["conditions"].is_array() {
        object["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = object["status"]["conditions"].as_array_mut() else { return };
    let condition = json!({"type": kind, "status": status, "reason": reason, "lastTransitionTime": seconds(now)});
    match conditions.iter_mut().find(|it| it["type"] == kind) {
        Some(old) if old["status"] == status => old["reason"] = reason.into(),
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
}
