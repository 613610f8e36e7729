//! Runs the site's own commands: those that take an apiserver out of a load balancer's pool and put it back, those that switch a
//! staging cluster, helmfile, and the credential plugins of kubeconfigs.
//!
//! A command gets no shell and no terminal, a process group of its own, so that a ^C at usher does not reach it, and a time
//! limit.

mod attached;
mod captured;
mod process;

use std::{env, fs, future::pending, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use nix::sys::signal::Signal;
use serde::Serialize;
use tokio::{process::Command, time::Instant};

use self::process::{Ended, Limits, Process, Rung, TERM, killed_by};
pub use self::{
    attached::attached,
    captured::{Captured, captured},
    process::Stream,
};
use crate::text::took;

/// What an outcome keeps of the output: the last lines, each cut to this many characters.
const KEPT_LINES: usize = 50;
const KEPT_CHARACTERS: usize = 500;

/// At the time limit of a program that is followed: helm records within a second that it was interrupted, and a release that it is
/// told to take back on failure needs a while.
const FOLLOWED: [Rung; 2] = [(Signal::SIGINT, Duration::from_secs(60)), TERM];

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandOutcome {
    /// The command as it was run, with the values in place.
    pub argv: Vec<String>,
    /// Its exit code; `None` if it was not started, or was killed.
    pub exit: Option<i32>,
    /// It was killed because it took too long.
    pub timed_out: bool,
    /// Why there is no exit code, in a few words.
    pub problem: Option<String>,
    /// The last lines that it wrote, to stdout and stderr, in the order in which they came.
    pub output: Vec<String>,
    /// How long it took.
    #[serde(rename = "tookSeconds", with = "usher_core::seconds")]
    pub took: Duration,
}

/// The answer of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
    /// It could not tell: any other exit code, a command that is not there, one that took too long.
    Unknown,
}

impl CommandOutcome {
    /// Whether it ended with exit code 0.
    pub fn succeeded(&self) -> bool {
        self.exit == Some(0)
    }

    /// What it answers, if it is a check: a command whose exit code is 0 for yes and 1 for no.
    pub fn answer(&self) -> Answer {
        match self.exit {
            Some(0) => Answer::Yes,
            Some(1) => Answer::No,
            _ => Answer::Unknown,
        }
    }

    /// The end in a few words: `exit code 3`, `not done after 30.0s, killed`, `cannot be run: …`.
    pub fn how(&self) -> String {
        match (&self.problem, self.exit) {
            (Some(problem), _) => problem.clone(),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => "killed".into(),
        }
    }

    fn of(argv: Vec<String>) -> Self {
        Self { argv, exit: None, timed_out: false, problem: None, output: Vec::new(), took: Duration::ZERO }
    }

    /// Keeps a line of the output.
    fn keep(&mut self, line: &str) {
        if self.output.len() == KEPT_LINES {
            self.output.remove(0);
        }
        self.output.push(line.chars().take(KEPT_CHARACTERS).collect());
    }

    fn end(&mut self, Ended { status, timed_out }: Ended, limit: Duration) {
        self.timed_out = timed_out;
        match status {
            _ if timed_out => self.problem = Some(format!("not done after {}, killed", took(limit))),
            Ok(status) => {
                self.exit = status.code();
                self.problem = killed_by(status);
            }
            Err(error) => self.problem = Some(format!("cannot be waited for: {error}")),
        }
    }
}

/// Runs a command, with `{NAME}` in its arguments replaced by the values, for at most `limit`.
///
/// This never fails: the outcome says what went wrong.
pub async fn run(argv: &[String], values: &[(&str, &str)], limit: Duration) -> CommandOutcome {
    let argv = filled(argv, values);
    let limits =
        Limits { stop: pending(), leave: pending(), deadline: Instant::now().checked_add(limit), ladder: &[TERM] };
    let command = command(&argv);
    carry_out(argv, command, limits, limit, &mut |_, _| {}).await
}

/// A program that is followed line by line.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Its name or path, and its arguments.
    pub argv: &'a [String],
    /// The folder in which it works.
    pub folder: &'a Path,
    /// Variables that it gets beside usher's own; without a value, those that are taken from it.
    pub variables: &'a [(String, Option<String>)],
    /// How long it may take, however long that is. Then it gets SIGINT, after a minute SIGTERM, and at last SIGKILL.
    pub limit: Duration,
}

/// Runs a program and gives each line to `line` as it comes. Once `stop` is ready the program gets SIGINT, as from a ^C of its own
/// terminal, and all the time that it has left; once `leave` is, SIGTERM and soon SIGKILL.
///
/// This never fails: the outcome says what went wrong.
pub async fn follow(
    program: Program<'_>,
    stop: impl Future<Output = ()>,
    leave: impl Future<Output = ()>,
    line: &mut dyn FnMut(Stream, &str),
) -> CommandOutcome {
    let limits = Limits { stop, leave, deadline: Instant::now().checked_add(program.limit), ladder: &FOLLOWED };
    let command = command(program.argv).map(|mut command| {
        command.current_dir(program.folder);
        for (name, value) in program.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    });
    carry_out(program.argv.to_vec(), command, limits, program.limit, line).await
}

/// Whether there is such a program: at its path, or in a folder of `PATH` if it has no slash.
pub fn is_program(program: &str) -> bool {
    let is_one = |path: &Path| fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        return is_one(Path::new(program));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| is_one(&folder.join(program)))
}

fn command(argv: &[String]) -> Result<Command, String> {
    let (program, arguments) = argv.split_first().ok_or("cannot be run: it is empty")?;
    #[allow(clippy::disallowed_methods)] // the one place that runs the site's commands
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

async fn carry_out(
    argv: Vec<String>,
    command: Result<Command, String>,
    limits: Limits<'_, impl Future<Output = ()>, impl Future<Output = ()>>,
    limit: Duration,
    line: &mut dyn FnMut(Stream, &str),
) -> CommandOutcome {
    let started = Instant::now();
    let mut outcome = CommandOutcome::of(argv);
    match command.and_then(|mut command| Process::start(&mut command)) {
        Ok(process) => {
            let ended = process.follow(limits, |stream, text| {
                outcome.keep(&text);
                line(stream, &text);
            });
            let ended = ended.await;
            outcome.end(ended, limit);
        }
        Err(problem) => outcome.problem = Some(problem),
    }
    outcome.took = started.elapsed();
    outcome
}

/// The arguments with `{NAME}` replaced by the values.
pub(crate) fn filled(argv: &[String], values: &[(&str, &str)]) -> Vec<String> {
    let fill = |argument: &String| {
        values.iter().fold(argument.clone(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    };
    argv.iter().map(fill).collect()
}

#[cfg(test)]
mod tests;
