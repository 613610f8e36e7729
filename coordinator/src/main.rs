//! The CLI `usher`.

use std::process::ExitCode;

use clap::Parser as _;
use usher_coordinator::{
    cli::{Cli, Color},
    commands::{self, Ended},
    exit::Exit,
    output,
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
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
    log_to_stderr(cli.global.verbose);
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        output::progress("error: another TLS provider was installed first");
        return Exit::Failed.into();
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
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
