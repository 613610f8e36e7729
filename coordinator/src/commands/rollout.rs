//! `usher rollout`: restarts of workloads, how they stand, and taking them back.

mod planned;
mod report;
mod restart;
mod status;
mod tell;
mod undo;

use usher_common::chain;

use super::{cluster, propose::namespaces, site};
use crate::{
    cli::{Global, RolloutCommand, Scope},
    cluster::{Cluster, ClusterError},
    exit::Exit,
    problem::Problem,
    site::Site,
    workloads::rollout::{FindError, Kind, Places, Wanted, Workload, find},
};

/// What the first signal does to rollouts that are awaited.
const AT_A_SIGNAL: &str = "begins no more, and waits for those under way (again: leaves them to their controllers) …";

pub(super) async fn run(global: &Global, command: RolloutCommand) -> Result<Exit, Problem> {
    match command {
        RolloutCommand::Restart(arguments) => restart::restart(global, arguments).await,
        RolloutCommand::Status(arguments) => status::status(global, arguments).await,
        RolloutCommand::Undo(arguments) => undo::undo(global, arguments).await,
    }
}

/// The workloads that the flags mean, and where they are.
struct Found {
    site: Site,
    cluster: Cluster,
    places: Places,
    workloads: Vec<Workload>,
}

/// What a command does when no word says which workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WithoutWords {
    /// It means all kinds.
    All,
    /// It asks for them.
    Refuse,
}

async fn found(global: &Global, scope: &Scope, without_words: WithoutWords) -> Result<Found, Problem> {
    let wanted = wanted(scope, without_words)?;
    let site = site(global)?;
    let cluster = cluster(global, &site).await?;
    let places = places(&cluster, scope).await?;
    let selector = scope.selector.as_ref().map(ToString::to_string);
    let workloads = find(&cluster, &places, &wanted, selector.as_deref()).await.map_err(not_found)?;
    Ok(Found { site, cluster, places, workloads })
}

/// What the words mean, before anything is asked.
fn wanted(scope: &Scope, without_words: WithoutWords) -> Result<Vec<Wanted>, Problem> {
    let mut wanted = Wanted::read(&scope.words).map_err(Problem::usage)?;
    if wanted.is_empty() {
        if without_words == WithoutWords::Refuse {
            return Err(Problem::usage("say which workloads").hint(
                "one: deployment/NAME; all of a kind: deployment; of several kinds: deployment,statefulset,daemonset",
            ));
        }
        wanted.extend(Kind::ALL.map(|kind| Wanted { kind, name: None }));
    }
    let by_name = wanted.iter().any(|wanted| wanted.name.is_some());
    if by_name && scope.selector.is_some() {
        return Err(
            Problem::usage("workloads are named or selected, not both").hint("leave the names out, or --selector")
        );
    }
    if by_name && (scope.namespaced.all_namespaces || scope.namespaces_matching.is_some()) {
        return Err(Problem::usage("a name means a workload of one namespace")
            .hint("say which: -n NAMESPACE; or leave the name out, for all of the kind"));
    }
    Ok(wanted)
}

async fn places(cluster: &Cluster, scope: &Scope) -> Result<Places, Problem> {
    let Some(selector) = &scope.namespaces_matching else {
        return Ok(namespaces(cluster, &scope.namespaced).await?.into());
    };
    let places = Places::matching(cluster, &selector.to_string()).await.map_err(answered)?;
    match places.is_nowhere() {
        false => Ok(places),
        true => Err(Problem::refused(format!("no namespace matches {:?}", selector.to_string()))
            .hint("see them: kubectl get namespaces --show-labels")),
    }
}

fn not_found(error: FindError) -> Problem {
    let sentence = chain(&error);
    match error {
        FindError::Cluster(error) => answered(error),
        FindError::Unknown { kind, namespace, meant, .. } => {
            let problem =
                Problem::refused(sentence).hint(format!("see them: kubectl get {} -n {namespace}", kind.plural()));
            match meant {
                Some(name) => problem.detail(format!("did you mean {kind}/{name}?")),
                None => problem,
            }
        }
    }
}

/// A missing right is a refusal: so far everything was only read.
fn answered(error: ClusterError) -> Problem {
    match error.is_forbidden() {
        true => Problem::refused(chain(&error)).hint("see what you may do: kubectl auth can-i --list -n NAMESPACE"),
        false => error.into(),
    }
}
