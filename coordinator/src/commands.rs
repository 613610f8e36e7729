//! What the commands do. Each one reads what it needs and shows it, or plans and runs an operation.

mod agent;
mod certificates;
mod change;
mod choose;
mod clusters;
pub mod completion;
mod config;
mod confirm;
mod cronjobs;
mod doctor;
mod helmfile;
mod identity;
mod interrupt;
mod job_plan;
mod jobs;
mod lock;
mod nodes;
mod pods;
mod preflight;
mod propose;
mod rebalance;
mod report_page;
mod restart;
mod rollout;
mod staging;
mod status;
mod targets;
mod version;
mod versions;
mod watch;
mod workload;

use std::path::Path;

use crate::{
    cli::{Cli, Command, Global, LockCommand},
    cluster::Cluster,
    exit::Exit,
    output,
    problem::Problem,
    show,
    site::Site,
    world::World,
};

/// How a command line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As usher's own commands do.
    Usher(Exit),
    /// As another tool's command did that usher ran: with its exit code.
    Other(u8),
}

/// Runs what was typed, to its end, and says how it ended.
pub async fn run(cli: Cli) -> Ended {
    let Cli { mut global, command } = cli;
    // The others are about one site.
    let of_none_or_all = matches!(
        command,
        Command::Clusters(_)
            | Command::Config(_)
            | Command::Certificates(_)
            | Command::Staging(_)
            | Command::Report(_)
            | Command::Completion { .. }
    );
    if !of_none_or_all {
        choose::settle(&mut global);
    }
    let format = global.output;
    let tell = |problem: Problem| {
        output::problem(&problem);
        show::problem(&problem, format);
        Ended::Usher(problem.exit())
    };
    if let Command::Lock(LockCommand::Run(arguments)) = command {
        return lock::run(&global, arguments).await.map_or_else(tell, Ended::Other);
    }
    let ended = match command {
        Command::Status(arguments) => status::status(&global, &arguments).await,
        Command::Nodes(look) => nodes::nodes(&global, &look).await,
        Command::Doctor => doctor::doctor(&global).await,
        Command::Leaders => status::leaders(&global).await,
        Command::Restart(arguments) => restart::restart(&global, arguments).await,
        Command::Reboot(arguments) => nodes::reboot(&global, arguments).await,
        Command::Cordon(arguments) => nodes::cordon(&global, arguments).await,
        Command::Uncordon(arguments) => nodes::uncordon(&global, arguments).await,
        Command::Drain(arguments) => nodes::drain(&global, arguments).await,
        Command::Rebalance(arguments) => rebalance::rebalance(&global, arguments).await,
        Command::Preflight(arguments) => preflight::preflight(&global, arguments).await,
        Command::Rollout(command) => rollout::run(&global, command).await,
        Command::Pods(command) => pods::run(&global, command).await,
        Command::Jobs(command) => jobs::run(&global, command).await,
        Command::CronJobs(command) => cronjobs::run(&global, command).await,
        Command::Helmfile(command) => helmfile::run(&global, command).await,
        // `usher lock run` is above.
        Command::Lock(_) => lock::show(&global).await,
        Command::Agent(command) => agent::run(&global, command).await,
        Command::Clusters(command) => clusters::run(&global, command),
        Command::Config(command) => config::run(&global, command).await,
        Command::Certificates(command) => certificates::run(&global, command),
        Command::Staging(command) => staging::run(&global, command).await,
        Command::Report(arguments) => report_page::report_page(&global, &arguments),
        Command::Completion { shell } => completion::script(shell),
        Command::Version => version::version(&global).await,
        Command::Versions => versions::versions(&global).await,
    };
    ended.map_or_else(tell, Ended::Usher)
}

/// The site that the command is about.
fn site(global: &Global) -> Result<Site, Problem> {
    choose::site(global)
}

/// A connection to the site's cluster.
async fn cluster(global: &Global, site: &Site) -> Result<Cluster, Problem> {
    let access = choose::access(global, site)?;
    Ok(Cluster::connect(site.name.as_deref(), &access).await?.with_notices(output::progress).with_credentials().await)
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
