//! `bed`: the real test bed on the command line.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use tokio::time::Instant;
use usher_testkit::bed::{
    Bed, CONTROL_PLANES, Folder, Link, MACHINES, Output, Rotation, machine, run_init, run_supervisor,
};

/// Five systemd machines with a real Kubernetes cluster on them, in one sandbox of this host.
#[derive(Debug, Parser)]
#[command(name = "bed", max_term_width = 100)]
struct Arguments {
    /// Folder of the bed [default: target/bed of the work tree]
    #[arg(long, global = true, env = "USHER_BED")]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a bed, or bring the agents of the one that runs up to date
    Up,
    /// End the bed and remove all that it has left
    Down,
    /// Put right what faults have left, and wait until the cluster is whole
    Restore,
    /// Show machines, and which apiservers are in rotation
    Status,
    /// Run a command on a machine
    Exec {
        machine: String,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run usher against the bed
    Usher {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run kubectl against the bed
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// A shell in the bed's network, with usher and kubectl in its path
    Shell,
    /// Take a control plane out of the balancer's pool
    Depool { machine: String },
    /// Put a control plane back into the pool
    Pool { machine: String },
    /// Exit with 0 if the balancer sends new connections to a control plane
    InPool { machine: String },
    /// Reboot a machine and wait for it
    Reboot { machine: String },
    /// Switch a machine off in an orderly way
    PowerOff { machine: String },
    /// Take a machine's power away: unsynced data is lost
    PowerLoss { machine: String },
    /// Switch a machine on and wait for it
    PowerOn { machine: String },
    /// Stop every process of a machine
    Hang { machine: String },
    /// Let a machine go on
    Thaw { machine: String },
    /// Part two machines, or a machine and `sandbox` (the balancer and usher)
    Cut {
        from: String,
        to: String,
        /// Only what the first sends to the second is lost
        #[arg(long)]
        one_way: bool,
    },
    /// End all cuts
    Heal,
    /// Plug a machine's network cable in or out
    Link {
        machine: String,
        #[arg(value_parser = ["up", "down"])]
        state: String,
    },
    /// Keep a machine from coming back from its next reboot
    RefuseReturn { machine: String },
    /// Let a machine come back
    AllowReturn { machine: String },
    #[command(hide = true, subcommand)]
    Internal(Internal),
}

/// What the bed runs inside the sandbox.
#[derive(Debug, Subcommand)]
enum Internal {
    Init { folder: PathBuf },
    Machine { folder: PathBuf, name: String },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(Arguments { folder, command }: Arguments) -> anyhow::Result<ExitCode> {
    // Before any thread exists: it takes this one into namespaces of its own.
    if let Verb::Internal(Internal::Machine { folder, name }) = &command {
        run_supervisor(&Folder::at(folder)?, machine(name)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        bail!("another TLS provider is installed already");
    }
    let folder = match folder {
        Some(path) => Folder::at(&path)?,
        None => Folder::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(execute(folder, command))
}

async fn execute(folder: Folder, command: Verb) -> anyhow::Result<ExitCode> {
    match command {
        Verb::Internal(Internal::Init { folder }) => run_init(&Folder::at(&folder)?).await?,
        Verb::Internal(Internal::Machine { .. }) => bail!("handled before"),
        Verb::Up => up(folder).await?,
        Verb::Down => Bed::down(&folder).await?,
        command => {
            let bed = Bed::attach(folder)?.context("no bed runs here: make bed (or: bed up)")?;
            return on(&bed, command).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn on(bed: &Bed, command: Verb) -> anyhow::Result<ExitCode> {
    match command {
        Verb::Up | Verb::Down | Verb::Internal(_) => bail!("needs no running bed"),
        Verb::Restore => bed.restore().await?,
        Verb::Status => status(bed).await?,
        Verb::Exec { machine, command } => return told(bed.exec(&machine, &words(&command)).await?),
        Verb::Usher { arguments } => return Err(replace(bed, "usher", &arguments)),
        Verb::Kubectl { arguments } => return Err(replace(bed, "kubectl", &arguments)),
        Verb::Shell => return Err(shell(bed)),
        Verb::Depool { machine } => bed.depool(&machine).await?,
        Verb::Pool { machine } => bed.pool(&machine).await?,
        Verb::InPool { machine } => return in_pool(bed, &machine).await,
        Verb::Reboot { machine } => bed.reboot(&machine).await?,
        Verb::PowerOff { machine } => bed.power_off(&machine).await?,
        Verb::PowerLoss { machine } => bed.power_loss(&machine).await?,
        Verb::PowerOn { machine } => bed.power_on(&machine).await?,
        Verb::Hang { machine } => bed.hang(&machine).await?,
        Verb::Thaw { machine } => bed.thaw(&machine).await?,
        Verb::Cut { from, to, one_way: true } => bed.cut_one_way(&from, &to).await?,
        Verb::Cut { from, to, one_way: false } => bed.cut(&from, &to).await?,
        Verb::Heal => bed.heal().await?,
        Verb::Link { machine, state } => {
            let link = if state == "up" { Link::Up } else { Link::Down };
            bed.link(&machine, link).await?;
        }
        Verb::RefuseReturn { machine } => bed.refuse_return(&machine)?,
        Verb::AllowReturn { machine } => bed.allow_return(&machine)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn up(folder: Folder) -> anyhow::Result<()> {
    let begin = Instant::now();
    let say = move |line: &str| {
        let _ = writeln!(io::stdout(), "{:>6.1}s  {line}", begin.elapsed().as_secs_f64());
    };
    let bed = Bed::start(folder, &say).await?;
    let scripts = bed.folder().scripts();
    say(&format!(
        "done. Use it with:\n\n  {0}/usher status\n  {0}/kubectl get nodes,pods --output wide\n  make bed-down\n",
        scripts.display()
    ));
    Ok(())
}

async fn status(bed: &Bed) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for machine in &MACHINES {
        let state = bed.state(machine.name)?;
        let power = format!("{:?}", state.power).to_lowercase();
        write!(out, "{:<4} {:<11} {:<8} {} boots", machine.name, machine.address, power, state.boots)?;
        if CONTROL_PLANES.contains(machine) {
            write!(out, ", {:?} in the balancer", bed.rotation(machine.name).await?)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

async fn in_pool(bed: &Bed, machine: &str) -> anyhow::Result<ExitCode> {
    let rotation = bed.rotation(machine).await?;
    writeln!(io::stdout(), "{machine}: {rotation:?}")?;
    Ok(if rotation == Rotation::Serving { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(output: Output) -> anyhow::Result<ExitCode> {
    io::stdout().write_all(output.stdout.as_bytes())?;
    io::stderr().write_all(output.stderr.as_bytes())?;
    let code = output.code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
    Ok(code.into())
}

/// Becomes one of the bed's scripts. Returns only if that fails.
fn replace(bed: &Bed, script: &str, arguments: &[String]) -> anyhow::Error {
    let path = bed.folder().scripts().join(script);
    let error = Command::new(&path).args(arguments).exec();
    anyhow::Error::new(error).context(format!("cannot run {}", path.display()))
}

/// Becomes a shell in the bed's network: this thread is in it already.
fn shell(bed: &Bed) -> anyhow::Error {
    let mut path = bed.folder().scripts().into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let error = Command::new(shell).env("PATH", path).env("USHER_CLUSTER_FILE", bed.folder().cluster_file()).exec();
    anyhow::Error::new(error).context("cannot run a shell")
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}
