//! `usher helmfile roll`: rolling restarts of services that helmfile deploys.

mod tell;
mod way;

use std::time::Duration;

use serde::Serialize;
use usher_common::clock;
use usher_core::helmfile::Helmfile;

use super::{change::headline, confirm::confirm, interrupt::listen, site};
use crate::{
    cli::{Global, HelmfileCommand, HelmfileRoll},
    cluster::Cluster,
    exit::Exit,
    helmfile::{Access, Planned, Roll, RollReport, ServicePlan, plan},
    output,
    problem::{Kind, Problem},
    show, text,
};

/// What the first signal does.
const AT_A_SIGNAL: &str = "tells helmfile to stop, and waits for it (again: ends it) …";

pub(super) async fn run(global: &Global, command: HelmfileCommand) -> Result<Exit, Problem> {
    match command {
        HelmfileCommand::Roll(arguments) => roll(global, &arguments).await,
    }
}

async fn roll(global: &Global, arguments: &HelmfileRoll) -> Result<Exit, Problem> {
    let HelmfileRoll { services, environment, timeout, dry_run, yes } = arguments;
    if let Some(twice) = services.iter().enumerate().find(|(at, name)| services[..*at].contains(name)) {
        return Err(Problem::usage(format!("{} is named twice", twice.1)));
    }
    let site = site(global)?;
    let mut ways = Vec::new();
    for service in services {
        ways.push(way::access(global, &site, service).await?);
    }
    headlines(&ways, *dry_run);
    let mut checks = Vec::new();
    for (service, access) in services.iter().zip(ways) {
        checks.push(plan(&site, service, access, environment.as_deref()).await);
    }
    let planned = all(services, checks)?;
    let Some(cluster) = planned.first().map(Planned::cluster) else { return Err(Problem::usage("name a service")) };
    let document = Plan::of(cluster, &planned, &site.helmfile);
    if *dry_run {
        show::show(show::Kind::HelmfilePlan, &document, global.output, || document.to_text())?;
        return Ok(Exit::Done);
    }
    output::progress(&document.to_text());
    confirm(cluster.name(), *yes)?;

    let interrupt = listen(AT_A_SIGNAL)?;
    let tell = tell::teller(global.progress, services);
    let limit = match timeout {
        Some(Duration::ZERO) => Duration::MAX,
        Some(limit) => *limit,
        None => site.helmfile.timeout,
    };
    let roll = Roll { settings: &site.helmfile, limit, services: &planned, interrupt: &interrupt, tell: &*tell };
    let report = with_the_rest(roll.carry_out().await, global, environment.as_deref());
    show::report(show::Kind::HelmfileReport, &report, report.exit, global.output, || report.to_text())
}

/// Says which cluster would be changed, as every user that is one.
fn headlines(ways: &[Access], dry_run: bool) {
    let mut users = Vec::new();
    for way in ways {
        let user = way.cluster.user().map(str::to_owned);
        if !users.contains(&user) {
            headline(&way.cluster, dry_run);
            users.push(user);
        }
    }
}

/// All services, or everything that stands against any of them.
fn all(services: &[String], checks: Vec<Result<Planned, Problem>>) -> Result<Vec<Planned>, Problem> {
    let of = checks.len();
    let (mut planned, mut problems) = (Vec::new(), Vec::new());
    for (service, check) in services.iter().zip(checks) {
        match check {
            Ok(service) => planned.push(service),
            Err(problem) => problems.push((service, problem)),
        }
    }
    let mut problems = problems.into_iter();
    match (problems.next(), problems.len()) {
        (None, _) => Ok(planned),
        (Some((_, only)), 0) => Err(only),
        (Some(first), more) => {
            let message = format!("{} of {} cannot be rolled, so none is", more + 1, text::count(of, "service"));
            let kind = first.1.kind;
            let problem = Problem::new(if kind == Kind::Usage { kind } else { Kind::Refused }, message);
            Err(std::iter::once(first).chain(problems).fold(problem, |mut all, (service, problem)| {
                all.details.push(format!("{service}: {}", problem.message));
                all.details.extend(problem.details.into_iter().map(|line| format!("  {line}")));
                let new: Vec<_> = problem.hints.into_iter().filter(|hint| !all.hints.contains(hint)).collect();
                all.hints.extend(new);
                all
            }))
        }
    }
}

/// The report with the command that goes on with what was not begun.
fn with_the_rest(mut report: RollReport, global: &Global, environment: Option<&str>) -> RollReport {
    let mut words = vec!["usher".to_owned(), "helmfile".to_owned(), "roll".to_owned()];
    words.extend(report.not_begun().map(str::to_owned));
    if report.exit != Exit::Done && words.len() > 3 {
        words.extend(environment.map(|environment| format!("-e {environment}")));
        words.extend(global.connection().flags());
        report.next.push(format!("to go on with what was not begun: {}", words.join(" ")));
    }
    report
}

/// What would be run, in this order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Plan<'a> {
    cluster: &'a str,
    server: &'a str,
    services: Vec<&'a ServicePlan>,
    /// What else a roll applies, and how to see it.
    note: String,
}

impl<'a> Plan<'a> {
    fn of(cluster: &'a Cluster, planned: &'a [Planned], settings: &Helmfile) -> Self {
        let services: Vec<_> = planned.iter().map(|service| &service.plan).collect();
        let environment = services.first().map(|plan| plan.environment.as_str()).unwrap_or_default();
        let note = format!(
            "A roll also applies what was changed since the last deploy. To see it, in a service's folder: {}",
            text::command(&settings.diff(environment))
        );
        Self { cluster: cluster.name(), server: cluster.server(), services, note }
    }

    fn to_text(&self) -> String {
        let now = clock::now();
        let rows = self.services.iter().flat_map(|plan| {
            plan.releases.iter().enumerate().map(move |(at, release)| {
                let service = if at == 0 { plan.service.clone() } else { String::new() };
                let since = release.since.map_or_else(|| "-".to_owned(), |since| text::age(since, now));
                vec![service, release.id.to_string(), release.revision.to_string(), release.status.clone(), since]
            })
        });
        let mut lines = vec![output::table(&["SERVICE", "RELEASE", "REVISION", "STATUS", "AGE"], rows), String::new()];
        for (number, plan) in self.services.iter().enumerate() {
            lines.push(format!("{}. {} in {}", number + 1, plan.service, plan.folder.display()));
            lines.push(format!("     {}", plan.command));
            lines.extend(plan.remarks.iter().map(|remark| format!("     {remark}")));
        }
        lines.push(self.note.clone());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_stands_against_several_services_is_told_at_once_and_one_alone_speaks_for_itself() {
        let names = ["web", "db", "cache"].map(str::to_owned);
        let pending = || Problem::refused("shop/web is pending").detail("since 3h").hint("wait");
        let unknown = || Problem::refused("no environment").hint("wait");
        let alone = all(&names[..1], vec![Err(pending())]).unwrap_err();
        assert_eq!(alone, pending());
        let both = all(&names[..2], vec![Err(pending()), Err(unknown())]).unwrap_err();
        assert_eq!(both.message, "2 of 2 services cannot be rolled, so none is");
        assert_eq!(both.details, ["web: shop/web is pending", "  since 3h", "db: no environment"]);
        assert_eq!((both.hints, both.kind), (vec!["wait".to_owned()], Kind::Refused));
        assert!(all(&[], Vec::new()).unwrap().is_empty());
    }
}
