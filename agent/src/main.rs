//! `usher-agent`: see the library.

use std::{
    io::{Write as _, stderr, stdout},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use usher_agent::{
    agent::Agent,
    arguments::{Arguments, Check},
    check::{self, Account},
    config::Config,
    local, logging, notify, wait,
};

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if let Some(command) = arguments.command.take() {
        return local::main(command);
    }
    match run(arguments) {
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
    if let Some(what) = arguments.check_config {
        return check_config(&arguments, what);
    }
    logging::init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Before the agent is ready: without a handler, SIGHUP would kill an agent that systemd believes to be running.
    let mut hangup = signal(SignalKind::hangup())?;
    let config = tokio::select! {
        biased;
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
        config = wait::for_files(&arguments.config) => config?,
    };
    let mut agent = Agent::start(arguments.config, config).await?;
    notify::ready();
    loop {
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // An end of the process is what systemd notices: the runtime still feeds the watchdog.
            why = agent.ended() => bail!("the agent serves nobody any more: {why}"),
            Some(()) = hangup.recv() => agent.live().reload(),
        }
    }
    notify::stopping();
    agent.stop().await;
    Ok(())
}

fn check_config(arguments: &Arguments, what: Check) -> anyhow::Result<()> {
    let file = &arguments.config;
    let config = Config::load(file)?;
    if what == Check::Files {
        let problems = check::files(file, &config, Account::of_agent().as_ref());
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
    }
    writeln!(stdout(), "{}: ok", file.display()).context("cannot write to stdout")
}
