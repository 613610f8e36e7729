//! Which version of what runs where, from everybody who can tell.

use futures::future::join_all;
use usher_common::chain;
use usher_core::versions::{Instance, Program};

use super::{World, facts::LOOK};
use crate::{
    cluster::ClusterError,
    facts::{AgentFacts, Inventory, Machine, Scope, agent::UnitStatus},
};

impl World {
    /// Which version of what runs where: apiservers tell their own, Nodes those of kubelets and container runtimes, pods those of
    /// what runs as pods, and agents their own and those of units whose program belongs to a Debian package.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it. Who does not tell a version is in the result with the reason.
    pub async fn versions(&self) -> Result<Vec<Instance>, ClusterError> {
        let scope = Scope { all: true, ..Scope::default() };
        let (facts, apiservers, pods) =
            futures::join!(self.look(&scope), self.apiserver_versions(), self.cluster.component_pods());
        let facts = facts?;
        let mut instances = apiservers;
        instances.extend(facts.machines.iter().flat_map(of_machine));
        for pod in pods? {
            let Some(program) = Program::named(&pod.component) else { continue };
            // An apiserver has told its own.
            if !instances.iter().any(|known| known.program == program && known.machine == pod.node) {
                instances.push(match pod.tag {
                    Some(tag) => Instance::of(program, &pod.node, tag),
                    None => Instance::untold(program, &pod.node, "its image has no tag"),
                });
            }
        }
        let units = self.units(&facts, &instances);
        instances.extend(units);
        self.mark_replaced(&facts, &mut instances);
        instances.push(Instance::of(Program::Usher, "", env!("CARGO_PKG_VERSION")));
        instances.sort_by(|a, b| (a.program, &a.machine).cmp(&(b.program, &b.machine)));
        Ok(instances)
    }

    async fn apiserver_versions(&self) -> Vec<Instance> {
        let asked = join_all(self.control_plane.iter().map(async |machine| {
            let at = match self.apiserver_at(machine) {
                Ok(at) => at?,
                Err(error) => return Some(Instance::silent(Program::KubeApiserver, machine, chain(&error))),
            };
            Some(match self.cluster.version_at(&at, LOOK).await {
                Ok(version) => Instance::of(Program::KubeApiserver, machine, version),
                Err(why) => Instance::silent(Program::KubeApiserver, machine, why),
            })
        }));
        let instances: Vec<_> = asked.await.into_iter().flatten().collect();
        if !instances.is_empty() {
            return instances;
        }
        // A managed control plane: the apiserver that answers stands for all.
        let name = self.cluster.name();
        vec![match self.version_at_once().await {
            Ok(version) => Instance::of(Program::KubeApiserver, name, version),
            Err(error) => Instance::silent(Program::KubeApiserver, name, chain(&error)),
        }]
    }

    /// The programs of units that nobody has told the version of.
    fn units(&self, facts: &Inventory, known: &[Instance]) -> Vec<Instance> {
        let told = |program, machine: &str| {
            known.iter().any(|instance| instance.program == program && instance.machine == machine)
        };
        let of_unit = |machine: &Machine, unit: &UnitStatus| {
            let program = self.program(&unit.name)?;
            if told(program, &machine.name) || unit.load_state == "not-found" {
                return None;
            }
            Some(match &unit.package_version {
                Some(version) => Instance::of(program, &machine.name, version.clone()),
                None => Instance::untold(program, &machine.name, "its program belongs to no Debian package"),
            })
        };
        units(facts).filter_map(|(machine, unit)| of_unit(machine, unit)).collect()
    }

    fn mark_replaced(&self, facts: &Inventory, instances: &mut [Instance]) {
        for (machine, unit) in units(facts).filter(|(_, unit)| unit.program_replaced) {
            let Some(program) = self.program(&unit.name) else { continue };
            let same = |instance: &&mut Instance| instance.program == program && instance.machine == machine.name;
            instances.iter_mut().filter(same).for_each(|instance| instance.replaced = true);
        }
    }

    /// The program of a unit: by the site's components, else by the unit's name.
    fn program(&self, unit: &str) -> Option<Program> {
        let component = self.site.components.iter().find(|component| component.unit == unit);
        let name = component.map(|component| component.name.as_str()).or_else(|| unit.strip_suffix(".service"))?;
        Program::named(name)
    }
}

fn units(facts: &Inventory) -> impl Iterator<Item = (&Machine, &UnitStatus)> {
    facts.machines.iter().flat_map(|machine| {
        let units = machine.agent.status().map(|status| status.units.as_slice()).unwrap_or_default();
        units.iter().map(move |unit| (machine, unit))
    })
}

/// What a machine's Node and agent tell.
fn of_machine(machine: &Machine) -> Vec<Instance> {
    let name = &machine.name;
    let mut instances = Vec::new();
    if let Some(node) = &machine.node {
        instances.push(Instance::of(Program::Kubelet, name, node.kubelet.clone()));
        if !node.kube_proxy.is_empty() {
            instances.push(Instance::of(Program::KubeProxy, name, node.kube_proxy.clone()));
        }
        let runtime = node.container_runtime.split_once("://");
        if let Some((program, version)) = runtime.and_then(|(name, version)| Some((Program::named(name)?, version))) {
            instances.push(Instance::of(program, name, version));
        }
    }
    instances.push(match &machine.agent {
        AgentFacts::Answers { status } => Instance::of(Program::UsherAgent, name, status.agent_version.clone()),
        AgentFacts::Silent { message, .. } => Instance::silent(Program::UsherAgent, name, message.clone()),
        AgentFacts::NotAsked => Instance::silent(Program::UsherAgent, name, "it was not asked"),
    });
    instances
}
