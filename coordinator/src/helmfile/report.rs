//! What was rolled, by Helm's own records.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{
    plan::{Planned, ServicePlan},
    releases::{Made, Records, ReleaseId},
};
use crate::{
    exit::Exit,
    problem::{Kind, Problem},
    text,
};

/// What became of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It was not begun.
    Waiting,
    /// helmfile ended well, and Helm has recorded new revisions.
    Rolled,
    /// helmfile ended well, and no release has a new revision.
    Unmoved,
    /// helmfile ended well and Helm has recorded new revisions, but none of their workloads has changed.
    Unheeded,
    /// helmfile failed.
    Failed,
    /// The operator stopped helmfile.
    Interrupted,
    /// helmfile took too long and was ended.
    TimedOut,
    /// helmfile ended well, but Helm's records could not be read.
    Unknown,
}

/// What is seen of releases at one moment; None of what cannot be read.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) records: Option<Records>,
    pub(super) made: Option<Made>,
}

/// A release before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseReport {
    #[serde(flatten)]
    pub id: ReleaseId,
    /// Its revision before.
    pub before: Option<u64>,
    /// Its revision now. None if that could not be read.
    pub after: Option<u64>,
    /// Its status now, in Helm's words.
    pub status: Option<String>,
    /// Its workloads, such as `deployment/web`, whose spec is another one now: their pods are replaced. None if that could not be read,
    /// or if it has none.
    pub changed: Option<Vec<String>>,
}

impl ReleaseReport {
    pub(super) fn of(id: &ReleaseId, before: &Seen, after: &Seen) -> Self {
        let newest = |seen: &Seen| Some(seen.records.as_ref()?.get(id)?.newest.clone());
        let (before_it, newest) = (newest(before), newest(after));
        let made = |seen: &Seen| seen.made.as_ref()?.get(id).cloned();
        let changed = made(before).zip(made(after)).map(|(before, after)| {
            after.into_iter().filter(|(name, now)| before.get(name) != Some(now)).map(|(name, _)| name).collect()
        });
        Self {
            id: id.clone(),
            before: before_it.map(|revision| revision.number),
            after: newest.as_ref().map(|revision| revision.number),
            status: newest.map(|revision| revision.status),
            changed,
        }
    }

    /// Whether it has another revision than before.
    pub fn moved(&self) -> bool {
        self.after.is_some() && self.after != self.before
    }

    /// Whether its workloads are known, and none of them has changed.
    pub fn is_unheeded(&self) -> bool {
        self.changed.as_ref().is_some_and(Vec::is_empty)
    }
}

/// `shop/web 12 → 13`, with a status that is not the usual one.
impl fmt::Display for ReleaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |revision: Option<u64>| revision.map_or_else(|| "?".to_owned(), |number| number.to_string());
        let Self { id, before, after, status, changed: _ } = self;
        match (self.moved(), after) {
            (false, Some(after)) => write!(f, "{id} not rolled: still {after}")?,
            (_, after) => write!(f, "{id} {} → {}", number(*before), number(*after))?,
        }
        if let Some(other) = status.as_deref().filter(|status| *status != "deployed") {
            write!(f, " ({other})")?;
        }
        match self.moved() && self.is_unheeded() {
            true => f.write_str(", but no workload has changed"),
            false => Ok(()),
        }
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReport {
    pub service: String,
    /// Of its helmfile.
    pub environment: String,
    pub state: State,
    pub releases: Vec<ReleaseReport>,
    /// helmfile's; None if it was not run, or was killed.
    pub exit_code: Option<i32>,
    /// The last lines that helmfile wrote.
    pub output: Vec<String>,
    #[serde(rename = "tookSeconds", with = "usher_core::seconds")]
    pub took: Duration,
}

impl ServiceReport {
    pub(super) fn waiting(plan: &ServicePlan) -> Self {
        Self {
            service: plan.service.clone(),
            environment: plan.environment.clone(),
            state: State::Waiting,
            releases: Vec::new(),
            exit_code: None,
            output: Vec::new(),
            took: Duration::ZERO,
        }
    }
}

/// The report of a roll; `-o json` prints it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RollReport {
    pub cluster: String,
    pub exit: Exit,
    pub exit_code: u8,
    /// What state things are in, in one sentence.
    pub summary: String,
    pub details: Vec<String>,
    /// What to do next; commands can be pasted into a shell.
    pub next: Vec<String>,
    #[serde(rename = "tookSeconds", with = "usher_core::seconds")]
    pub took: Duration,
    pub services: Vec<ServiceReport>,
}

impl RollReport {
    pub(super) fn of(
        planned: &[Planned],
        services: Vec<ServiceReport>,
        problem: Option<Problem>,
        took: Duration,
    ) -> Self {
        let of = |wanted: State| -> Vec<&str> {
            services.iter().filter(|it| it.state == wanted).map(|it| it.service.as_str()).collect()
        };
        let (rolled, waiting) = (of(State::Rolled), of(State::Waiting));
        let exit = exit(problem.as_ref(), !rolled.is_empty(), waiting.len() == services.len());
        let summary = match &problem {
            None => format!("{} rolled in {}", text::list(&rolled), text::took(took)),
            Some(problem) => {
                let mut parts = vec![format!("{}{}", word(exit), problem.message)];
                parts.extend((!rolled.is_empty()).then(|| format!("rolled: {}", rolled.join(", "))));
                parts.extend((!waiting.is_empty()).then(|| format!("not begun: {}", waiting.join(", "))));
                parts.join("; ")
            }
        };
        let mut details: Vec<_> = services
            .iter()
            .flat_map(|it| it.releases.iter().map(|release| format!("{}: {release}", it.service)))
            .collect();
        let mut next = Vec::new();
        match problem {
            Some(problem) => {
                details.extend(problem.details);
                next.extend(problem.hints);
            }
            None => next.extend(pods(planned)),
        }
        let cluster = planned.first().map(|it| it.cluster().name().to_owned()).unwrap_or_default();
        Self { cluster, exit, exit_code: exit.code(), summary, details, next, took, services }
    }

    /// The services that were not begun.
    pub fn not_begun(&self) -> impl Iterator<Item = &str> {
        self.services.iter().filter(|it| it.state == State::Waiting).map(|it| it.service.as_str())
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut lines = vec![self.summary.clone()];
        lines.extend(self.exit.ending(&self.details, &self.next));
        lines.join("\n")
    }
}

/// helmfile ends when Helm has told the API server, unless its releases wait: the pods are replaced after that.
fn pods(planned: &[Planned]) -> Vec<String> {
    let mut namespaces: Vec<_> = planned.iter().flat_map(|it| it.service.releases.namespaces()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    namespaces
        .iter()
        .map(|namespace| format!("see the pods come: usher rollout status -n {namespace} --wait"))
        .collect()
}

fn exit(problem: Option<&Problem>, rolled_some: bool, began_none: bool) -> Exit {
    match problem {
        None => Exit::Done,
        // A refusal and a held lock promise that nothing was changed.
        Some(problem) if matches!(problem.kind, Kind::Interrupted | Kind::TimedOut | Kind::Unknown) => problem.exit(),
        Some(problem) if began_none => problem.exit(),
        Some(_) if rolled_some => Exit::Partly,
        Some(_) => Exit::Failed,
    }
}

fn word(exit: Exit) -> &'static str {
    match exit {
        Exit::Refused => "refused: ",
        Exit::Interrupted => "interrupted: ",
        Exit::TimedOut => "timed out or unknown: ",
        _ => "stopped: ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(before: Option<u64>, after: Option<u64>, status: &str) -> ReleaseReport {
        let id = ReleaseId { namespace: "shop".to_owned(), name: "web".to_owned() };
        let status = (!status.is_empty()).then(|| status.to_owned());
        ReleaseReport { id, before, after, status, changed: None }
    }

    #[test]
    fn a_release_is_told_by_its_revisions() {
        for (release, expected, moved) in [
            (release(Some(12), Some(13), "deployed"), "shop/web 12 → 13", true),
            (release(Some(12), Some(13), "failed"), "shop/web 12 → 13 (failed)", true),
            (release(Some(12), Some(12), "deployed"), "shop/web not rolled: still 12", false),
            (release(Some(12), None, ""), "shop/web 12 → ?", false),
            (
                ReleaseReport { changed: Some(Vec::new()), ..release(Some(12), Some(13), "deployed") },
                "shop/web 12 → 13, but no workload has changed",
                true,
            ),
        ] {
            assert_eq!((release.to_string().as_str(), release.moved()), (expected, moved));
        }
    }

    #[test]
    fn an_end_is_partly_only_where_something_was_rolled_and_refused_only_where_nothing_was_begun() {
        let refused = Problem::refused("pending");
        let failed = Problem::failed("helmfile");
        assert_eq!(exit(None, true, false), Exit::Done);
        assert_eq!(exit(Some(&refused), false, true), Exit::Refused);
        assert_eq!(exit(Some(&refused), true, false), Exit::Partly);
        assert_eq!(exit(Some(&failed), true, false), Exit::Partly);
        assert_eq!(exit(Some(&failed), false, false), Exit::Failed);
        assert_eq!(exit(Some(&Problem::interrupted("x")), true, false), Exit::Interrupted);
        assert_eq!(exit(Some(&Problem::timed_out("x")), true, false), Exit::TimedOut);
    }
}
