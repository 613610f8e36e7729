//! A plain site of three control planes and two workers, for tests of plans.

use std::collections::BTreeMap;

use crate::{
    facts::agent::{AgentStatus, RebootBudget, UnitStatus},
    facts::etcd::{Etcd, Id, Member, Peer, Word},
    facts::leader::{Holder, Leadership},
    facts::{AgentFacts, Inventory, Machine},
    facts::{apiserver::Readiness, node::NodeFacts},
    site::{LoadBalancer, PoolCommands, Site},
};

pub(crate) const CONTROL_PLANE: [&str; 3] = ["cp1", "cp2", "cp3"];

/// As [`site()`], with the built-in etcd.
pub(crate) fn site_with_etcd() -> Site {
    Site { components: Site::default().components, ..site() }
}

/// The built-in defaults, with machines and depool commands. Somebody else runs etcd.
pub(crate) fn site() -> Site {
    let command = |verb: &str| Some(vec!["lb".to_owned(), verb.to_owned(), "{node}".to_owned()]);
    Site {
        control_plane: CONTROL_PLANE.map(str::to_owned).to_vec(),
        components: Site::default().components.into_iter().filter(|component| !component.is_etcd()).collect(),
        load_balancer: Some(LoadBalancer {
            url: None,
            commands: PoolCommands { depool: command("depool"), pool: command("pool"), check: None },
            machines: BTreeMap::new(),
            command_timeout: std::time::Duration::from_secs(30),
            pool_timeout: std::time::Duration::from_secs(60),
            settle: std::time::Duration::ZERO,
            shutdown_delay_covers_checks: false,
        }),
        ..Site::default()
    }
}

pub(crate) fn holder(machine: &str) -> Holder {
    Holder {
        identity: format!("{machine}_6d6b1c2e-0d4c-4a67-9a52-5a0a51b3d7a1"),
        machine: Some(machine.to_owned()),
        rivals: Vec::new(),
        preferred: None,
        acquired: None,
        renewed: None,
        transitions: 1,
    }
}

/// All is well: these two lead, every apiserver is ready, every agent answers, w1 and w2 are Ready.
pub(crate) fn facts(scheduler: &str, manager: &str) -> Inventory {
    let control_plane = CONTROL_PLANE.map(|name| Machine {
        name: name.to_owned(),
        control_plane: true,
        listed: true,
        agent: agent(name, &["kube-apiserver", "kube-controller-manager", "kube-scheduler"]),
        ..Machine::default()
    });
    let workers = ["w1", "w2"].map(|name| Machine {
        name: name.to_owned(),
        control_plane: false,
        node: Some(node(name)),
        agent: agent(name, &[]),
        ..Machine::default()
    });
    Inventory {
        machines: control_plane.into_iter().chain(workers).collect(),
        leaders: BTreeMap::from([
            ("kube-scheduler".to_owned(), Leadership::Held(holder(scheduler))),
            ("kube-controller-manager".to_owned(), Leadership::Held(holder(manager))),
        ]),
        apiservers: CONTROL_PLANE.map(|name| (name.to_owned(), Readiness::Ready)).into(),
        ..Inventory::default()
    }
}

/// The same with three members of etcd that are well, on the control plane.
pub(crate) fn facts_with_etcd(scheduler: &str, manager: &str, etcd_leader: &str) -> Inventory {
    let mut facts = facts(scheduler, manager);
    for machine in CONTROL_PLANE {
        let unit = facts.agent_mut(machine).units[0].clone();
        facts.agent_mut(machine).units.push(UnitStatus { name: "etcd.service".into(), ..unit });
    }
    Inventory { etcd: etcd(etcd_leader), ..facts }
}

/// Three members that are well; their ids are 1 to 3.
pub(crate) fn etcd(leader: &str) -> Etcd {
    let id = |machine: &str| Id(1 + CONTROL_PLANE.iter().position(|name| *name == machine).unwrap() as u64);
    let members: Vec<_> =
        CONTROL_PLANE.iter().map(|name| Peer { id: id(name), name: (*name).to_owned(), ..Peer::default() }).collect();
    let member = |name: &str| Member {
        cluster: Id(0xcdf8_1819_4e3a_8c32),
        id: id(name),
        name: name.to_owned(),
        leader: id(leader),
        raft_term: 2,
        raft_index: 10_000,
        raft_applied_index: 10_000,
        members: members.clone(),
        ..Member::default()
    };
    Etcd(CONTROL_PLANE.map(|name| (name.to_owned(), Word::Member(Box::new(member(name))))).into())
}

/// The member on a machine, to be changed.
pub(crate) fn etcd_member<'a>(etcd: &'a mut Etcd, machine: &str) -> &'a mut Member {
    match etcd.0.get_mut(machine) {
        Some(Word::Member(member)) => member,
        other => panic!("{machine}: {other:?}"),
    }
}

fn agent(name: &str, components: &[&str]) -> AgentFacts {
    let unit = |component: &&str| UnitStatus {
        name: format!("{component}.service"),
        load_state: "loaded".into(),
        active_state: "active".into(),
        invocation_id: Some("0".repeat(32)),
        ..UnitStatus::default()
    };
    AgentFacts::Answers {
        status: Box::new(AgentStatus {
            name: name.to_owned(),
            boot_id: format!("boot-of-{name}"),
            units: components.iter().map(unit).collect(),
            reboot_budget: RebootBudget { used: 0, allowed: 4 },
            ..AgentStatus::default()
        }),
    }
}

pub(crate) fn node(name: &str) -> NodeFacts {
    NodeFacts {
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
        control_plane: false,
        hostnames: vec![name.to_owned()],
        internal_ip: Some("10.0.0.1".into()),
        other_internal_ips: Vec::new(),
        ready: "True".into(),
        ready_message: "KubeletReady".into(),
        heartbeat: None,
        troubles: Vec::new(),
        boot_id: format!("boot-of-{name}"),
        kernel: "6.1.0".into(),
        kubelet: String::new(),
        kube_proxy: String::new(),
        container_runtime: String::new(),
        unschedulable: false,
        mark: None,
        cordoned_by: None,
        taints: Vec::new(),
    }
}

impl Inventory {
    /// What the agent of `machine` says, to be changed.
    pub(crate) fn agent_mut(&mut self, machine: &str) -> &mut AgentStatus {
        match &mut self.machine_mut(machine).agent {
            AgentFacts::Answers { status } => status,
            other => panic!("{machine}: {other:?}"),
        }
    }

    /// The Node of `machine`, to be changed.
    pub(crate) fn node_mut(&mut self, machine: &str) -> &mut NodeFacts {
        self.machine_mut(machine).node.as_mut().unwrap()
    }

    pub(crate) fn machine_mut(&mut self, name: &str) -> &mut Machine {
        self.machines.iter_mut().find(|machine| machine.name == name).unwrap()
    }
}
