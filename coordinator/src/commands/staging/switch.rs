//! `usher staging switch`.

use serde::Serialize;
use usher_common::chain;
use usher_core::{
    operation::new_id,
    staging::{Direction, Finding, Preflight, Said, Staging},
};

use super::Pair;
use crate::{
    cli::{Global, Switch},
    cluster::Cluster,
    commands::{change::headline, choose, confirm::confirm, identity, interrupt::listen},
    exit::Exit,
    output,
    problem::Problem,
    request::Connection,
    show::{self, Kind},
    site::Site,
    switch::{self, SwitchReport, Voice, said},
    text,
    world::World,
};

pub(super) async fn switch(global: &Global, pair: &Pair, arguments: &Switch) -> Result<Exit, Problem> {
    let Switch { name, ignore, reason, dry_run, yes, task_id: _ } = arguments;
    of_both(global)?;
    let at = pair.sites.iter().position(|site| site.is_called(name)).ok_or_else(|| {
        let [one, other] = &pair.staging.clusters;
        Problem::usage(format!("{name:?} is neither {one} nor {other}"))
            .hint("see which is active: usher staging status")
    })?;
    let direction = pair.to(at, reason.as_deref().unwrap_or_default());
    let (target, source) = (connect(global, &pair.sites[at]).await?, connect(global, &pair.sites[1 - at]).await);
    headline(&target, *dry_run);
    if let Ok(source) = &source {
        output::progress(&format!("from {} · {}", source.name(), source.server()));
    }

    let plan = Plan::make(pair, &direction).await?;
    if plan.left().next().is_none() {
        let text = || format!("{} is the active staging cluster already: nothing to do", direction.to.name);
        show::show(Kind::StagingPlan, &plan, global.output, text)?;
        return Ok(Exit::Done);
    }
    let world = World::open(pair.sites[at].clone(), target.clone()).await?;
    let mut policy: Preflight = pair.staging.preflight.clone();
    policy.ignore.extend(ignore);
    let asked = source.as_ref().map_err(|problem| problem.message.clone());
    let findings = switch::preflight(&world, asked, &direction, &policy).await?;
    let plan = Plan { findings, ..plan };
    if *dry_run {
        show::show(Kind::StagingPlan, &plan, global.output, || plan.to_text())?;
        return plan.refusal().map_or(Ok(Exit::Done), Err);
    }
    output::progress(&plan.to_text());
    if let Some(refusal) = plan.refusal() {
        return Err(refusal);
    }
    confirm(&direction.to.name, *yes)?;
    let clusters = (&target, source.ok());
    let report = carry_out(global, &pair.staging, &direction, clusters, arguments, plan.findings).await?;
    ended(global, arguments, report)
}

/// Flags that say where one cluster is make no sense for two.
fn of_both(global: &Global) -> Result<(), Problem> {
    let given = [
        ("--kubeconfig", global.kubeconfig.is_some()),
        ("--context", global.context.is_some()),
        ("--server", global.server.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Problem::usage(format!("{flag} is one cluster's, and a switch is about two"))
            .hint("say in each site's file where it is: [api] kubeconfig and context")),
        None => Ok(()),
    }
}

/// A connection to one of the two, by its file and by the flags that are about who the operator is.
async fn connect(global: &Global, site: &Site) -> Result<Cluster, Problem> {
    let access = choose::access_as(global, site)?;
    Ok(Cluster::connect(site.name.as_deref(), &access).await?.with_notices(output::progress).with_credentials().await)
}

/// What a switch would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    from: String,
    to: String,
    steps: Vec<Planned>,
    findings: Vec<Finding>,
}

/// One step with its commands as they would run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned {
    name: String,
    says: String,
    done: bool,
    apply: Vec<String>,
    verify: Vec<String>,
    undo: Option<Vec<String>>,
    confirm: bool,
}

impl Plan {
    /// Asks every check.
    async fn make(pair: &Pair, direction: &Direction) -> Result<Self, Problem> {
        let said = said(&pair.staging, direction).await;
        let unknown: Vec<_> = pair
            .staging
            .steps
            .iter()
            .zip(&said)
            .filter_map(|(step, said)| match said {
                Said::Unknown { how } => Some(format!("{}: {how}", step.name)),
                Said::Done | Said::NotDone => None,
            })
            .collect();
        if !unknown.is_empty() {
            return Err(
                Problem::refused("where the switch stands is not known: checks gave no answer").details(unknown)
            );
        }
        let steps = pair.staging.steps.iter().zip(said).map(|(step, said)| Planned {
            name: step.name.clone(),
            says: direction.fill(&step.says),
            done: said == Said::Done,
            apply: direction.filled(&step.apply),
            verify: direction.filled(step.verify.as_ref().unwrap_or(&step.check)),
            undo: step.undo.as_ref().map(|undo| direction.filled(undo)),
            confirm: step.confirm,
        });
        let (from, to) = (direction.from.name.clone(), direction.to.name.clone());
        Ok(Self { from, to, steps: steps.collect(), findings: Vec::new() })
    }

    /// The steps that are not done.
    fn left(&self) -> impl Iterator<Item = &Planned> {
        self.steps.iter().filter(|step| !step.done)
    }

    /// Why the switch may not begin, if so.
    fn refusal(&self) -> Option<Problem> {
        let looks: Vec<_> = self.findings.iter().filter(|finding| finding.forbids()).map(|it| it.look.word()).collect();
        (!looks.is_empty()).then(|| {
            Problem::refused(format!("{} is not fit to become the active one: {}", self.to, looks.join(", ")))
                .hint(format!("if that does not matter: --ignore {}", looks.join(",")))
        })
    }

    fn to_text(&self) -> String {
        let Self { from, to, steps, findings } = self;
        let mut lines = vec![format!("switch the active staging cluster from {from} to {to}:")];
        for (number, step) in steps.iter().enumerate() {
            let done = if step.done { " (done already)" } else { "" };
            lines.push(format!("  {}. {}: {}{done}", number + 1, step.name, step.says));
            if step.done {
                continue;
            }
            let ask = if step.confirm { ", asked for first" } else { "" };
            lines.push(format!("       run     {}{ask}", text::command(&step.apply)));
            lines.push(format!("       until   {}", text::command(&step.verify)));
            let undo = step.undo.as_ref().map_or_else(|| "nothing: it stays".to_owned(), |undo| text::command(undo));
            lines.push(format!("       undo    {undo}"));
        }
        lines.push(format!("{to}:"));
        for finding in findings {
            let mark = match (finding.good, finding.ignored) {
                (true, _) => output::mark(output::Mark::Done),
                (false, true) => "~".to_owned(),
                (false, false) => output::mark(output::Mark::Failed),
            };
            let ignored = if finding.ignored { " (ignored)" } else { "" };
            lines.push(format!("  {mark} {}: {}{ignored}", finding.look, finding.what));
            lines.extend(finding.details.iter().map(|line| format!("      {line}")));
        }
        lines.join("\n")
    }
}

async fn carry_out(
    global: &Global,
    staging: &Staging,
    direction: &Direction,
    (target, source): (&Cluster, Option<Cluster>),
    arguments: &Switch,
    findings: Vec<Finding>,
) -> Result<SwitchReport, Problem> {
    let interrupt = listen("stopping before the next step, and taking back (again: leave at once) …")?;
    let yes = arguments.yes;
    // The question waits on a thread of its own: the locks are renewed meanwhile.
    let ask = move |step: String| -> futures::future::LocalBoxFuture<'static, Result<(), Problem>> {
        Box::pin(async move {
            let answer = tokio::task::spawn_blocking(move || confirm(&step, yes)).await;
            answer.unwrap_or_else(|error| Err(Problem::failed(format!("nobody could be asked: {}", chain(&error)))))
        })
    };
    let shown = global.progress;
    let voice = Voice { tell: &|event| shown.event(event, || event.to_string()), confirm: &ask };
    let (operation, requester) = (new_id(), identity::requester());
    let switch = switch::Switch {
        staging,
        direction,
        target,
        source: source.as_ref(),
        operation: &operation,
        requester: &requester,
        task_id: arguments.task_id.as_deref(),
        interrupt: &interrupt,
        voice: &voice,
    };
    switch.carry_out(findings).await
}

/// Prints the report, with the commands that go on and go back.
fn ended(global: &Global, arguments: &Switch, mut report: SwitchReport) -> Result<Exit, Problem> {
    if report.exit != Exit::Done && !report.exit.changed_nothing() {
        let again = |name: &str| command_line(&global.connection(), arguments, name);
        report.next.push(format!("to go on: {}", again(&report.to)));
        if report.is_between() {
            report.next.push(format!("to go back: {}", again(&report.from)));
        }
    }
    show::report(Kind::StagingReport, &report, report.exit, global.output, || report.to_text())
}

/// The command that switches to this cluster, as this one was typed, quoted for a shell.
fn command_line(connection: &Connection, arguments: &Switch, name: &str) -> String {
    let Switch { name: _, ignore, reason, task_id, dry_run: _, yes: _ } = arguments;
    let mut words = vec![format!("usher staging switch {}", text::command(&[name]))];
    words.extend(ignore.iter().map(|look| format!("--ignore={look}")));
    // A switch is about two clusters, whichever is chosen for other commands.
    words.extend(Connection { cluster: None, ..connection.clone() }.flags());
    for (flag, value) in [("-r", reason), ("-t", task_id)] {
        words.extend(value.iter().map(|value| text::command(&[flag, value])));
    }
    words.join(" ")
}
