//! `usher clusters`: what is described, which of it commands are about, and a shell set up for it. Nobody is asked.

use serde::Serialize;
use usher_common::chain;

use super::choose::{self, no_user, not_chosen};
use crate::{
    cli::{ClustersCommand, Environment, Global},
    cluster::Destination,
    exit::Exit,
    output,
    problem::Problem,
    show::{self, Kind},
    site::{Choice, ChosenBy, Site, Variable, choose, environment},
    site_file::{Entry, Remembered, Sites},
};

pub(super) fn run(global: &Global, command: ClustersCommand) -> Result<Exit, Problem> {
    let sites = choose::sites(global)?;
    match command {
        ClustersCommand::List => list(global, &sites),
        ClustersCommand::Show { name } => show_one(global, &sites, name.as_deref()),
        ClustersCommand::Use { name, .. } => match name {
            Some(name) => remember(global, &sites, &name),
            None => forget(global),
        },
        ClustersCommand::Env(environment) => env(global, &sites, &environment),
    }
}

/// What `usher clusters list -o json` prints of each, and `usher clusters show` of one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    name: Option<String>,
    aliases: Vec<String>,
    realm: Option<String>,
    data_centre: Option<String>,
    file: String,
    kubeconfig: Option<String>,
    context: Option<String>,
    server: Option<String>,
    user: Option<String>,
    /// Why commands are about this one, if they are.
    in_use: Option<ChosenBy>,
    /// Why there is no more to say of it.
    problem: Option<String>,
    control_plane: Vec<String>,
    load_balancer: Option<String>,
}

impl Described {
    fn of(global: &Global, entry: &Entry, in_use: Option<ChosenBy>) -> Self {
        let plain = Site::default();
        let (site, mut problem) = match &entry.read {
            Ok(contents) => (&contents.value, None),
            Err(error) => (&plain, Some(chain(error))),
        };
        // The flags that say where a cluster is are about the one in use.
        let access = site.way(global.user.as_deref().filter(|_| site.api.depends_on_the_user()), None);
        let way = access.ok();
        let found = choose::access_of(site, way.as_ref()).and_then(|access| Ok(Destination::describe(&access)?));
        let found = match (problem.is_some(), found) {
            (false, Err(error)) => {
                problem = Some(error.message);
                Destination::default()
            }
            (false, Ok(found)) => found,
            (true, _) => Destination::default(),
        };
        let kubeconfig = way.and_then(|way| way.kubeconfig).map(|path| path.display().to_string());
        Self {
            name: entry.known.name.clone(),
            aliases: site.aliases.clone(),
            realm: site.realm.clone(),
            data_centre: site.data_centre.clone(),
            file: entry.known.file.clone(),
            kubeconfig,
            context: found.context,
            server: found.server,
            user: found.user,
            in_use,
            problem,
            control_plane: site.control_plane.clone(),
            load_balancer: site.load_balancer.as_ref().and_then(|balancer| balancer.url.clone()),
        }
    }

    fn row(&self) -> Vec<String> {
        let dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let server = match &self.problem {
            Some(problem) => format!("? ({})", problem.lines().next().unwrap_or_default()),
            None => dash(&self.server),
        };
        let aliases = if self.aliases.is_empty() { "-".to_owned() } else { self.aliases.join(", ") };
        let in_use = self.in_use.map_or_else(|| "-".to_owned(), |by| format!("yes, {}", by.words()));
        vec![dash(&self.name), aliases, dash(&self.realm), dash(&self.data_centre), server, dash(&self.user), in_use]
    }

    fn lines(&self, variables: &[Variable]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = |name: &str, value: String| lines.push(format!("{name:<14} {value}"));
        let dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        line("name", dash(&self.name));
        line("aliases", if self.aliases.is_empty() { "-".to_owned() } else { self.aliases.join(", ") });
        line("realm", dash(&self.realm));
        line("data centre", dash(&self.data_centre));
        line("file", self.file.clone());
        line("kubeconfig", self.kubeconfig.clone().unwrap_or_else(|| "kubectl's own".to_owned()));
        line("context", dash(&self.context));
        line("API", dash(&self.server));
        line("user", dash(&self.user));
        line(
            "control plane",
            match self.control_plane.as_slice() {
                [] => "the Nodes with the label node-role.kubernetes.io/control-plane".to_owned(),
                names => names.join(", "),
            },
        );
        line("load balancer", dash(&self.load_balancer));
        for Variable { name, value } in variables {
            line("variable", value.as_ref().map_or_else(|| format!("{name} unset"), |value| format!("{name}={value}")));
        }
        line("in use", self.in_use.map_or_else(|| "no".to_owned(), |by| format!("yes, chosen {}", by.words())));
        if let Some(problem) = &self.problem {
            line("PROBLEM", problem.replace('\n', "\n               "));
        }
        lines
    }
}

/// Which one commands are about, or why that cannot be told.
fn in_use(global: &Global, sites: &Sites) -> Result<Option<(usize, ChosenBy)>, Problem> {
    Ok(match choose::choice(global, sites)? {
        Choice::Site { at, by } => Some((at, by)),
        Choice::Kubeconfig { .. } | Choice::Plain => None,
    })
}

fn list(global: &Global, sites: &Sites) -> Result<Exit, Problem> {
    let in_use = in_use(global, sites);
    let chosen = in_use.as_ref().ok().copied().flatten();
    let by = |at: usize| chosen.filter(|(chosen, _)| *chosen == at).map(|(_, by)| by);
    let items: Vec<_> =
        sites.entries.iter().enumerate().map(|(at, entry)| Described::of(global, entry, by(at))).collect();
    show::list(Kind::ClusterList, &items, global.output, || match items.is_empty() {
        true => "no cluster is described: usher goes by the kubeconfig and by defaults".to_owned(),
        false => {
            let header = ["NAME", "ALIASES", "REALM", "DATA CENTRE", "SERVER", "USER", "IN USE"];
            output::table(&header, items.iter().map(Described::row))
        }
    })?;
    // A list is what helps where none is chosen, or an unknown one.
    if let Err(problem) = in_use {
        output::progress(&format!("{}; choose one: usher clusters use NAME", problem.message));
    }
    Ok(Exit::Done)
}

/// The site that an argument names.
fn named(sites: &Sites, name: &str) -> Result<usize, Problem> {
    match choose(Some((name, ChosenBy::Argument)), &sites.known(), &[]).map_err(not_chosen)? {
        Choice::Site { at, .. } => Ok(at),
        Choice::Kubeconfig { .. } | Choice::Plain => Err(Problem::usage(format!("no cluster is called {name:?}"))),
    }
}

/// A site that has no mistakes, with its name.
fn readable(sites: &Sites, at: usize) -> Result<(&Site, &str), Problem> {
    let entry = &sites.entries[at];
    let site = entry.read.as_ref().map(|contents| &contents.value).map_err(|error| Problem::usage(chain(error)))?;
    let name = site.name.as_deref().ok_or_else(|| {
        Problem::usage(format!("the site in {} has no name", entry.known.file)).hint("set name in the file")
    })?;
    Ok((site, name))
}

fn show_one(global: &Global, sites: &Sites, name: Option<&str>) -> Result<Exit, Problem> {
    let in_use = in_use(global, sites);
    let at = match name {
        Some(name) => named(sites, name)?,
        None => in_use.clone()?.map(|(at, _)| at).ok_or_else(|| {
            Problem::usage("no cluster is described").hint("what usher goes by then: usher config view --show-origin")
        })?,
    };
    let by = in_use.ok().flatten().filter(|(chosen, _)| *chosen == at).map(|(_, by)| by);
    let described = Described::of(global, &sites.entries[at], by);
    let site = sites.entries[at].read.as_ref().ok().map(|contents| &contents.value);
    let variables = site.and_then(|site| environment(site, None, None).ok()).unwrap_or_default();
    show::show(Kind::Cluster, &described, global.output, || described.lines(&variables).join("\n"))?;
    Ok(Exit::Done)
}

/// What `usher clusters use -o json` prints.
#[derive(Debug, Serialize)]
struct Used<'a> {
    /// None: nothing is remembered.
    name: Option<&'a str>,
    file: String,
}

fn remembered() -> Result<Remembered, Problem> {
    Remembered::of_this_user().ok_or_else(|| {
        Problem::failed("there is no place to remember it: neither $XDG_CONFIG_HOME nor $HOME is set")
            .hint("for this shell: export USHER_CLUSTER=NAME")
    })
}

fn remember(global: &Global, sites: &Sites, name: &str) -> Result<Exit, Problem> {
    let (_, name) = readable(sites, named(sites, name)?)?;
    let remembered = remembered()?;
    let file = remembered.path().display().to_string();
    remembered.write(name).map_err(|error| Problem::failed(format!("cannot write {file}: {error}")))?;
    if let Some(other) = &global.cluster {
        output::progress(&format!("--cluster or $USHER_CLUSTER wins over it, and says {other} now"));
    }
    let used = Used { name: Some(name), file };
    show::show(Kind::ClusterUse, &used, global.output, || {
        format!("commands are about {name} from now on, unless --cluster or $USHER_CLUSTER says otherwise")
    })?;
    Ok(Exit::Done)
}

fn forget(global: &Global) -> Result<Exit, Problem> {
    let remembered = remembered()?;
    let file = remembered.path().display().to_string();
    remembered.forget().map_err(|error| Problem::failed(format!("cannot remove {file}: {error}")))?;
    show::show(Kind::ClusterUse, &Used { name: None, file }, global.output, || "nothing is remembered".to_owned())?;
    Ok(Exit::Done)
}

/// What `usher clusters env -o json` prints.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    cluster: &'a str,
    service: Option<&'a str>,
    variables: &'a [Variable],
}

fn env(global: &Global, sites: &Sites, wanted: &Environment) -> Result<Exit, Problem> {
    let (site, name) = readable(sites, named(sites, &wanted.name)?)?;
    let (user, service) = (global.user.as_deref(), wanted.service.as_deref());
    let variables = environment(site, user, service).map_err(|error| no_user(&error))?;
    let way = site.way(user, service).map_err(|error| no_user(&error))?;
    // A shell that is told of a file that is not there talks to another cluster than the operator thinks, or to none.
    if let Some(path) = way.kubeconfig.as_ref().filter(|path| !path.exists()) {
        return Err(Problem::refused(format!("there is no {}", path.display()))
            .hint(format!("{name} has users and services by {}", site.kubeconfig_template())));
    }
    if way.kubeconfig.is_none() {
        output::progress(&format!("{name} names no kubeconfig: kubectl goes where it went before"));
    }
    let found = choose::access_of(site, Some(&way)).and_then(|access| {
        let plain = crate::cluster::Access { context: None, ..access };
        Ok(Destination::describe(&plain)?)
    });
    if let (Some(wanted), Ok(Destination { context: current, .. })) = (&way.context, found)
        && current.as_ref() != Some(wanted)
    {
        output::progress(&format!("kubectl has no variable for a context and needs: --context {wanted}"));
    }
    let printed = Printed { cluster: name, service, variables: &variables };
    show::show(Kind::ClusterEnvironment, &printed, global.output, || {
        let shell = wanted.shell.into();
        variables.iter().map(|variable| variable.line(shell)).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Done)
}
