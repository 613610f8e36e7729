//! What a machine is follows from what runs on it, not only from what somebody wrote down.

use serde::Serialize;

use super::{AgentFacts, node::NodeFacts};

/// The units of a control plane where it does not run in pods.
const UNITS: [&str; 4] =
    ["etcd.service", "kube-apiserver.service", "kube-controller-manager.service", "kube-scheduler.service"];

/// Something that says that a machine runs a part of the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "camelCase")]
pub enum ControlPlaneEvidence {
    /// Its Node carries the label of control-plane Nodes.
    Label,
    /// A static pod of a component runs on its Node.
    StaticPod {
        /// `namespace/name`.
        pod: String,
    },
    /// A process on it holds a component's lease.
    Lease { component: String },
    /// A component's unit is active on it.
    Unit { unit: String },
}

impl std::fmt::Display for ControlPlaneEvidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label => f.write_str("its Node has the label node-role.kubernetes.io/control-plane"),
            Self::StaticPod { pod } => write!(f, "the static pod {pod} runs on it"),
            Self::Lease { component } => write!(f, "it holds the lease of {component}"),
            Self::Unit { unit } => write!(f, "{unit} is active on it"),
        }
    }
}

/// Everything that says that a machine is part of the control plane, from what was asked about it.
pub fn evidence<'a>(
    node: Option<&NodeFacts>,
    agent: &AgentFacts,
    static_pods: &[String],
    leases: impl IntoIterator<Item = &'a str>,
    units: impl Iterator<Item = &'a str>,
) -> Vec<ControlPlaneEvidence> {
    let mut found = Vec::new();
    if node.is_some_and(|node| node.control_plane) {
        found.push(ControlPlaneEvidence::Label);
    }
    found.extend(static_pods.iter().map(|pod| ControlPlaneEvidence::StaticPod { pod: pod.clone() }));
    found.extend(leases.into_iter().map(|lease| ControlPlaneEvidence::Lease { component: lease.to_owned() }));
    if let Some(status) = agent.status() {
        let mut units: Vec<_> = units.chain(UNITS).collect();
        units.sort_unstable();
        units.dedup();
        let active = units.into_iter().filter(|unit| status.unit(unit).is_some_and(|unit| unit.is_active()));
        found.extend(active.map(|unit| ControlPlaneEvidence::Unit { unit: unit.to_owned() }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        facts::agent::{AgentStatus, UnitStatus},
        plan::fixtures,
    };

    #[test]
    fn label_static_pods_leases_and_units_each_make_a_machine_part_of_the_control_plane() {
        let labelled = NodeFacts { control_plane: true, ..fixtures::node("cp4") };
        let plain = fixtures::node("cp4");
        let with_unit = |name: &str, state: &str| AgentFacts::Answers {
            status: Box::new(AgentStatus {
                units: vec![UnitStatus { name: name.into(), active_state: state.into(), ..UnitStatus::default() }],
                ..AgentStatus::default()
            }),
        };
        let none = || AgentFacts::NotAsked;
        let pods = ["kube-system/kube-apiserver-cp4".to_owned()];
        for (what, node, agent, pods, leases, expected) in [
            ("nothing", Some(&plain), none(), &[][..], &[][..], &[][..]),
            ("no Node and no answer", None, none(), &[], &[], &[]),
            (
                "a label",
                Some(&labelled),
                none(),
                &[],
                &[],
                &["its Node has the label node-role.kubernetes.io/control-plane"],
            ),
            (
                "a static pod",
                Some(&plain),
                none(),
                &pods,
                &[],
                &["the static pod kube-system/kube-apiserver-cp4 runs on it"],
            ),
            ("a lease", Some(&plain), none(), &[], &["kube-scheduler"], &["it holds the lease of kube-scheduler"]),
            ("a unit", None, with_unit("etcd.service", "active"), &[], &[], &["etcd.service is active on it"]),
            (
                "a unit with a name of the site's own",
                None,
                with_unit("site-apiserver.service", "active"),
                &[],
                &[],
                &["site-apiserver.service is active on it"],
            ),
            ("a unit that does not run", None, with_unit("etcd.service", "inactive"), &[], &[], &[]),
            ("a unit of workers", None, with_unit("kubelet.service", "active"), &[], &[], &[]),
        ] {
            let found = evidence(node, &agent, pods, leases.iter().copied(), ["site-apiserver.service"].into_iter());
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{what}");
        }
    }
}
