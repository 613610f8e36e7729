//! The commands around the load balancer: whether they can be run, and whether each apiserver is in the pool.

use std::collections::BTreeSet;

use futures::future::join_all;
use usher_core::doctor::{Check, Finding};

use crate::{
    exec,
    site::{LoadBalancer, PoolCommands},
    text,
    world::World,
};

/// What is to be said of the balancer before the apiservers. The site's `check` command is run; it only looks.
pub(super) async fn examine(world: &World) -> Vec<Finding> {
    let machines = world.control_plane();
    let has_apiservers = world.site.components.iter().any(|component| component.is_apiserver());
    let Some(balancer) = &world.site.load_balancer else {
        let told = has_apiservers && machines.len() > 1;
        let message = "none is described: requests may be lost while an apiserver restarts";
        return told
            .then(|| Finding::warning(Check::LoadBalancer, message).mend("[load_balancer] in the cluster file"))
            .into_iter()
            .collect();
    };
    let mut findings = programs(balancer, machines);
    if findings.is_empty() {
        let checks = machines.iter().map(|machine| in_pool(world, balancer, machine));
        findings.extend(join_all(checks).await.into_iter().flatten());
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Check::LoadBalancer, covered(balancer, machines)));
    }
    findings
}

/// What usher can see and do of the balancer, in words.
fn covered(balancer: &LoadBalancer, machines: &[String]) -> String {
    let has = |command: fn(PoolCommands) -> Option<Vec<String>>| {
        machines.iter().all(|machine| command(balancer.commands_for(machine)).is_some())
    };
    let mut words = Vec::new();
    words.extend(has(|commands| commands.depool).then(|| "depool".to_owned()));
    words.extend(has(|commands| commands.pool).then(|| "pool".to_owned()));
    words.extend(has(|commands| commands.check).then(|| "check: all are in the pool".to_owned()));
    words.extend(balancer.url.clone());
    words.join(", ")
}

/// The programs of its commands that cannot be run, each once.
fn programs(balancer: &LoadBalancer, machines: &[String]) -> Vec<Finding> {
    let of_machine = |machine: &String| {
        let PoolCommands { depool, pool, check } = balancer.commands_for(machine);
        let first = |argv: Vec<String>| argv.into_iter().next();
        [depool, pool, check].into_iter().flatten().filter_map(first)
    };
    let programs: BTreeSet<String> = machines.iter().flat_map(of_machine).collect();
    let missing = programs.into_iter().filter(|program| !exec::is_program(program));
    missing
        .map(|program| {
            Finding::wrong(Check::LoadBalancer, format!("there is no program {program} on this host"))
                .mend("install it, or name it by its path: [load_balancer] in the cluster file")
        })
        .collect()
}

/// Whether the site's `check` says that the machine is in the pool; None if it is, or if there is no such command.
async fn in_pool(world: &World, balancer: &LoadBalancer, machine: &str) -> Option<Finding> {
    let check = balancer.commands_for(machine).check?;
    let address = world.agents.host(machine).unwrap_or_default();
    let values = [("node", machine), ("address", address.as_str())];
    let outcome = exec::run(&check, &values, balancer.command_timeout).await;
    if outcome.succeeded() {
        return None;
    }
    let pool = balancer.commands_for(machine).pool.unwrap_or_default();
    let pool: Vec<_> = pool.iter().map(|word| word.replace("{node}", machine).replace("{address}", &address)).collect();
    let message = format!("{machine} is not in the pool, says {} ({})", text::command(&outcome.argv), outcome.how());
    let finding = Finding::wrong(Check::LoadBalancer, message).on(machine).details(outcome.output);
    Some(if pool.is_empty() { finding } else { finding.mend(text::command(&pool)) })
}
