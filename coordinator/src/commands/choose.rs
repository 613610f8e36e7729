//! Which site a command is about, and the way to it.

use std::{collections::BTreeMap, path::Path};

use crate::{
    cli::Global,
    cluster::{Access, Destination, kubeconfig_clusters},
    output,
    problem::Problem,
    site::{Choice, ChosenBy, NoChoice, NoUser, Site, Way, choose},
    site_file::{Entry, Place, Remembered, Sites},
};

/// The variable that names a site; the command line takes it for `--cluster`.
const VARIABLE: &str = "USHER_CLUSTER";

/// The sites that there are.
pub(super) fn sites(global: &Global) -> Result<Sites, Problem> {
    Ok(Sites::read(&Place::locate(global.cluster_file.as_deref()))?)
}

/// Which of them is meant.
pub(super) fn choice(global: &Global, sites: &Sites) -> Result<Choice, Problem> {
    let remembered = match (&global.cluster, sites.is_one_file) {
        (None, false) => Remembered::of_this_user().and_then(|remembered| remembered.read()),
        // A file that was named says more than what was remembered.
        _ => None,
    };
    let wish = match (&global.cluster, &remembered) {
        (Some(name), _) if std::env::var(VARIABLE).is_ok_and(|value| value == *name) => {
            Some((name.as_str(), ChosenBy::Variable))
        }
        (Some(name), _) => Some((name.as_str(), ChosenBy::Flag)),
        (None, Some(name)) => Some((name.as_str(), ChosenBy::Use)),
        (None, None) => None,
    };
    choose(wish, &sites.known(), &kubeconfigs_clusters(global, sites)).map_err(not_chosen)
}

/// The names of clusters that kubectl's `--cluster` could mean.
fn kubeconfigs_clusters(global: &Global, sites: &Sites) -> Vec<String> {
    let own = match (&global.kubeconfig, sites.entries.as_slice()) {
        (Some(path), _) => Some(path.clone()),
        (None, [only]) if sites.folder.is_none() => {
            only.read.as_ref().ok().and_then(|contents| contents.value.way(None, None).ok()?.kubeconfig)
        }
        _ => None,
    };
    kubeconfig_clusters(own.as_deref()).into_keys().collect()
}

/// The file of the site that is meant, if a file describes it. A cluster of the kubeconfig that is no site has none, unless one file
/// is all that there is.
pub(super) fn entry(global: &Global) -> Result<Option<Entry>, Problem> {
    let mut sites = sites(global)?;
    let at = match choice(global, &sites)? {
        Choice::Site { at, .. } => Some(at),
        Choice::Kubeconfig { .. } if sites.folder.is_none() => (!sites.entries.is_empty()).then_some(0),
        Choice::Kubeconfig { .. } | Choice::Plain => None,
    };
    Ok(at.map(|at| sites.entries.swap_remove(at)))
}

/// The site that is meant; without a file, one that has nothing but defaults.
pub(super) fn site(global: &Global) -> Result<Site, Problem> {
    match entry(global)? {
        Some(entry) => Ok(entry.read?.value),
        None => Ok(Site::default()),
    }
}

/// Makes a choice that no flag has made part of the command, as if it had been typed: what usher prints to go on leads back to the
/// same site, whatever is remembered by then. Says what decided. A choice that cannot be made is told where the site is wanted.
pub(super) fn settle(global: &mut Global) {
    let Ok(sites) = sites(global) else { return };
    let Ok(Choice::Site { at, by }) = choice(global, &sites) else { return };
    let (Some(entry), Some(name)) = (sites.entries.get(at), sites.known().get(at).and_then(|known| known.name.clone()))
    else {
        return;
    };
    let left_out = |entry: &&Entry| entry.read.is_err() && entry.known != sites.entries[at].known;
    for entry in sites.entries.iter().filter(left_out) {
        output::progress(&format!("{} has mistakes, its site is left out: usher config check", entry.known.file));
    }
    match by {
        ChosenBy::Use => output::progress(&format!("{name}, chosen {}", by.words())),
        ChosenBy::Flag | ChosenBy::Variable => {
            if let Some(line) =
                entry.read.as_ref().ok().and_then(|contents| another_of_this_name(global, &contents.value))
            {
                output::progress(&line);
            }
        }
        ChosenBy::Argument | ChosenBy::Only => {}
    }
    if global.cluster.is_none() && (sites.folder.is_some() || by == ChosenBy::Use) {
        global.cluster = Some(name);
    }
}

/// Says that the kubeconfig has another cluster of this name, if so: kubectl would have meant that one.
fn another_of_this_name(global: &Global, site: &Site) -> Option<String> {
    let name = global.cluster.as_ref()?;
    let other = kubeconfig_clusters(global.kubeconfig.as_deref()).remove(name)?;
    let access = access(global, site).ok()?;
    let own = Destination::describe(&access).ok()?.server?;
    let (own, other) = (own.trim_end_matches('/'), other.trim_end_matches('/'));
    (own != other).then(|| format!("{name} is the site at {own}; the kubeconfig's cluster of this name is at {other}"))
}

/// The way to the site's cluster, by the flags and the cluster file.
pub(super) fn access(global: &Global, site: &Site) -> Result<Access, Problem> {
    access_of_user(global, site, (global.user.as_deref(), None))
}

/// The way for a service that helmfile deploys: as the user of the flag, else of `[helmfile]`, else as everywhere.
pub(super) fn access_for(global: &Global, site: &Site, service: &str) -> Result<Access, Problem> {
    let user = global.user.as_deref().or(site.helmfile.user.as_deref());
    access_of_user(global, site, (user, user.map(|_| service)))
}

fn access_of_user(
    global: &Global,
    site: &Site,
    (user, service): (Option<&str>, Option<&str>),
) -> Result<Access, Problem> {
    // Where the site's own kubeconfig or context depends on the user, the flag is about these.
    let is_filled_in = site.api.depends_on_the_user() && (global.kubeconfig.is_none() || global.context.is_none());
    let way =
        site.way(user.filter(|_| is_filled_in), service.filter(|_| is_filled_in)).map_err(|error| no_user(&error))?;
    let kubeconfig = global.kubeconfig.clone().or(way.kubeconfig);
    let means_the_site = global.cluster.as_deref().is_none_or(|name| site.is_called(name));
    let is_the_sites = means_the_site && is_the_sites(global, site, way.context.as_deref());
    let cluster = match &global.cluster {
        Some(name) if !means_the_site => Some(name.clone()),
        // Where the site does not say where it is, the kubeconfig's cluster of one of its names is meant.
        Some(name) if !is_the_sites => of_one_of_its_names(name, site, kubeconfig.as_deref()),
        _ => None,
    };
    Ok(Access {
        kubeconfig,
        context: global.context.clone().or(way.context),
        cluster,
        user: global.user.clone().filter(|_| !is_filled_in),
        server: global.server.clone(),
        token: global.token.clone(),
        impersonate: global.impersonate.clone(),
        impersonate_groups: global.impersonate_groups.clone(),
        impersonate_uid: global.impersonate_uid.clone(),
        certificate_authority: global.certificate_authority.clone(),
        tls_server_name: global.tls_server_name.clone(),
        insecure_skip_tls_verify: global.insecure_skip_tls_verify,
        request_timeout: global.request_timeout,
        is_the_sites,
        aliases: site.aliases.clone(),
    })
}

/// The way to a site as its file has it, whatever the flags say.
pub(super) fn access_of(site: &Site, way: Option<&Way>) -> Result<Access, Problem> {
    let way = match way {
        Some(way) => way.clone(),
        None => site.way(None, None).map_err(|error| no_user(&error))?,
    };
    let plain = Access { kubeconfig: way.kubeconfig, context: way.context, ..Access::default() };
    let is_the_sites = site.api.kubeconfig.is_some() || site.api.context.is_some();
    let cluster = site.name.as_deref().filter(|_| !is_the_sites);
    let cluster = cluster.and_then(|name| of_one_of_its_names(name, site, plain.kubeconfig.as_deref()));
    Ok(Access { cluster, is_the_sites, aliases: site.aliases.clone(), ..plain })
}

/// The same, as whom the flags say.
pub(super) fn access_as(global: &Global, site: &Site) -> Result<Access, Problem> {
    let is_filled_in = site.api.depends_on_the_user();
    let way = site.way(global.user.as_deref().filter(|_| is_filled_in), None).map_err(|error| no_user(&error))?;
    Ok(Access {
        user: global.user.clone().filter(|_| !is_filled_in),
        token: global.token.clone(),
        impersonate: global.impersonate.clone(),
        impersonate_groups: global.impersonate_groups.clone(),
        impersonate_uid: global.impersonate_uid.clone(),
        request_timeout: global.request_timeout,
        ..access_of(site, Some(&way))?
    })
}

/// Whether the cluster file says where the cluster is, by a context (`own`) or else a kubeconfig, and no flag says otherwise.
fn is_the_sites(global: &Global, site: &Site, own: Option<&str>) -> bool {
    match (&global.context, own) {
        (Some(flag), Some(own)) => flag == own,
        (Some(_), None) => false,
        (None, Some(_)) => true,
        (None, None) => global.kubeconfig.is_none() && site.api.kubeconfig.is_some(),
    }
}

fn of_one_of_its_names(typed: &str, site: &Site, kubeconfig: Option<&Path>) -> Option<String> {
    let known: BTreeMap<String, String> = kubeconfig_clusters(kubeconfig);
    let names = std::iter::once(typed).chain(site.name.as_deref()).chain(site.aliases.iter().map(String::as_str));
    names.into_iter().find(|name| known.contains_key(*name)).map(str::to_owned)
}

/// What to do where no site is chosen.
pub(super) fn not_chosen(error: NoChoice) -> Problem {
    let problem = Problem::usage(error.to_string());
    match error {
        NoChoice::Unknown { by, meant, known, .. } => {
            let meant = meant.map(|meant| format!("did you mean {meant:?}?"));
            let known = (!known.is_empty()).then(|| format!("there are: {}", known.join(", ")));
            let problem = meant.into_iter().chain(known).fold(problem, Problem::hint);
            match by {
                ChosenBy::Use => {
                    problem.hint("choose another: usher clusters use NAME").hint("or none: usher clusters use --clear")
                }
                _ => problem.hint("see them: usher clusters list"),
            }
        }
        NoChoice::None { known } => problem
            .hint(format!("there are: {}", known.join(", ")))
            .hint("for one command: --cluster NAME")
            .hint("for this shell: export USHER_CLUSTER=NAME")
            .hint("from now on: usher clusters use NAME"),
    }
}

/// What to do where a user needs a service.
pub(super) fn no_user(error: &NoUser) -> Problem {
    Problem::usage(error.to_string())
        .hint(format!("name the service: usher clusters env CLUSTER SERVICE --user {}", error.user))
}

#[cfg(test)]
mod tests;
