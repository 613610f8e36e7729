//! What the roll of a service would do, and everything that stands against it.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    path::{self, Path, PathBuf},
};

use serde::Serialize;
use usher_core::{site::Site, text};

use super::{
    folder::{self, Lock},
    look::{Place, Service},
    releases::{Records, ReleasePlan, Releases},
};
use crate::{cluster::Cluster, problem::Problem};

/// Variables that would lead helmfile or helm elsewhere than usher looks, to other releases, or there as somebody else. They may be
/// left over from another cluster or service.
const MISLEADING: [&str; 9] = [
    "HELMFILE_ENVIRONMENT",
    "HELMFILE_FILE_PATH",
    "HELMFILE_KUBE_CONTEXT",
    "HELMFILE_NAMESPACE",
    "HELM_KUBEAPISERVER",
    "HELM_KUBEASGROUPS",
    "HELM_KUBEASUSER",
    "HELM_KUBETOKEN",
    "HELM_NAMESPACE",
];

/// The way to the cluster of a service: for usher a connection, for helmfile a kubeconfig and a context of it.
#[derive(Debug, Clone)]
pub struct Access {
    pub cluster: Cluster,
    /// Unset: `$KUBECONFIG`, then `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// Unset: its current context.
    pub context: Option<String>,
}

/// A service that can be rolled. It holds the lock of the service's folder.
#[derive(Debug)]
pub struct Planned {
    pub plan: ServicePlan,
    pub(super) service: Service,
    _lock: Lock,
}

impl Planned {
    /// The cluster in which it is.
    pub fn cluster(&self) -> &Cluster {
        &self.service.place.cluster
    }
}

/// What the roll of a service would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePlan {
    pub service: String,
    /// Of its helmfile.
    pub environment: String,
    /// Where helmfile runs.
    pub folder: PathBuf,
    /// The releases that helmfile upgrades, in the order of its list.
    pub releases: Vec<ReleasePlan>,
    /// What helmfile is run with.
    pub argv: Vec<String>,
    /// The variables that it gets.
    pub variables: BTreeMap<String, String>,
    /// The command as it can be pasted into a shell.
    pub command: String,
    /// What an operator should know before, a line each.
    pub remarks: Vec<String>,
}

/// Looks into a service and plans its roll. `asked` is the environment that a flag names.
///
/// # Errors
///
/// What stands against it. Nothing was changed.
pub async fn plan(site: &Site, service: &str, access: Access, asked: Option<&str>) -> Result<Planned, Problem> {
    let settings = &site.helmfile;
    let name = access.cluster.name().to_owned();
    let folder = folder::find(settings, service, &name)?;
    folder::expect_program(&settings.program)?;
    let lock = Lock::take(&folder, service)?;
    let place = Place { service: service.to_owned(), folder, variables: variables(&access), cluster: access.cluster };
    let names: Vec<&str> = if site.name.is_some() { site.names().collect() } else { vec![&name] };
    let wanted = settings.environments(asked, names);
    let mut found = None;
    for environment in &wanted {
        if let Some(listed) = place.listed(settings, environment).await? {
            found = Some((*environment, listed));
            break;
        }
    }
    let Some((environment, listed)) = found else { return Err(unknown(&place, &wanted, asked)) };
    let releases = Releases::of(listed, settings.namespace().as_deref(), place.cluster.default_namespace());
    if releases.ids().next().is_none() {
        let what = format!("{service} has no release that is enabled and installed in the environment {environment:?}");
        return Err(Problem::refused(what));
    }
    let service = Service { place, environment: environment.to_owned(), releases };
    let (records, unseen) = service.look(settings).await?;
    let argv = settings.roll(environment);
    let place = &service.place;
    let plan = ServicePlan {
        service: place.service.clone(),
        environment: environment.to_owned(),
        folder: place.folder.clone(),
        releases: planned(&service.releases, &records),
        command: place.command(&argv),
        argv,
        variables: place.variables.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect(),
        remarks: unseen,
    };
    Ok(Planned { plan, service, _lock: lock })
}

fn planned(releases: &Releases, records: &Records) -> Vec<ReleasePlan> {
    let plans = releases.ids().filter_map(|id| {
        let newest = &records.get(id)?.newest;
        Some(ReleasePlan {
            id: id.clone(),
            revision: newest.number,
            status: newest.status.clone(),
            since: newest.since,
        })
    });
    plans.collect()
}

fn unknown(place: &Place, wanted: &[&str], asked: Option<&str>) -> Problem {
    let quoted: Vec<_> = wanted.iter().map(|name| format!("{name:?}")).collect();
    let problem = Problem::refused(format!(
        "the helmfile of {} knows no environment {}, or has no release in it",
        place.service,
        quoted.join(" or ")
    ))
    .hint(format!(
        "see which it knows: grep -A9 environments: {}/helmfile*",
        text::command(&[place.folder.display().to_string()])
    ));
    match asked {
        Some(_) => problem,
        None => problem.hint("name it: -e ENVIRONMENT, or [helmfile] environment in the cluster file"),
    }
}

fn variables(access: &Access) -> Vec<(String, Option<String>)> {
    let kubeconfig = access.kubeconfig.as_deref().map(absolute);
    // helmfile works in another folder than usher.
    let inherited = || env::var_os("KUBECONFIG").filter(|list| !list.is_empty()).map(|list| each_absolute(&list));
    let mut variables: Vec<_> =
        kubeconfig.or_else(inherited).map(|path| ("KUBECONFIG".to_owned(), Some(path))).into_iter().collect();
    variables.push(("HELM_KUBECONTEXT".to_owned(), access.context.clone()));
    variables.extend(MISLEADING.map(|name| (name.to_owned(), None)));
    variables
}

fn absolute(path: &Path) -> String {
    path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn each_absolute(list: &OsStr) -> String {
    env::split_paths(list).map(|path| absolute(&path)).collect::<Vec<_>>().join(":")
}
