//! Whether the API server would let a request do what it is about to do, asked before anything is touched.

use std::time::Duration;

use usher_core::{
    problem::Problem,
    request::Request,
    rights::{Right, needs, rules},
};

use crate::{
    cluster::{Cluster, Review},
    text,
    world::World,
};

/// A server answers a review from memory; behind a webhook that decides, from the webhook's cache.
const WITHIN: Duration = Duration::from_secs(5);

/// Asks for the rights of a request: it may well be allowed what cannot be asked.
///
/// # Errors
///
/// The rights that are missing, with the rules that would grant them.
pub(super) async fn check(world: &World, request: &Request) -> Result<Option<String>, Problem> {
    let is_control_plane = |machine: &str| world.control_plane().iter().any(|name| name == machine);
    let needs = needs(request, &world.site, is_control_plane).into_iter();
    let rights = needs.filter(|need| need.without.is_none()).map(|need| need.right);
    ask(&world.cluster, request.verb(), rights).await
}

/// Asks for rights without which a command would stop half way. What cannot be asked is a warning.
///
/// # Errors
///
/// The rights that are missing, with the rules that would grant them.
pub async fn ask(
    cluster: &Cluster,
    verb: &str,
    rights: impl IntoIterator<Item = Right>,
) -> Result<Option<String>, Problem> {
    let (mut missing, mut unknown) = (Vec::new(), None);
    for Review { right, granted } in cluster.review(rights, WITHIN).await {
        match granted {
            Ok(true) => {}
            Ok(false) => missing.push(right),
            Err(error) => unknown = unknown.or(Some(usher_common::chain(&error))),
        }
    }
    match missing.is_empty() {
        true => Ok(unknown.map(|why| format!("nobody can tell beforehand whether all rights are there: {why}"))),
        false => Err(refusal(cluster.user(), verb, &missing)),
    }
}

/// Why a command does not begin without these rights, and the rules that would grant them.
fn refusal(user: Option<&str>, verb: &str, missing: &[Right]) -> Problem {
    let rights: Vec<_> = missing.iter().map(ToString::to_string).collect();
    let user = user.unwrap_or("the user of the kubeconfig");
    Problem::refused(format!("{user} may not {}, which usher {verb} needs", text::list(&rights)))
        .details(rules(missing))
        .hint("add these rules to a Role of that user; see who it is to the server: kubectl auth whoami")
        .hint("see what other commands would miss: usher doctor")
}
