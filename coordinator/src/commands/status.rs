//! `usher status` and `usher leaders`: is it safe to begin?

mod etcd;
mod machines;
mod notes;

use jiff::Timestamp;
use serde::Serialize;
use usher_common::clock;

pub(super) use self::machines::{shown, with_counts};
use super::{watch, world};
use crate::{
    cli::{Global, Look, Status as StatusFlags},
    cluster::LockHolder,
    exit::Exit,
    facts::apiserver::Readiness,
    facts::etcd::Etcd,
    facts::leader::Leadership,
    facts::{Inventory, Machine, Scope},
    output,
    plan::obstacles,
    problem::Problem,
    show::{self, Kind},
    site::{ETCD, Role, Site},
    text,
    world::World,
};

/// What `usher status -o json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    cluster: &'a str,
    server: &'a str,
    version: &'a str,
    lock: Option<&'a LockHolder>,
    #[serde(flatten)]
    facts: &'a Inventory,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<&'a Check>,
}

/// Whether it is safe to begin, with `--check`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    safe: bool,
    /// What stands against it.
    obstacles: Vec<Problem>,
}

impl Check {
    fn of(facts: &Inventory, lock: Option<&LockHolder>, site: &Site) -> Self {
        let mut obstacles = obstacles(facts, site);
        if let Some(holder) = lock {
            obstacles.insert(0, Problem::refused(format!("the lock is held by {holder}")));
        }
        Self { safe: obstacles.is_empty(), obstacles }
    }

    /// The refusal that the command ends with.
    fn refusal(self) -> Option<Problem> {
        let lines = self.obstacles.iter().flat_map(|obstacle| {
            let inner = obstacle.details.iter().chain(&obstacle.hints).map(|line| format!("  {line}"));
            std::iter::once(obstacle.message.clone()).chain(inner)
        });
        let refusal = Problem::refused("it is not safe to begin").details(lines.collect::<Vec<_>>());
        (!self.safe).then_some(refusal)
    }
}

pub(super) async fn status(global: &Global, arguments: &StatusFlags) -> Result<Exit, Problem> {
    let StatusFlags { look, check } = arguments;
    watch::repeated(look.watch, async || screen(global, look, *check).await).await
}

async fn screen(global: &Global, look: &Look, check: bool) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let scope = Scope { control_plane: true, all: true, ..Scope::default() };
    let (version, lock, facts) = futures::try_join!(world.version_at_once(), world.lock_at_once(), world.look(&scope))?;
    let shown = shown(&facts, look);
    let check = check.then(|| Check::of(&facts, lock.as_ref(), &world.site));
    let status = Status {
        cluster: world.cluster.name(),
        server: world.cluster.server(),
        version: &version,
        lock: lock.as_ref(),
        facts: &shown,
        check: check.as_ref(),
    };
    show::show(Kind::Status, &status, global.output, || {
        let headline = [Some(status.headline(&facts)), machines::counts(&facts, look)];
        let headline = headline.into_iter().flatten().collect::<Vec<_>>().join("\n");
        let components = component_table(&world, &facts);
        let components = std::iter::once(components).chain(etcd::line(&facts.etcd)).collect::<Vec<_>>().join("\n");
        let parts = [headline, components, machines::table(&shown, look, global.output)];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
    })?;
    check.and_then(Check::refusal).map_or(Ok(Exit::Done), Err)
}

impl Status<'_> {
    /// `facts`: all machines, those included that are not shown.
    fn headline(&self, facts: &Inventory) -> String {
        let Self { cluster, server, version, lock, facts: _, check: _ } = self;
        let version = version.trim_start_matches('v');
        let lock = lock.map_or_else(|| "lock free".to_owned(), |holder| format!("lock held by {holder}"));
        let answering = facts.machines.iter().filter(|machine| machine.agent.status().is_some()).count();
        let machines = facts.machines.len();
        format!("{cluster} · {server} · Kubernetes {version} · {lock} · {answering} of {machines} agents answer")
    }
}

/// An item of what `usher leaders -o json` prints.
#[derive(Serialize)]
struct Leader<'a> {
    component: &'a str,
    #[serde(flatten)]
    leadership: &'a Leadership,
    /// Of etcd: what each machine's agent says.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<&'a Etcd>,
}

pub(super) async fn leaders(global: &Global) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let facts = world.look(&Scope { control_plane: true, ..Scope::default() }).await?;
    let elected = facts.leaders.iter();
    let elected = elected.map(|(component, leadership)| Leader { component, leadership, members: None });
    let of_etcd = facts.etcd.leadership();
    let of_etcd = of_etcd.iter().map(|leadership| Leader { component: ETCD, leadership, members: Some(&facts.etcd) });
    let leaders: Vec<_> = of_etcd.chain(elected).collect();
    show::list(Kind::LeaderList, &leaders, global.output, || {
        let now = clock::now();
        let rows = leaders.iter().map(|Leader { component, leadership, .. }| {
            let mut row = vec![(*component).to_owned()];
            row.extend(leader_cells(leadership, now));
            row.push(leadership.holder().map(|holder| holder.identity.clone()).unwrap_or_default());
            row
        });
        let leaders = output::table(&["COMPONENT", "LEADER", "SINCE", "RENEWED", "HOLDER"], rows);
        std::iter::once(leaders).chain(etcd::members(&facts.etcd)).collect::<Vec<_>>().join("\n\n")
    })?;
    Ok(Exit::Done)
}

fn component_table(world: &World, facts: &Inventory) -> String {
    let now = clock::now();
    let shown = world.site.components.iter().filter(|component| !component.is_etcd() || facts.etcd.is_known());
    let rows = shown.map(|component| {
        let of_etcd = component.is_etcd().then(|| facts.etcd.leadership()).flatten();
        let leadership = facts.leaders.get(&component.name).or(of_etcd.as_ref());
        let mut row = vec![component.name.clone()];
        row.extend(leadership.map_or_else(|| ["-", "-", "-"].map(str::to_owned), |found| leader_cells(found, now)));
        let instances: Vec<_> =
            facts.control_plane().map(|machine| instance(machine, &component.name, facts, &world.site)).collect();
        row.push(instances.join(" · "));
        row
    });
    output::table(&["COMPONENT", "LEADER", "SINCE", "RENEWED", "INSTANCES"], rows)
}

fn leader_cells(leadership: &Leadership, now: Timestamp) -> [String; 3] {
    let Some(holder) = leadership.holder() else {
        let word = if matches!(leadership, Leadership::Free) { "nobody" } else { "no lease" };
        return [word.to_owned(), "-".to_owned(), "-".to_owned()];
    };
    let name = holder.machine.clone().unwrap_or_else(|| format!("unknown: {}", holder.identity));
    let name = if matches!(leadership, Leadership::Stale(_)) { format!("{name} (dead)") } else { name };
    let age = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| text::age(at, now));
    // etcd tells neither.
    let renewed = holder.renewed.map_or_else(|| "-".to_owned(), |at| format!("{} ago", text::age(at, now)));
    [name, age(holder.acquired), renewed]
}

/// One instance of a component: its machine, and what is wrong with it if anything is.
fn instance(machine: &Machine, component: &str, facts: &Inventory, site: &Site) -> String {
    let name = &machine.name;
    let Some(component) = site.component(component) else { return name.clone() };
    let unit = machine.agent.status().map(|status| status.unit(&component.unit));
    let state = match unit {
        None => Some("agent silent".to_owned()),
        Some(None) => Some("not managed".to_owned()),
        Some(Some(unit)) if !unit.is_active() => Some(unit.active_state.clone()),
        Some(Some(_)) => None,
    };
    match &component.role {
        Role::ApiServer { .. } => match (facts.apiservers.get(name), state) {
            (Some(Readiness::ByItsAgent { .. }), _) => format!("{name} ready, says its agent"),
            (Some(readiness), _) if readiness.is_ready() => format!("{name} ready"),
            (_, Some(state)) => format!("{name} {state}"),
            (Some(_), None) => format!("{name} NOT READY"),
            (None, None) => name.clone(),
        },
        Role::Etcd => {
            let leads = facts.etcd.leader().is_some_and(|(leader, _)| leader == name);
            let star = if leads { "*" } else { "" };
            // Its unit may be none of the agent's.
            let state = state.filter(|_| matches!(unit, Some(Some(_)))).or_else(|| etcd::state(name, &facts.etcd));
            state.map_or_else(|| format!("{name}{star}"), |state| format!("{name}{star} {state}"))
        }
        Role::Elected { .. } => {
            let leads = facts.leaders.get(&component.name).and_then(Leadership::machine) == Some(name);
            let star = if leads { "*" } else { "" };
            state.map_or_else(|| format!("{name}{star}"), |state| format!("{name}{star} {state}"))
        }
        Role::Unelected => state.map_or_else(|| name.clone(), |state| format!("{name} {state}")),
    }
}
