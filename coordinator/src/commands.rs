//! What the commands do. Each one reads what it needs and shows it, or plans and runs an operation.

mod agent;
mod change;
mod config;
mod confirm;
mod identity;
mod nodes;
mod preflight;
mod propose;
mod restart;
mod rollout;
mod status;
mod targets;
mod version;
mod versions;

use std::path::Path;

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, Command, Global},
    cluster::{Access, Cluster},
    exit::Exit,
    output,
    problem::Problem,
    show,
    site::Site,
    site_file,
    world::World,
};

/// Runs what was typed, to its end, and says how it ended.
pub async fn run(cli: Cli) -> Exit {
    let Cli { global, command } = cli;
    let format = global.output;
    let ended = match command {
        Command::Status => status::status(&global).await,
        Command::Nodes => nodes::nodes(&global).await,
        Command::Leaders => status::leaders(&global).await,
        Command::Restart(arguments) => restart::restart(&global, arguments).await,
        Command::Reboot(arguments) => nodes::reboot(&global, arguments).await,
        Command::Cordon(arguments) => nodes::cordon(&global, arguments).await,
        Command::Uncordon(arguments) => nodes::uncordon(&global, arguments).await,
        Command::Drain(arguments) => nodes::drain(&global, arguments).await,
        Command::Preflight(arguments) => preflight::preflight(&global, arguments).await,
        Command::Rollout(command) => rollout::run(&global, command).await,
        Command::Agent(command) => agent::run(&global, command).await,
        Command::Config(command) => config::run(&global, command).await,
        Command::Completion { shell } => Ok(completion(shell)),
        Command::Version => version::version(&global).await,
        Command::Versions => versions::versions(&global).await,
    };
    ended.unwrap_or_else(|problem| {
        output::progress(&problem.to_text());
        show::problem(&problem, format);
        problem.exit()
    })
}

fn completion(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "usher", &mut script);
    output::result(&String::from_utf8_lossy(&script));
    Exit::Done
}

/// The site, from the cluster file that the flags or the environment name, else from its usual places.
fn site(global: &Global) -> Result<Site, Problem> {
    Ok(match site_file::locate(global.cluster_file.as_deref()) {
        Some(path) => site_file::load(&path)?,
        None => Site::default(),
    })
}

/// A connection to the site's cluster.
async fn cluster(global: &Global, site: &Site) -> Result<Cluster, Problem> {
    let access = Access {
        kubeconfig: global.kubeconfig.clone().or_else(|| site.api.kubeconfig.clone()),
        context: global.context.clone().or_else(|| site.api.context.clone()),
        cluster: global.cluster.clone(),
        user: global.user.clone(),
        server: global.server.clone(),
        token: global.token.clone(),
        impersonate: global.impersonate.clone(),
        impersonate_groups: global.impersonate_groups.clone(),
        impersonate_uid: global.impersonate_uid.clone(),
        certificate_authority: global.certificate_authority.clone(),
        tls_server_name: global.tls_server_name.clone(),
        insecure_skip_tls_verify: global.insecure_skip_tls_verify,
        request_timeout: global.request_timeout,
        is_the_sites: global.cluster.is_none() && is_the_sites(global, site),
    };
    Ok(Cluster::connect(site.name.as_deref(), &access).await?.with_notices(output::progress))
}

/// Whether the cluster file says where the cluster is, by a context or else a kubeconfig, and no flag says otherwise.
fn is_the_sites(global: &Global, site: &Site) -> bool {
    match (&global.context, &site.api.context) {
        (Some(flag), Some(own)) => flag == own,
        (Some(_), None) => false,
        (None, Some(_)) => true,
        (None, None) => global.kubeconfig.is_none() && site.api.kubeconfig.is_some(),
    }
}

/// The world of a command that needs the API.
async fn world(global: &Global) -> Result<World, Problem> {
    let site = site(global)?;
    let cluster = cluster(global, &site).await?;
    Ok(World::open(site, cluster).await?)
}

fn display(path: Option<&Path>) -> String {
    path.map_or_else(|| "built-in defaults".to_owned(), |path| path.display().to_string())
}
