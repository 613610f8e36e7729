//! What the commands that change objects have in common: the headline, the plan, the question.

use std::collections::BTreeSet;

use serde::Serialize;
use usher_core::rights::Right;

use super::{change::headline, confirm::confirm};
use crate::{
    cli::{DryRun, Global, Namespaced, ObjectChangeFlags},
    cluster::Cluster,
    operation::ask_rights,
    output,
    problem::Problem,
    show,
    workloads::Namespaces,
};

/// What comes after a plan was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was a dry run: the plan is the result.
    Shown,
    /// The operator wants it.
    Go,
}

/// With more rights than this to ask for, as in hundreds of namespaces, the server says at each change whether it is allowed.
const MOST_RIGHTS: usize = 50;

/// A change that is to be made, and what it needs.
pub(super) struct Proposal<'a, T> {
    pub(super) kind: show::Kind,
    pub(super) plan: &'a T,
    /// The command, as in `rollout restart`.
    pub(super) verb: &'static str,
    /// What the API must let it do.
    pub(super) rights: BTreeSet<Right>,
}

/// Shows the plan, as the result of a dry run or else before the question whether to carry it out. Without the rights that it needs
/// nothing is asked.
pub(super) async fn propose<T: Serialize>(
    global: &Global,
    cluster: &Cluster,
    flags: &ObjectChangeFlags,
    proposal: Proposal<'_, T>,
    text: impl FnOnce() -> String,
) -> Result<Answer, Problem> {
    let Proposal { kind, plan, verb, rights } = proposal;
    let dry_run = flags.dry_run != DryRun::None;
    headline(cluster, dry_run);
    if rights.len() <= MOST_RIGHTS
        && let Some(warning) = ask_rights(cluster, verb, rights).await?
    {
        output::warning(&warning);
    }
    if dry_run {
        show::show(kind, plan, global.output, text)?;
        return Ok(Answer::Shown);
    }
    output::progress(&text());
    confirm(cluster.name(), flags.yes)?;
    Ok(Answer::Go)
}

/// The namespaces that the flags mean.
pub(super) async fn namespaces(cluster: &Cluster, flags: &Namespaced) -> Result<Namespaces, Problem> {
    if flags.all_namespaces {
        return Ok(Namespaces::All);
    }
    let named = flags.namespace.as_deref();
    match Namespaces::named(cluster, named).await {
        Err(error) if error.is_not_found() => {
            let meant = Namespaces::nearest(cluster, named.unwrap_or_default()).await;
            let problem = Problem::refused(usher_common::chain(&error)).meant(meant.as_deref());
            Err(problem.hint("see them: kubectl get namespaces"))
        }
        found => Ok(found?),
    }
}
