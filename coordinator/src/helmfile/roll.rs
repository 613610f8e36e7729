//! The loop: one service after the other, until one fails.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use usher_common::chain;
use usher_core::helmfile::Helmfile;

use super::{
    plan::Planned,
    report::{ReleaseReport, RollReport, Seen, ServiceReport, State},
};
use crate::{
    exec::{self, CommandOutcome, Program},
    interrupt::Interrupt,
    problem::{Kind, Problem},
    text,
};

/// What happens on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Told<'a> {
    /// helmfile is run for a service.
    Began { service: &'a str, environment: &'a str, command: &'a str },
    /// helmfile wrote a line.
    Line { service: &'a str, text: &'a str },
    /// helmfile has ended.
    Ended { service: &'a str, state: State, releases: &'a [ReleaseReport] },
}

/// One run over services.
pub struct Roll<'a> {
    pub settings: &'a Helmfile,
    /// How long helmfile may take for one service.
    pub limit: Duration,
    /// In the order in which they are rolled.
    pub services: &'a [Planned],
    pub interrupt: &'a Interrupt,
    pub tell: &'a dyn Fn(Told<'_>),
}

impl Roll<'_> {
    /// Rolls the services in their order. Begins none after one that was not rolled, or after the operator's wish to stop.
    pub async fn carry_out(&self) -> RollReport {
        let begun = Instant::now();
        let mut reports: Vec<_> = self.services.iter().map(|planned| ServiceReport::waiting(&planned.plan)).collect();
        let mut problem = None;
        for (planned, report) in self.services.iter().zip(&mut reports) {
            let service = &planned.plan.service;
            let look = tokio::select! {
                biased;
                () = self.interrupt.requested() => Err(Problem::interrupted(format!("before {service} was begun"))),
                look = self.look(planned) => look,
            };
            let ended = match look {
                Ok(before) => self.one(planned, &before, report).await,
                Err(stop) => Err(stop),
            };
            if let Err(stop) = ended {
                problem = Some(stop);
                break;
            }
        }
        RollReport::of(self.services, reports, problem, begun.elapsed())
    }

    /// Checks once more what was true at the plan: the services before may have taken an hour.
    async fn look(&self, planned: &Planned) -> Result<Seen, Problem> {
        let (records, _) = planned.service.look(self.settings).await?;
        Ok(Seen { records: Some(records), made: planned.service.made().await })
    }

    /// Runs helmfile for one service, and compares Helm's records.
    async fn one(&self, planned: &Planned, before: &Seen, report: &mut ServiceReport) -> Result<(), Problem> {
        let plan = &planned.plan;
        let service = plan.service.as_str();
        (self.tell)(Told::Began { service, environment: &plan.environment, command: &plan.command });
        let variables = &planned.service.place.variables;
        let program = Program { argv: &plan.argv, folder: planned.service.folder(), variables, limit: self.limit };
        let (stop, leave) = (self.interrupt.requested(), self.interrupt.insisted());
        let outcome =
            exec::follow(program, stop, leave, &mut |_, text| (self.tell)(Told::Line { service, text })).await;
        let read = async { (planned.service.records().await, planned.service.made().await) };
        let (records, made) = self.interrupt.parting(read).await.unzip();
        let unread = match &records {
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(chain(error)),
            None => Some("you left before Helm's records were read".to_owned()),
        };
        let after = Seen { records: records.and_then(Result::ok), made: made.flatten() };
        report.releases = plan.releases.iter().map(|release| ReleaseReport::of(&release.id, before, &after)).collect();
        report.took = outcome.took;
        report.exit_code = outcome.exit;
        let moved: Vec<_> = report.releases.iter().filter(|release| release.moved()).collect();
        report.state = match () {
            () if outcome.succeeded() && unread.is_some() => State::Unknown,
            () if outcome.succeeded() && moved.is_empty() => State::Unmoved,
            () if outcome.succeeded() && moved.iter().all(|release| release.is_unheeded()) => State::Unheeded,
            () if outcome.succeeded() => State::Rolled,
            () if outcome.timed_out => State::TimedOut,
            () if self.interrupt.is_requested() => State::Interrupted,
            () => State::Failed,
        };
        report.output.clone_from(&outcome.output);
        (self.tell)(Told::Ended { service, state: report.state, releases: &report.releases });
        let Some(problem) = problem(planned, report.state, &outcome) else { return Ok(()) };
        Err(problem.details(unread.map(|why| format!("Helm's records cannot be read: {why}"))))
    }
}

/// Why no other service is begun, and how to look at this one.
fn problem(planned: &Planned, state: State, outcome: &CommandOutcome) -> Option<Problem> {
    let service = &planned.plan.service;
    let (namespaces, flags) = (planned.service.releases.namespaces(), planned.service.place.helm_flags());
    let looks = |problem: Problem| {
        let problem = planned.plan.releases.iter().fold(problem, |problem, release| {
            let id = &release.id;
            problem.hint(format!("see how the release is: helm status {} -n {}{flags}", id.name, id.namespace))
        });
        namespaces.iter().fold(problem, |problem, namespace| {
            problem.hint(format!("see its pods: usher rollout status -n {namespace}"))
        })
    };
    match state {
        State::Rolled | State::Waiting => None,
        State::Unmoved => Some(
            Problem::failed(format!(
                "nothing of {service} was rolled: helmfile ended well, but no release has a new revision"
            ))
            .hint(format!(
                "see what it does: cd {} && {}",
                text::command(&[planned.plan.folder.display().to_string()]),
                planned.plan.command
            ))
            .hint(
                "a helmfile that names a kubeconfig or a context of its own goes by these, perhaps to another cluster",
            ),
        ),
        State::Unheeded => Some(
            Problem::failed(format!(
                "no pod of {service} is replaced: Helm has new revisions, but no Deployment, StatefulSet or DaemonSet of them changed"
            ))
            .hint("the chart, or the values of the helmfile, must change the pods' template when it is rolled: docs/helmfile.md"),
        ),
        State::Unknown => Some(looks(Problem::new(
            Kind::Unknown,
            format!("helmfile ended well for {service}, but whether it was rolled is not known"),
        ))),
        State::TimedOut => {
            Some(looks(Problem::timed_out(format!("{service} may be half rolled: helmfile was {}", outcome.how()))))
        }
        State::Interrupted => Some(looks(Problem::interrupted(format!(
            "{service} may be half rolled: helmfile was told to stop ({})",
            outcome.how()
        )))),
        State::Failed => Some(looks(Problem::failed(format!("helmfile failed for {service}: {}", outcome.how())))),
    }
}
