//! The CLI `usher`.

use std::{env, process::ExitCode, thread};

use clap::FromArgMatches as _;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use usher_coordinator::{
    cli::{CalledAs, Cli, Color},
    commands::{self, Ended, completion},
    exit::Exit,
    output,
};

fn main() -> ExitCode {
    let mut words = env::args_os();
    let called = CalledAs::of(&words.next().unwrap_or_default());
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        output::progress("error: another TLS provider was installed first");
        return Exit::Failed.into();
    }
    if called == CalledAs::PluginCompletion {
        output::result(&completion::answer_kubectl(words.collect()));
        return output::end(Exit::Done).into();
    }
    if let Some(shell) = env::var_os(completion::VARIABLE) {
        // A shell that asks something else than its script does gets no answer, and no error in the midst of a line.
        output::verbatim(&completion::answer(&shell, words.collect()).unwrap_or_default());
        return output::end(Exit::Done).into();
    }
    let parsed =
        called.command().try_get_matches_from(env::args_os()).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // Help that cannot be written has no reader.
            let _ = error.print();
            return exit.into();
        }
    };
    match cli.global.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    if cli.global.is_for_programs() {
        output::only_events();
    }
    if cli.global.no_headers {
        output::leave_out_headers();
    }
    log_to_stderr(cli.global.verbose);
    raise_the_limit_of_descriptors();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.worker_threads(threads()).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::progress(&format!("error: cannot start: {error}"));
            return Exit::Failed.into();
        }
    };
    let ended = runtime.block_on(commands::run(cli));
    // A look-up of a name that hangs in the system's resolver must not hold up the end.
    runtime.shutdown_background();
    match ended {
        Ended::Usher(exit) => output::end(exit).into(),
        Ended::Other(code) => ExitCode::from(code),
    }
}

/// Threads for connections. Commands themselves run on the main thread; only thousands of agents at once give others something to do.
const MOST_THREADS: usize = 4;

fn threads() -> usize {
    thread::available_parallelism().map_or(1, |processors| processors.get().min(MOST_THREADS))
}

/// Descriptors that usher wants to be allowed. Children inherit the limit, and some of them close every descriptor below it one by
/// one: the billion that containers may set would take them minutes.
const DESCRIPTORS: rlim_t = 65_536;

/// Raises the soft limit of descriptors, of which each connection to an agent needs one. The 1,024 that a shell passes on are there
/// for programs that use select(2).
fn raise_the_limit_of_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(DESCRIPTORS);
        if soft < wanted { setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

fn log_to_stderr(verbose: u8) {
    // kube logs each request that fails as an error of its own; the command says so already, in its words.
    let level = match verbose {
        0 => "error,kube_client=off,usher=warn",
        1 => "warn,kube_client=off,usher=debug",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("USHER_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    // The writer takes colour away again where standard error wants none.
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(true);
    logs.with_writer(|| output::Log).init();
}
