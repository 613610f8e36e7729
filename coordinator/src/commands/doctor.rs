//! `usher doctor`: what keeps usher from its work at this site, and what mends it. It only looks.

mod balancer;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Serialize;
use usher_common::clock;
use usher_core::{
    doctor::{self, Check, Finding, State},
    rights::{Right, of_each},
};

use super::{choose, cluster};
use crate::{
    agents,
    cli::Global,
    cluster::{LockHolder, Review},
    exit::Exit,
    facts::Scope,
    problem::Problem,
    show::{self, Kind},
    site::Site,
    site_file::Entry,
    world::World,
};

/// How long the answer to one review is awaited: as long as that of an agent.
const REVIEW: Duration = Duration::from_millis(1500);

/// What `usher doctor -o json` prints.
#[derive(Serialize)]
struct Examined<'a> {
    findings: &'a [Finding],
}

pub(super) async fn doctor(global: &Global) -> Result<Exit, Problem> {
    let mut findings = Vec::new();
    if let Some(site) = site(global, &mut findings) {
        match open(global, site).await {
            Ok(world) => examine(&world, &mut findings).await,
            Err(problem) => findings.push(Finding::of_problem(Check::Api, problem)),
        }
    }
    findings.sort_by_key(|finding| finding.check);
    show::show(Kind::Doctor, &Examined { findings: &findings }, global.output, || text::text(&findings))?;
    Ok(if doctor::worst(&findings) == State::Wrong { Exit::Failed } else { Exit::Done })
}

/// The site, if its file can be read, and what is to be said of the file and of the certificate that it names.
fn site(global: &Global, findings: &mut Vec<Finding>) -> Option<Site> {
    let read = choose::entry(global).and_then(|entry| match entry {
        Some(Entry { path, read, .. }) => Ok((read?.value, Some(path))),
        None => Ok((Site::default(), None)),
    });
    let (site, path) = match read {
        Ok(read) => read,
        Err(problem) => {
            findings.push(Finding::of_problem(Check::ClusterFile, problem));
            return None;
        }
    };
    findings.push(match path {
        Some(path) => Finding::ok(Check::ClusterFile, path.display().to_string()),
        None => Finding::warning(Check::ClusterFile, "there is none, so the built-in defaults apply")
            .mend("usher config init"),
    });
    match agents::own_certificate(&site.agents) {
        Ok(facts) => findings.extend(doctor::certificate(&facts, clock::now())),
        Err(error) => {
            let problem = Finding::of_problem(Check::Certificate, error.into());
            let mend = "usher certificates issue operator NAME, or one of your own CA";
            findings.push(if site.agents.certificate.exists() { problem } else { problem.mend(mend) });
        }
    }
    Some(site)
}

async fn open(global: &Global, site: Site) -> Result<World, Problem> {
    let cluster = cluster(global, &site).await?;
    Ok(World::open(site, cluster).await?)
}

async fn examine(world: &World, findings: &mut Vec<Finding>) {
    let everything = Scope { control_plane: true, all: true, ..Scope::default() };
    let of_each = of_each(&world.site);
    let wanted: BTreeSet<Right> = of_each.iter().flat_map(|(_, needs)| needs).map(|need| need.right.clone()).collect();
    let (version, lock, clock, reviews, facts, balancer) = futures::join!(
        world.version_at_once(),
        world.lock_at_once(),
        world.cluster.server_clock(),
        world.cluster.review(wanted, REVIEW),
        world.look(&everything),
        balancer::examine(world),
    );
    findings.push(match version {
        Ok(version) => {
            let user = world.cluster.user().map(|user| format!(" · as {user}")).unwrap_or_default();
            let version = version.trim_start_matches('v');
            Finding::ok(
                Check::Api,
                format!("{} · {} · Kubernetes {version}{user}", world.cluster.name(), world.cluster.server()),
            )
        }
        Err(error) => Finding::of_problem(Check::Api, error.into()),
    });
    findings.push(doctor::clock(clock.map(|clock| clock.offset())));
    findings.push(match lock {
        Ok(holder) => of_lock(holder.as_ref()),
        Err(error) => Finding::of_problem(Check::Lock, error.into()),
    });
    let granted: BTreeMap<_, _> = reviews.into_iter().map(|Review { right, granted }| (right, granted.ok())).collect();
    findings.extend(doctor::rights(&of_each, &granted));
    match facts {
        Ok(facts) => {
            findings.extend(doctor::control_plane(&facts, &world.site));
            findings.extend(doctor::etcd(&facts, &world.site));
            findings.extend(doctor::agents(&facts, &world.site, env!("CARGO_PKG_VERSION"), clock::now()));
        }
        Err(error) => findings.push(Finding::of_problem(Check::ControlPlane, error.into())),
    }
    findings.extend(balancer);
}

fn of_lock(holder: Option<&LockHolder>) -> Finding {
    match holder {
        None => Finding::ok(Check::Lock, "free"),
        Some(holder) => {
            Finding::warning(Check::Lock, format!("held by {holder}, so no change can begin")).mend("usher status")
        }
    }
}
