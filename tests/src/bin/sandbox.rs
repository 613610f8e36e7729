//! `sandbox`: usher on fake machines, to see and to try.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};
use usher_testkit::sandbox::{Programs, Sandbox, ask_balancer, demo, helmfile};

/// The shipped usher and five shipped agents on fake machines: no root, no set-up.
#[derive(Debug, Parser)]
#[command(name = "sandbox", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start it, run the main commands on it, and end it
    Demo,
    /// Start it, say how to use it, and stay until ^C
    Up,
    /// Change or ask the pool of a sandbox's load balancer; `check` exits with 0 if the machine is in it
    Balancer {
        socket: PathBuf,
        #[arg(value_parser = ["depool", "pool", "check"])]
        verb: String,
        machine: String,
    },
    /// Stand in for helmfile, in the folder of a sandbox's service
    Helmfile {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // Where stderr is gone there is nobody to tell.
            let _ = writeln!(io::stderr(), "sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(command: Verb) -> anyhow::Result<ExitCode> {
    // An error here means that a provider is installed, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command {
        Verb::Balancer { socket, verb, machine } => {
            let (answer, in_pool) = ask_balancer(&socket, &verb, &machine).await?;
            say(&answer);
            return Ok(if verb == "check" && !in_pool { ExitCode::FAILURE } else { ExitCode::SUCCESS });
        }
        Verb::Helmfile { arguments } => return Ok(helmfile(&arguments, &say).await?.into()),
        Verb::Demo => {
            until_signal(async {
                let (sandbox, programs) = start().await?;
                let begun = Instant::now();
                demo(sandbox, &programs, &control()?, &say).await?;
                say(&format!(
                    "\nThat was {:.0} s. To try it yourself: cargo run -p usher-testkit --bin sandbox -- up",
                    begun.elapsed().as_secs_f64()
                ));
                Ok(())
            })
            .await?;
        }
        Verb::Up => {
            until_signal(async {
                let (sandbox, programs) = start().await?;
                say(&usage(&sandbox, &programs));
                std::future::pending().await
            })
            .await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn start() -> anyhow::Result<(Sandbox, Programs)> {
    let programs = Programs::find()?;
    let begun = Instant::now();
    let sandbox = Sandbox::start(&programs, &control()?).await?;
    say(&format!(
        "A sandbox: cp1, cp2, cp3 (control plane), w1, w2 (nodes), {} (API), up after {:.1} s.",
        sandbox.url(),
        begun.elapsed().as_secs_f64()
    ));
    Ok((sandbox, programs))
}

/// This program: the sandbox's pool commands run it.
fn control() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("find out where this program is")
}

/// Whatever is going on is dropped at a signal, and with it all processes and files.
async fn until_signal(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        done = work => done,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

fn usage(sandbox: &Sandbox, programs: &Programs) -> String {
    let (folder, programs) = (sandbox.folder().display(), programs.folder().display());
    format!(
        r#"
In another shell:

    export USHER_CLUSTER_FILE={folder}/cluster.toml KUBECONFIG={folder}/kubeconfig PATH="{programs}:$PATH"
    usher status
    usher restart kube-scheduler -r 'to see it'
    usher reboot w1 -r 'to see it'
    kubectl get nodes,pods -A

A machine's agent writes {folder}/NAME/agent.log; a file {folder}/NAME/hold forbids changes on it.
^C ends everything and removes the folder."#
    )
}

fn say(text: &str) {
    // A reader that has gone does not stop the demonstration from ending its processes.
    let _ = writeln!(io::stdout(), "{text}");
}
