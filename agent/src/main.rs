//! `usher-agent`: see the library.

use std::{
    env,
    io::{Write as _, stderr, stdout},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Parser as _;
use futures::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use usher_agent::{
    agent::{Agent, Edges, End, Successor},
    arguments::{Arguments, Check},
    binary::Binary,
    check::{self, Account},
    door::Door,
    local, logging, notify,
    sockets::Sockets,
    wait,
};

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if let Some(command) = arguments.command.take() {
        return local::main(command);
    }
    if arguments.descriptor_set {
        return answer(stdout().write_all(usher_proto::FILE_DESCRIPTOR_SET).context("cannot write to stdout"));
    }
    answer(run(arguments))
}

fn answer(result: anyhow::Result<()>) -> ExitCode {
    match result {
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

/// How long a write may take that is under way when another binary is to be executed.
const LAST_WRITES: Duration = Duration::from_secs(3);

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut sockets = Sockets::inherit().context("cannot open /dev/null")?;
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    let Some((binary, successor)) = runtime.block_on(serve(arguments, &mut sockets))? else { return Ok(()) };
    runtime.shutdown_timeout(LAST_WRITES);
    let mut command = binary.command();
    command.args(env::args_os().skip(1));
    let Successor { version, socket, .. } = successor;
    // It has been tried out. systemd starts it if it cannot be executed all the same.
    let error = sockets.execute(command, socket);
    Err(error).with_context(|| format!("cannot execute usher-agent {version}"))
}

/// Serves callers until the agent is told to stop, or until another binary is to be executed in its place.
async fn serve(arguments: Arguments, sockets: &mut Sockets) -> anyhow::Result<Option<(Binary, Successor)>> {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Some(what) = arguments.check_config {
        return check_config(&arguments, what).map(|()| None);
    }
    logging::init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Before the agent is ready: without a handler, SIGHUP would kill an agent that systemd believes to be running.
    let mut hangup = signal(SignalKind::hangup())?;
    let config = tokio::select! {
        biased;
        _ = terminate.recv() => return Ok(None),
        _ = interrupt.recv() => return Ok(None),
        config = wait::for_configuration(&arguments.config) => config?,
    };
    let binary =
        Binary::of_this_process().context("the kernel does not tell which binary this is; is /proc mounted?")?;
    let mut edges = Edges { binary: Some(binary.clone()), ..Edges::of(&config) };
    if let Some(socket) = sockets.callers(config.listen) {
        edges.door = Door::Inherited(socket);
    }
    let mut agent = Agent::start_on(arguments.config, config, edges).await?;
    notify::ready();
    let successor = loop {
        tokio::select! {
            biased;
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            end = agent.end() => match end {
                // An end of the process is what systemd notices: the runtime still feeds the watchdog.
                End::Broken(why) => bail!("the agent serves nobody any more: {why}"),
                End::Replaced(successor) => break Some(successor),
            },
            Some(()) = hangup.recv() => agent.live().reload_soon(),
        }
    };
    let Some(successor) = successor else {
        notify::stopping();
        agent.stop().await;
        return Ok(None);
    };
    info!(version = successor.version, "nobody needs the agent now; it executes the binary that is installed");
    notify::executing(&successor.version);
    agent.give_way().await;
    // A signal of the meantime would be lost on the other binary.
    let told_to_stop = terminate.recv().now_or_never().or_else(|| interrupt.recv().now_or_never()).is_some();
    Ok((!told_to_stop).then_some((binary, successor)))
}

fn check_config(arguments: &Arguments, what: Check) -> anyhow::Result<()> {
    let file = &arguments.config;
    check::check(file, what, Account::of_agent().as_ref())?;
    writeln!(stdout(), "{}: ok", file.display()).context("cannot write to stdout")
}
