//! `usher nodes`, and what is done to nodes: cordon, uncordon, drain, reboot.

use std::time::Duration;

use super::{
    change::{Wanted, carry_out},
    failure::Failure,
    identity, status, world,
};
use crate::{
    cli::{Drain, Eviction, Global, OnNodes, Reboot, Targets},
    drain::{DrainOptions, DrainPolicy, Escalation},
    exit::Exit,
    plan::{RebootRequest, Refusal, Request},
    steps::Policy,
    world::{Scope, World},
};

pub(super) async fn nodes(global: &Global) -> Result<Exit, Failure> {
    let world = world(global).await?;
    let facts = world.look(&Scope { all: true, ..Scope::default() }).await?;
    status::print_machines(global, &facts)?;
    Ok(Exit::Done)
}

pub(super) async fn cordon(global: &Global, arguments: OnNodes) -> Result<Exit, Failure> {
    let world = world(global).await?;
    let nodes = targets(&world, arguments.targets, &[]).await?;
    let wanted = plain("cordon", Request::Cordon(nodes));
    carry_out(global, &world, &arguments.change, wanted).await
}

pub(super) async fn uncordon(global: &Global, arguments: OnNodes) -> Result<Exit, Failure> {
    let world = world(global).await?;
    let nodes = targets(&world, arguments.targets, &[]).await?;
    let wanted = plain("uncordon", Request::Uncordon(nodes));
    carry_out(global, &world, &arguments.change, wanted).await
}

pub(super) async fn drain(global: &Global, arguments: Drain) -> Result<Exit, Failure> {
    let world = world(global).await?;
    let nodes = targets(&world, arguments.targets, &[]).await?;
    let wanted = Wanted {
        policy: Policy {
            drain: DrainOptions { closed: nodes.iter().cloned().collect(), ..options(&arguments.eviction, &world) },
            ..no_policy()
        },
        scope: Scope { nodes: nodes.iter().cloned().collect(), ..Scope::default() },
        locked: true,
        ..plain("drain", Request::Drain { nodes, concurrency: arguments.concurrency.get().into() })
    };
    carry_out(global, &world, &arguments.change, wanted).await
}

pub(super) async fn reboot(global: &Global, arguments: Reboot) -> Result<Exit, Failure> {
    let Reboot { targets: named, impolite, keep_cordoned, override_blocker, handover, eviction, change } = arguments;
    let world = world(global).await?;
    let machines = targets(&world, named, world.control_plane()).await?;
    let control_plane = machines.iter().any(|machine| world.control_plane().contains(machine));
    let scope = Scope { control_plane, machines: machines.iter().cloned().collect(), ..Scope::default() };
    let wanted = Wanted {
        command: "reboot",
        policy: Policy {
            drain: options(&eviction, &world),
            override_blockers: override_blocker.clone(),
            without_leader: Vec::new(),
        },
        request: Request::Reboot(RebootRequest {
            machines,
            impolite,
            keep_cordoned,
            handover: handover.unwrap_or(world.site.defaults.handover),
            override_blockers: override_blocker,
        }),
        scope,
        locked: true,
    };
    carry_out(global, &world, &change, wanted).await
}

fn plain(command: &'static str, request: Request) -> Wanted {
    Wanted { command, request, policy: no_policy(), scope: Scope::default(), locked: false }
}

fn no_policy() -> Policy {
    Policy { drain: DrainOptions::default(), override_blockers: Vec::new(), without_leader: Vec::new() }
}

pub(super) fn options(eviction: &Eviction, world: &World) -> DrainOptions {
    let skip = eviction.skip_wait_for_delete_timeout.map(Duration::from_secs);
    DrainOptions {
        timeout: eviction.drain_timeout.map_or(world.site.defaults.drain_timeout, unlimited),
        grace_seconds: u32::try_from(eviction.grace_period).ok(),
        force: eviction.force,
        ignore_daemon_sets: eviction.ignore_daemonsets,
        delete_empty_dir_data: eviction.delete_emptydir_data,
        skip_wait_for_delete: skip.filter(|limit| !limit.is_zero()),
        pod_selector: eviction.pod_selector.clone(),
        policy: policy(eviction, &world.site.drain),
        escalation: Escalation { kill_after: eviction.kill_after, delete_after: eviction.delete_after },
        disable_eviction: eviction.disable_eviction,
        ignore_verdicts: eviction.ignore_verdicts,
        chunk_size: eviction.chunk_size,
        ..DrainOptions::default()
    }
}

/// The site's policy with what the operator adds to it.
fn policy(eviction: &Eviction, site: &DrainPolicy) -> DrainPolicy {
    let Eviction { skip_pods, wait_for, wait_for_jobs, surge, wait_for_volumes, evict_first, allow_namespace, .. } =
        eviction;
    let mut policy = site.clone();
    policy.protected_namespaces.retain(|namespace| !allow_namespace.contains(namespace));
    policy.skip.extend_from_slice(skip_pods);
    policy.wait_for_completion.extend_from_slice(wait_for);
    policy.wait_for_jobs |= wait_for_jobs;
    policy.surge.extend_from_slice(surge);
    policy.wait_for_volumes = wait_for_volumes.unwrap_or(policy.wait_for_volumes);
    // What the operator wants first goes before what the site does.
    policy.order.splice(..0, evict_first.iter().cloned());
    policy
}

/// kubectl takes 0 for "no limit".
fn unlimited(limit: Duration) -> Duration {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    if limit.is_zero() { YEAR } else { limit }
}

/// The nodes that were named or selected. All are looked up before the first is touched; `also` are names that need not be
/// Nodes. Names may be written as kubectl does: `node/w1`.
pub(super) async fn targets(world: &World, targets: Targets, also: &[String]) -> Result<Vec<String>, Failure> {
    let Targets { nodes: named, selector } = targets;
    if let Some(selector) = selector {
        let found = world.cluster.nodes_matching(&selector).await?.into_keys();
        let found: Vec<_> = found.map(|node| target(world, &node, also).unwrap_or(node)).collect();
        return if found.is_empty() { Err(identity::nothing_selected(&selector).into()) } else { Ok(found) };
    }
    let mut names: Vec<String> = Vec::new();
    for name in named {
        let name = ["node/", "nodes/"].iter().find_map(|kind| name.strip_prefix(kind)).unwrap_or(&name).to_owned();
        let Some(name) = target(world, &name, also) else {
            let what = if also.is_empty() { "a Node" } else { "a Node or a control-plane machine" };
            return Err(Refusal::new(format!("{name} is not {what} of this cluster"))
                .hint("see them: usher nodes")
                .into());
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The name that a target goes by from here on. Where only Nodes will do it is the Node's; a control-plane machine may have another
/// one in the cluster file.
fn target(world: &World, name: &str, also: &[String]) -> Option<String> {
    let machine = world.machine_named(name)?;
    match also.is_empty() {
        true => Some(world.node_name(machine)).filter(|node| world.knows_node(node)).map(str::to_owned),
        false => Some(machine.to_owned()),
    }
}
