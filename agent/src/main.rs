//! `usher-agent`: see the library.

use std::{
    io::{Write as _, stderr, stdout},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use usher_agent::{agent::Agent, arguments::Arguments, config::Config, door::tls::Credentials, logging, notify};
use usher_common::clock;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr is closed, there is nowhere left to report to.
            let _ = writeln!(stderr(), "usher-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Threads that wait for the disk. The unit's TasksMax has room for them and for journalctl; a disk that hangs must not take more.
const BLOCKING_THREADS: usize = 32;

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().max_blocking_threads(BLOCKING_THREADS).build()?.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config::load(&arguments.config)?;
    if arguments.check_config {
        let credentials = Credentials::load(&config.tls)?;
        if let Some(unfit) = credentials.unfit(&config.tls, &config.node, clock::now()) {
            anyhow::bail!("callers would not accept {}: {unfit}", config.tls.certificate.display());
        }
        return writeln!(stdout(), "{}: ok", arguments.config.display()).context("cannot write to stdout");
    }
    logging::init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Before the agent is ready: without a handler, SIGHUP would kill an agent that systemd believes to be running.
    let mut hangup = signal(SignalKind::hangup())?;
    let agent = Agent::start(arguments.config, config).await?;
    notify::ready();
    loop {
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(()) = hangup.recv() => agent.live().reload(),
        }
    }
    notify::stopping();
    agent.stop().await;
    Ok(())
}
