//! The machine's Node.

use super::Subject;
use crate::{
    plan::step::Step,
    problem::Problem,
    request::{Kind, Reboot},
};

/// The Node is not declared to be off for good.
pub(super) fn is_in_service(subject: &Subject<'_>) -> Result<(), Problem> {
    let Some(node) = subject.machine.node.as_ref().filter(|node| node.is_out_of_service()) else { return Ok(()) };
    if !matches!(subject.request.kind, Kind::Reboot(_) | Kind::Drain(_)) {
        return Ok(());
    }
    let name = &node.name;
    Err(Problem::refused(format!(
        "{name} carries the taint node.kubernetes.io/out-of-service: it is declared powered off"
    ))
    .hint(format!("if it is not: kubectl taint node {name} node.kubernetes.io/out-of-service-")))
}

/// The Node that is to get pods is Ready and schedulable. usher does not uncordon it for that: somebody had a reason.
pub(super) fn takes_pods(subject: &Subject<'_>) -> Result<(), Problem> {
    let (Kind::Rebalance(_), Some(node)) = (&subject.request.kind, &subject.machine.node) else { return Ok(()) };
    let name = &node.name;
    if node.unschedulable {
        let whose = node.mark.as_ref().map(|mark| format!(" by {} ({:?})", mark.by, mark.reason)).unwrap_or_default();
        return Err(Problem::refused(format!("{name} is cordoned{whose} and takes no pods"))
            .hint(format!("if the cordon is no longer wanted: usher uncordon {name} -r REASON")));
    }
    if !node.is_ready() {
        let why = if node.ready_message.is_empty() { "no Ready condition" } else { &node.ready_message };
        return Err(
            Problem::refused(format!("{name} is not Ready and takes no pods: {why}")).hint("see it: usher nodes")
        );
    }
    Ok(())
}

/// The Node that is to be rebooted is not cordoned by anybody else, unless the operator consents.
pub(super) fn cordon_is_ours_or_none(subject: &Subject<'_>) -> Result<(), Problem> {
    let Kind::Reboot(Reboot { keep_cordoned: false, .. }) = &subject.request.kind else { return Ok(()) };
    let Some(node) = &subject.machine.node else { return Ok(()) };
    if !node.unschedulable || node.mark.is_some() {
        return Ok(());
    }
    let name = &node.name;
    let mut problem = Problem::refused(format!("{name} is already cordoned, and not by usher"));
    if let Some(writer) = &node.cordoned_by {
        let when = writer.at.map(|at| format!(" at {at}")).unwrap_or_default();
        problem = problem.detail(format!("it was cordoned{when} with {}", writer.manager));
    }
    Err(problem
        .hint(format!(
            "to reboot it nevertheless and leave it cordoned afterwards: usher reboot {name} --keep-cordoned -r REASON"
        ))
        .hint(format!("if the cordon is no longer wanted: usher uncordon {name} -r REASON")))
}

/// A Node that was cordoned before its drain still is: otherwise new pods may have come to it.
pub(super) fn is_still_cordoned(subject: &Subject<'_>) -> Result<(), Problem> {
    let drained = matches!(subject.step, Some(Step::Reboot { drained: true }));
    match &subject.machine.node {
        Some(node) if drained && !node.unschedulable => Err(was_uncordoned(subject.name(), subject.request.verb())),
        None if drained => Err(Problem::failed(format!("the Node {} was deleted meanwhile", subject.name()))),
        _ => Ok(()),
    }
}

/// Somebody else cordoned a Node between its plan and its cordon.
pub fn was_cordoned(machine: &str) -> Problem {
    Problem::refused(format!("{machine} was cordoned by somebody else meanwhile")).hint(format!(
        "to reboot it nevertheless and leave it cordoned: usher reboot {machine} --keep-cordoned -r REASON"
    ))
}

/// Somebody else uncordoned a Node during its turn.
pub fn was_uncordoned(machine: &str, verb: &str) -> Problem {
    Problem::failed(format!("{machine} was uncordoned by somebody else meanwhile; it may have pods again"))
        .hint(format!("find out by whom and why; then begin again: usher {verb} {machine} -r REASON"))
}
