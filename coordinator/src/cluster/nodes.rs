//! Nodes: what usher needs to know of them, and the cordon with its mark.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::core::v1::{Node, NodeCondition},
    apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry,
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::{Cluster, ClusterError, CordonMark, FieldWriter, NodeFacts, PATIENCE, list, names::FIELD_MANAGER};

/// The annotation that says who cordoned a node, written in the same patch as the cordon itself.
const CORDON_ANNOTATION: &str = "usher.dev/cordon";

/// The labels that kubeadm and most distributions give control-plane Nodes; the second one is that of old clusters.
const CONTROL_PLANE_LABELS: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

/// The command whose cordon is taken away at its end.
const REBOOT: &str = "reboot";

/// What became of a cordon.
#[derive(Debug, Clone, PartialEq)]
pub enum Cordoned {
    /// It is ours now.
    Now,
    /// Usher had cordoned it for an operation that was to take the cordon away again, with this mark. Now it is there to stay.
    ToStay(CordonMark),
    /// The node was cordoned before, by usher with this mark or by somebody else; nothing was written.
    Before(Option<CordonMark>),
}

/// What became of an uncordon.
#[derive(Debug, Clone, PartialEq)]
pub enum Uncordoned {
    /// It is schedulable again.
    Now,
    /// It was schedulable already.
    Before,
    /// The cordon carries another mark than the expected one, or none; nothing was written.
    NotOurs,
}

fn facts_of(node: &Node) -> NodeFacts {
    let spec = node.spec.clone().unwrap_or_default();
    let status = node.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    let info = status.node_info.unwrap_or_default();
    let addresses = status.addresses.unwrap_or_default();
    let address =
        |kind: &str| addresses.iter().find(|address| address.type_ == kind).map(|found| found.address.clone());
    let labels = node.labels();
    NodeFacts {
        name: node.name_any(),
        uid: node.uid().unwrap_or_default(),
        control_plane: CONTROL_PLANE_LABELS.iter().any(|&label| labels.contains_key(label)),
        hostnames: address("Hostname").into_iter().chain(labels.get("kubernetes.io/hostname").cloned()).collect(),
        internal_ip: address("InternalIP"),
        other_internal_ips: addresses
            .iter()
            .filter(|address| address.type_ == "InternalIP")
            .skip(1)
            .map(|found| found.address.clone())
            .collect(),
        ready: ready.map(|condition| condition.status.clone()).unwrap_or_default(),
        ready_message: ready.map(words).unwrap_or_default(),
        heartbeat: ready.and_then(|condition| condition.last_heartbeat_time.as_ref()).map(|time| time.0),
        troubles: conditions.iter().filter(|condition| is_trouble(condition)).map(|c| c.type_.clone()).collect(),
        boot_id: info.boot_id,
        kernel: info.kernel_version,
        kubelet: info.kubelet_version,
        kube_proxy: info.kube_proxy_version,
        container_runtime: info.container_runtime_version,
        unschedulable: spec.unschedulable.unwrap_or_default(),
        mark: mark(node),
        cordoned_by: unschedulable_writer(node),
        taints: spec
            .taints
            .unwrap_or_default()
            .into_iter()
            .filter(|taint| taint.effect != "PreferNoSchedule" && taint.key != "node.kubernetes.io/unschedulable")
            .map(|taint| format!("{}:{}", taint.key, taint.effect))
            .collect(),
    }
}

fn words(condition: &NodeCondition) -> String {
    let reason = condition.reason.as_deref().unwrap_or_default();
    let message = condition.message.as_deref().unwrap_or_default();
    [reason, message].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(": ")
}

fn is_trouble(condition: &NodeCondition) -> bool {
    matches!(condition.type_.as_str(), "MemoryPressure" | "DiskPressure" | "PIDPressure" | "NetworkUnavailable")
        && condition.status != "False"
}

/// usher's mark, if the cordon that stands is usher's: somebody else who uncordons leaves the annotation behind, and a later
/// cordon of theirs must not pass for ours.
fn mark(node: &Node) -> Option<CordonMark> {
    let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default();
    let somebody_elses = unschedulable_writer(node).is_some_and(|writer| writer.manager != FIELD_MANAGER);
    if !cordoned || somebody_elses {
        return None;
    }
    serde_json::from_str(node.annotations().get(CORDON_ANNOTATION)?).ok()
}

/// The manager under which the API server keeps entries that it has merged: a Node with more than ten managers loses the oldest
/// names (`fieldmanager/capmanagers.go`).
const MERGED: &str = "ancient-changes";

/// Which client wrote `spec.unschedulable`, from the managed fields. Several own it after an apply; usher's own entry is then as good
/// as any, for somebody else's uncordon takes it away. What was merged names nobody.
fn unschedulable_writer(node: &Node) -> Option<FieldWriter> {
    let owners = node.metadata.managed_fields.iter().flatten().filter(|entry| {
        entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:unschedulable").is_some())
    });
    let writer = |entry: &ManagedFieldsEntry| FieldWriter {
        manager: entry.manager.clone().unwrap_or_default(),
        at: entry.time.as_ref().map(|time| time.0),
    };
    let owners = owners.map(writer).filter(|writer| writer.manager != MERGED);
    owners.max_by_key(|writer| (writer.manager == FIELD_MANAGER, writer.at))
}

impl Cluster {
    /// All Nodes, by name.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn nodes(&self) -> Result<BTreeMap<String, NodeFacts>, ClusterError> {
        self.nodes_matching("").await
    }

    /// All Nodes, by name, and as the API has them without the bulk that nobody needs. Asked for once and not again: as the first
    /// request of a command it tells within seconds whether there is an API.
    ///
    /// # Errors
    ///
    /// As [`Self::nodes`].
    pub async fn nodes_at_once(&self) -> Result<(BTreeMap<String, NodeFacts>, Vec<Node>), ClusterError> {
        let api: Api<Node> = Api::all(self.client.clone());
        let empty = (BTreeMap::new(), Vec::new());
        let nodes = list::fold(
            &api,
            ListParams::default().limit(list::PAGE),
            Duration::ZERO,
            empty,
            |(facts, slim), mut node| {
                facts.insert(node.name_any(), facts_of(&node));
                node.metadata.managed_fields = None;
                if let Some(status) = &mut node.status {
                    status.images = None;
                }
                slim.push(node);
            },
        );
        nodes.await.map(|(nodes, _)| nodes).map_err(|source| self.error("list the nodes", source))
    }

    /// The names of all Nodes, asked for once and without their bulk.
    ///
    /// # Errors
    ///
    /// As [`Self::nodes`].
    pub async fn node_names(&self) -> Result<Vec<String>, ClusterError> {
        let api: Api<Node> = Api::all(self.client.clone());
        let listed =
            api.list_metadata(&ListParams::default()).await.map_err(|source| self.error("list the nodes", source))?;
        Ok(listed.items.iter().map(ResourceExt::name_any).collect())
    }

    /// The Nodes whose labels match, by name.
    ///
    /// # Errors
    ///
    /// As [`Self::nodes`]; a selector that the server cannot parse is its 400.
    pub async fn nodes_matching(&self, selector: &str) -> Result<BTreeMap<String, NodeFacts>, ClusterError> {
        let api: Api<Node> = Api::all(self.client.clone());
        let params = ListParams::default().labels(selector).limit(list::PAGE);
        let nodes = list::fold(&api, params, PATIENCE, BTreeMap::new(), |facts, node| {
            facts.insert(node.name_any(), facts_of(&node));
        });
        nodes.await.map(|(nodes, _)| nodes).map_err(|source| self.error("list the nodes", source))
    }

    /// One Node.
    ///
    /// # Errors
    ///
    /// As [`Self::nodes`]; a Node that does not exist is not found.
    pub async fn node(&self, name: &str) -> Result<NodeFacts, ClusterError> {
        let api: Api<Node> = Api::all(self.client.clone());
        let node = self.patiently(&format!("read the node {name}"), || api.get(name)).await?;
        Ok(facts_of(&node))
    }

    /// Cordons a node and writes the mark in the same patch. A node that is cordoned already is left as it is, but for the mark of
    /// a reboot if the cordon is to `stay`: with that mark, the next reboot would take away the cordon that was just asked for.
    ///
    /// The patch carries the resourceVersion that was read: of two that cordon at once, one finds the other's cordon.
    ///
    /// # Errors
    ///
    /// As [`Self::node`].
    pub async fn cordon(&self, name: &str, mark: &CordonMark, stay: bool) -> Result<Cordoned, ClusterError> {
        let doing = format!("cordon {name}");
        let text = text_of(mark, &doing)?;
        let replaced = RefCell::new(None);
        let early = self.patch_node(name, &doing, |node| {
            let facts = facts_of(node);
            let annotation = json!({"annotations": {CORDON_ANNOTATION: text}});
            match facts.mark {
                _ if !facts.unschedulable => {
                    replaced.take();
                    Ok(json!({"metadata": annotation, "spec": {"unschedulable": true}}))
                }
                // A repeated request whose first answer was lost finds its own mark.
                Some(found) if found.operation == mark.operation => Err(Cordoned::Now),
                Some(found) if stay && found.command == REBOOT => {
                    replaced.replace(Some(found));
                    Ok(json!({"metadata": annotation}))
                }
                found => Err(Cordoned::Before(found)),
            }
        });
        Ok(match (early.await?, replaced.take()) {
            (Some(Cordoned::Now) | None, Some(before)) => Cordoned::ToStay(before),
            (Some(early), _) => early,
            (None, None) => Cordoned::Now,
        })
    }

    /// Gives a cordon back the mark that it had before the operation's own.
    ///
    /// # Errors
    ///
    /// As [`Self::node`].
    pub async fn restore_mark(&self, name: &str, operation: &str, before: &CordonMark) -> Result<(), ClusterError> {
        let doing = format!("give the cordon of {name} its mark back");
        let text = text_of(before, &doing)?;
        let patched = self.patch_node(name, &doing, |node| match facts_of(node).mark {
            Some(mark) if mark.operation == operation => {
                Ok(json!({"metadata": {"annotations": {CORDON_ANNOTATION: text}}}))
            }
            _ => Err(()),
        });
        patched.await.map(|_| ())
    }

    /// Uncordons a node and takes the mark away. With `only_operation`, only if the mark is that operation's.
    ///
    /// # Errors
    ///
    /// As [`Self::node`].
    pub async fn uncordon(&self, name: &str, only_operation: Option<&str>) -> Result<Uncordoned, ClusterError> {
        self.patch_node(name, &format!("uncordon {name}"), |node| {
            let facts = facts_of(node);
            if !facts.unschedulable && facts.mark.is_none() {
                return Err(Uncordoned::Before);
            }
            let owner = facts.mark.as_ref().map(|mark| mark.operation.as_str());
            if only_operation.is_some() && only_operation != owner {
                return Err(Uncordoned::NotOurs);
            }
            Ok(json!({"metadata": {"annotations": {CORDON_ANNOTATION: null}}, "spec": {"unschedulable": null}}))
        })
        .await
        .map(|early| early.unwrap_or(Uncordoned::Now))
    }

    /// Reads a node, lets `decide` make a merge patch of it, and writes that against the resourceVersion that was read;
    /// again after a conflict. `decide` may also end it without a write.
    async fn patch_node<T>(
        &self,
        name: &str,
        doing: &str,
        decide: impl Fn(&Node) -> Result<serde_json::Value, T>,
    ) -> Result<Option<T>, ClusterError> {
        let api: Api<Node> = Api::all(self.client.clone());
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        loop {
            let node = self.patiently(doing, || api.get(name)).await?;
            let mut patch = match decide(&node) {
                Ok(patch) => patch,
                Err(early) => return Ok(Some(early)),
            };
            patch["metadata"]["resourceVersion"] = json!(node.resource_version());
            let patch = Patch::Merge(patch);
            match self.patiently(doing, || api.patch(name, &params, &patch)).await {
                Ok(_) => return Ok(None),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn text_of(mark: &CordonMark, doing: &str) -> Result<String, ClusterError> {
    serde_json::to_string(mark).map_err(|error| malformed(doing, &error.to_string()))
}

fn malformed(doing: &str, problem: &str) -> ClusterError {
    ClusterError::Malformed { doing: doing.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(unschedulable: bool, writer: Option<&str>) -> Node {
        let mark =
            r#"{"operation":"4f7k2","command":"reboot","by":"a@b","reason":"kernel","at":"2026-11-02T12:00:00Z"}"#;
        let fields = writer.map(|manager| {
            json!([{"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {"f:unschedulable": {}}}}])
        });
        serde_json::from_value(json!({
            "metadata": {"name": "w1", "annotations": {CORDON_ANNOTATION: mark}, "managedFields": fields},
            "spec": {"unschedulable": unschedulable},
        }))
        .unwrap()
    }

    #[test]
    fn a_mark_counts_only_while_the_cordon_it_was_written_with_stands() {
        let owned = |managers: &[&str]| {
            let mut node = node(true, None);
            let entry = |manager: &&str| {
                let entry =
                    json!({"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {"f:unschedulable": {}}}});
                serde_json::from_value(entry).unwrap()
            };
            node.metadata.managed_fields = Some(managers.iter().map(entry).collect());
            node
        };
        assert!(facts_of(&owned(&["argocd", "usher"])).mark.is_some(), "somebody applies the same");
        assert!(facts_of(&owned(&["ancient-changes"])).mark.is_some(), "merged with other old entries");
        assert!(facts_of(&owned(&["ancient-changes", "kubectl"])).mark.is_none());
        for (what, unschedulable, writer, ours) in [
            ("cordoned by usher", true, Some("usher"), true),
            ("a server that records no writers", true, None, true),
            ("uncordoned by somebody else", false, None, false),
            ("and cordoned again by them", true, Some("kubectl-cordon"), false),
        ] {
            assert_eq!(facts_of(&node(unschedulable, writer)).mark.is_some(), ours, "{what}");
        }
    }
}
