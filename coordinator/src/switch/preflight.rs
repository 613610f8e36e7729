//! What is looked at before anything is changed: the target, and what the source has that it lacks.

use std::collections::BTreeMap;

use usher_common::chain;
use usher_core::staging::{Direction, Finding, Preflight, Side, examine};

use crate::{
    cluster::{Cluster, Readiness},
    facts::Scope,
    problem::Problem,
    workloads,
    world::World,
};

/// The cluster that is active now: the way to it, or why there is none.
pub type Source<'a> = Result<&'a Cluster, String>;

/// Looks at both clusters. A source that does not answer is no error: then nothing of it can be compared.
///
/// # Errors
///
/// If the API of the target does not answer or forbids it.
pub async fn preflight(
    target: &World,
    source: Source<'_>,
    direction: &Direction,
    policy: &Preflight,
) -> Result<Vec<Finding>, Problem> {
    let scope = Scope { all: true, ..Scope::default() };
    let (facts, apiservers, there, here) = futures::join!(
        target.facts(&scope),
        apiservers(target),
        side(Ok(&target.cluster), &direction.to.name),
        side(source, &direction.from.name),
    );
    Ok(examine(&facts?, &apiservers, &there, &here, policy))
}

/// Each apiserver's word; that of the API as a whole where no single ones are known.
async fn apiservers(target: &World) -> BTreeMap<String, Readiness> {
    let each = target.apiservers().await;
    if !each.is_empty() {
        return each;
    }
    let server = target.cluster.server();
    BTreeMap::from([(server.to_owned(), target.cluster.readyz(&server.into()).await)])
}

async fn side(cluster: Source<'_>, name: &str) -> Side {
    let name = name.to_owned();
    match cluster {
        Err(why) => Side { name, version: Err(why.clone()), workloads: Err(why) },
        Ok(cluster) => {
            let (version, workloads) = futures::join!(cluster.version(), workloads::inventory(cluster));
            Side {
                name,
                version: version.map_err(|error| chain(&error)),
                workloads: workloads.map_err(|error| chain(&error)),
            }
        }
    }
}
