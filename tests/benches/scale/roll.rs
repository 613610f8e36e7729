//! A roll of 300 machines on paused time: what it asks of the API and of the agents for each of them.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::time::Instant;
use usher_coordinator::{
    cluster::Cluster,
    drain::Confirm,
    event::{Event, Events, Kind},
    exit::Exit,
    interrupt::Interrupt,
    operation::{self, Planned},
    request::{self, Connection, Eviction, Request},
    site::{AgentAccess, Site},
    world::World,
};
use usher_testkit::{
    apiserver::{
        ApiServer,
        fixtures::{budget, deployment},
    },
    stub_agents::{Power, StubAgents},
};

use super::cluster::{CONTROL_PLANE, add_nodes, elect, worker};
use crate::results::Results;

/// How many machines are rolled, unless [`FEWER`] says otherwise.
const MACHINES: usize = 300;
/// The environment variable with another number, for a first look: what a machine costs hardly depends on it.
const FEWER: &str = "USHER_SCALE_MACHINES";
/// Where the pods go that are evicted first.
const SPARES: usize = 20;
const DEPLOYMENTS: usize = 30;
const REPLICAS: u32 = 100;

const ANSWERS_IN: Duration = Duration::from_millis(20);

/// Until all pods run.
const SETTLES_IN: Duration = Duration::from_secs(60);

/// What the API is asked anyhow: evictions are the work, and proofs end by looking often enough to see.
const PROOFS: [&str; 2] = ["reboot", "ready"];

pub(crate) fn measure(results: &mut Results) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(roll(results))
}

async fn roll(results: &mut Results) -> anyhow::Result<()> {
    let machines = match std::env::var(FEWER) {
        Ok(number) => number.parse().with_context(|| format!("{FEWER}={number}"))?,
        Err(_) => MACHINES,
    };
    let api = ApiServer::new();
    add_nodes(&api, machines + SPARES, true);
    let name = |number: usize| format!("team-{number}/web");
    api.add_all((0..DEPLOYMENTS).map(|number| deployment(&name(number)).replicas(REPLICAS)));
    api.add_all((0..DEPLOYMENTS).map(|number| budget(&name(number)).max_unavailable(10)));
    let _leaders = elect(&api);
    tokio::time::sleep(SETTLES_IN).await;
    api.forget_requests();

    let hall = api.clone();
    let agents = StubAgents::new(ANSWERS_IN, move |machine, power| match power {
        Power::Off => drop(hall.power_off(machine)),
        Power::Boot(boot_id) => drop(hall.boot(machine, boot_id)),
    });
    let plain = Site::default();
    let site = Site {
        name: Some("scale".to_owned()),
        control_plane: CONTROL_PLANE.map(str::to_owned).to_vec(),
        agents: AgentAccess { address: Some("{node}:7470".to_owned()), ..plain.agents },
        ..plain
    };
    let world = World::open_over(site, Cluster::over(api.client(), "scale", "memory"), agents.dial()).await?;
    let begun = Instant::now();
    let counts = run(&world, (&api, &agents), machines).await?;
    results.say(&format!("scale: rolled {machines} machines in {} simulated", took(begun.elapsed())));

    let mut told = Vec::new();
    for (step, rights) in &counts {
        for (right, count) in rights {
            told.push((*count, format!("{step}: {right}")));
        }
    }
    told.sort_unstable_by(|one, other| other.cmp(one));
    let per_node = |count: usize| count as f64 / machines as f64;
    for (count, what) in told.iter().take(20) {
        results.say(&format!("scale: {:>8.2} a machine  {what}", per_node(*count)));
    }
    let of = |wanted: &dyn Fn(&str, &str) -> bool| {
        let all =
            counts.iter().flat_map(|(step, rights)| rights.iter().map(move |(right, count)| (step, right, count)));
        all.filter(|(step, right, _)| wanted(step, right)).map(|(.., count)| count).sum::<usize>()
    };
    let is_work =
        |step: &str, right: &str| right == "create pods/eviction" || PROOFS.contains(&step) || right.starts_with(AGENT);
    let beyond = of(&|step, right| !is_work(step, right));
    results.record("scale_roll_requests_per_node", per_node(beyond), Some(30.0));
    results.record("scale_roll_evictions_per_node", per_node(of(&|_, right| right == "create pods/eviction")), None);
    results.record(
        "scale_roll_proofs_per_node",
        per_node(of(&|step, right| PROOFS.contains(&step) && !right.starts_with(AGENT))),
        None,
    );
    let calls = agents.calls();
    results.say(&format!("scale: calls to agents: {calls:?}"));
    results.record("scale_agent_calls_per_node", per_node(calls.values().sum()), Some(12.0));
    Ok(())
}

/// What calls to agents begin with among the rights.
const AGENT: &str = "agent: ";

/// How often each right was used in each step.
type Counts = BTreeMap<String, BTreeMap<String, usize>>;

async fn run(world: &World, (api, agents): (&ApiServer, &StubAgents), machines: usize) -> anyhow::Result<Counts> {
    let machines = (0..machines).map(worker).collect();
    let reboot = request::Reboot {
        machines,
        impolite: false,
        keep_cordoned: false,
        handover: None,
        override_blockers: Vec::new(),
        rebalance: false,
        eviction: Eviction::default(),
    };
    let (reason, connection) = ("bench".to_owned(), Connection::default());
    let request = Request { kind: request::Kind::Reboot(reboot), reason, task_id: None, connection };
    let mut counts = Counts::new();
    let planned = operation::plan(world, &request, Confirm::Never).await?;
    let mut called = BTreeMap::new();
    take((api, agents), &mut called, &mut counts, "plan");
    let after = |step: &str| take((api, agents), &mut called, &mut counts, step);
    let ended = carry_out(world, &request, &planned, after).await?;
    ensure!(ended == Exit::Done, "the roll ended with {ended:?}");
    Ok(counts)
}

/// Moves the requests of the step so far to its account, and the calls to agents since `called`.
fn take(
    (api, agents): (&ApiServer, &StubAgents),
    called: &mut BTreeMap<&'static str, usize>,
    counts: &mut Counts,
    step: &str,
) {
    let rights = counts.entry(step.to_owned()).or_default();
    let calls = agents.calls();
    for (call, count) in &calls {
        let before = called.get(call).copied().unwrap_or_default();
        *rights.entry(format!("{AGENT}{call}")).or_default() += count - before;
    }
    *called = calls;
    for call in api.requests() {
        *rights.entry(call.right).or_default() += 1;
    }
    api.forget_requests();
}

/// Carries it out; `after` is told of each step that is over.
async fn carry_out(
    world: &World,
    request: &Request,
    planned: &Planned,
    mut after: impl FnMut(&str),
) -> anyhow::Result<Exit> {
    let (_stop, interrupt) = Interrupt::by_hand();
    let (events, mut stream) = Events::new();
    let names = ("scale".to_owned(), "bench@host".to_owned());
    let running = operation::carry_out(world, request, names, planned, &interrupt, &events);
    let mut running = std::pin::pin!(running);
    let mut step = "begin".to_owned();
    let ended = loop {
        tokio::select! {
            biased;
            event = stream.recv() => {
                let Event { kind, .. } = event.context("the stream ended before the operation")?;
                match kind {
                    Kind::StepBegan { step: next, .. } => {
                        after(&step);
                        step = next;
                    }
                    Kind::TurnEnded { .. } => {
                        after(&step);
                        "between turns".clone_into(&mut step);
                    }
                    _ => {}
                }
            }
            ended = &mut running => break ended,
        }
    };
    after(&step);
    match ended {
        Ok(ended) => {
            if let Some(problem) = &ended.outcome.problem {
                anyhow::bail!("{} {:?}", problem.message, problem.details);
            }
            Ok(ended.outcome.exit)
        }
        Err(problem) => anyhow::bail!("{} {:?}", problem.message, problem.details),
    }
}

fn took(duration: Duration) -> String {
    format!("{}h{}m", duration.as_secs() / 3600, duration.as_secs() % 3600 / 60)
}
