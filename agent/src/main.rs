//! `usher-agent`: see the library.

use std::{
    io::{Write as _, stderr, stdout},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use usher_agent::{agent::Agent, arguments::Arguments, config::Config, logging, notify, tls::Credentials};

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where stderr is gone there is nobody to tell.
            let _ = writeln!(stderr(), "usher-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // An error here means that a provider is installed, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config::load(&arguments.config)?;
    if arguments.check_config {
        Credentials::load(&config.tls)?;
        return writeln!(stdout(), "{}: ok", arguments.config.display()).context("cannot write to stdout");
    }
    logging::init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let agent = Agent::start(arguments.config, config).await?;
    notify::ready();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    notify::stopping();
    agent.stop().await;
    Ok(())
}
