//! Runs the site's own commands: those that take an apiserver out of a load balancer's pool and put it back.
//!
//! A command gets no shell and no terminal, a process group of its own, so that a ^C at usher does not reach it, and a time
//! limit.

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::text::took;

/// What an outcome keeps of the output: the last lines, each cut to this many characters.
const KEPT_LINES: usize = 50;
const KEPT_CHARACTERS: usize = 500;

/// From SIGTERM at the time limit to SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// How long to go on reading after the command has ended. A process that it left behind may hold the pipe, and write to it,
/// for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

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

impl CommandOutcome {
    /// Whether it ended with exit code 0.
    pub fn succeeded(&self) -> bool {
        self.exit == Some(0)
    }

    /// The end in a few words: `exit code 3`, `not done after 30.0s, killed`, `cannot be run: …`.
    pub fn how(&self) -> String {
        match (&self.problem, self.exit) {
            (Some(problem), _) => problem.clone(),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => "killed".into(),
        }
    }
}

/// Runs a command, with `{NAME}` in its arguments replaced by the values, for at most `limit`.
///
/// This never fails: the outcome says what went wrong.
pub async fn run(argv: &[String], values: &[(&str, &str)], limit: Duration) -> CommandOutcome {
    let started = Instant::now();
    let argv: Vec<String> = argv.iter().map(|argument| filled(argument, values)).collect();
    let mut outcome =
        CommandOutcome { argv, exit: None, timed_out: false, problem: None, output: Vec::new(), took: Duration::ZERO };
    match spawn(&outcome.argv) {
        Ok((child, group)) => supervise(child, group, started + limit, limit, &mut outcome).await,
        Err(problem) => outcome.problem = Some(problem),
    }
    outcome.took = started.elapsed();
    outcome
}

fn spawn(argv: &[String]) -> Result<(Child, Group), String> {
    let (program, arguments) = argv.split_first().ok_or("cannot be run: it is empty")?;
    #[allow(clippy::disallowed_methods)] // the one place that runs the site's commands
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot be run: {error}"))?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    Ok((child, Group(id.map(Pid::from_raw))))
}

async fn supervise(
    mut child: Child,
    mut group: Group,
    deadline: Instant,
    limit: Duration,
    outcome: &mut CommandOutcome,
) {
    let (sender, mut lines) = mpsc::channel(KEPT_LINES);
    if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
        tokio::spawn(read_lines(stdout, sender.clone()));
        tokio::spawn(read_lines(stderr, sender));
    }
    let status = {
        let mut wait = std::pin::pin!(child.wait());
        loop {
            tokio::select! {
                // A command that never stops writing must not outrun its time limit.
                biased;
                status = timeout_at(deadline, &mut wait) => match status {
                    Ok(status) => break status,
                    Err(_) => {
                        outcome.timed_out = true;
                        group.signal(Signal::SIGTERM);
                        match timeout(TERM_GRACE, &mut wait).await {
                            Ok(status) => break status,
                            Err(_) => {
                                group.signal(Signal::SIGKILL);
                                break wait.await;
                            }
                        }
                    }
                },
                Some(line) = lines.recv() => keep(&mut outcome.output, line),
            }
        }
    };
    group.ended();
    let mut enough = std::pin::pin!(sleep(OUTPUT_GRACE));
    loop {
        tokio::select! {
            biased;
            () = &mut enough => break,
            line = lines.recv() => match line {
                Some(line) => keep(&mut outcome.output, line),
                None => break,
            },
        }
    }
    match status {
        _ if outcome.timed_out => outcome.problem = Some(format!("not done after {}, killed", took(limit))),
        Ok(status) => {
            outcome.exit = status.code();
            outcome.problem = killed_by(status);
        }
        Err(error) => outcome.problem = Some(format!("cannot be waited for: {error}")),
    }
}

fn killed_by(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt as _;
    let number = status.signal()?;
    let name = Signal::try_from(number).map_or_else(|_| number.to_string(), |signal| signal.as_str().to_owned());
    Some(format!("killed by {name}"))
}

/// Sends lines until the pipe is closed or nobody wants them. Bytes that are no UTF-8 are replaced.
async fn read_lines(pipe: impl AsyncRead + Unpin, lines: mpsc::Sender<String>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(1..) = pipe.read_until(b'\n', &mut line).await {
        let text: String = String::from_utf8_lossy(&line).trim_end().chars().take(KEPT_CHARACTERS).collect();
        if lines.send(text).await.is_err() {
            return;
        }
        line.clear();
    }
}

fn keep(output: &mut Vec<String>, line: String) {
    if output.len() == KEPT_LINES {
        output.remove(0);
    }
    output.push(line);
}

fn filled(argument: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(argument.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// The command's process group; killed when it is dropped before the command has ended.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // It may have ended a moment ago.
            let _ = killpg(group, signal);
        }
    }

    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    /// Whether a process is gone, or dead and not yet reaped by init. A busy machine takes a while to carry out a kill.
    #[allow(clippy::disallowed_methods)] // /proc is no disk
    async fn ends(process: Pid) -> bool {
        let patience = Instant::now() + LONG;
        while Instant::now() < patience {
            let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    #[tokio::test]
    async fn a_command_ends_with_its_code_and_its_output() {
        let outcome = run(&shell("echo one; echo two >&2; exit 3"), &[], LONG).await;
        let mut output = outcome.output.clone();
        output.sort();
        assert_eq!((outcome.exit, outcome.succeeded(), output), (Some(3), false, vec!["one".into(), "two".into()]));
        assert_eq!(outcome.how(), "exit code 3");
        assert!(run(&shell("true"), &[], LONG).await.succeeded());
    }

    #[tokio::test]
    async fn values_are_filled_in_and_nothing_else_is() {
        let argv = ["printf", "%s", "{node} {address} {other} $HOME"].map(str::to_owned);
        let outcome = run(&argv, &[("node", "cp1"), ("address", "10.0.0.1")], LONG).await;
        assert_eq!(outcome.output, ["cp1 10.0.0.1 {other} $HOME"]);
        assert_eq!(outcome.argv[2], "cp1 10.0.0.1 {other} $HOME");
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_killed_with_its_children() {
        let script = "trap '' TERM; sleep 300 & echo $!; wait; sleep 300";
        let outcome = run(&shell(script), &[], Duration::from_secs(2)).await;
        assert_eq!((outcome.exit, outcome.timed_out), (None, true));
        assert_eq!(outcome.how(), "not done after 2.0s, killed");
        let child = Pid::from_raw(outcome.output[0].parse().unwrap());
        assert!(ends(child).await, "{child} goes on");
    }

    #[tokio::test]
    async fn a_process_left_behind_does_not_hold_us() {
        let started = Instant::now();
        let outcome = run(&shell("echo done; sleep 60 & exit 0"), &[], LONG).await;
        assert!(outcome.succeeded());
        assert_eq!(outcome.output, ["done"]);
        assert!(started.elapsed() < LONG);
    }

    #[tokio::test]
    async fn a_process_left_behind_that_goes_on_writing_does_not_hold_us() {
        let script = "(while sleep 0.1; do echo more; done) & echo $!";
        let outcome = timeout(LONG, run(&shell(script), &[], LONG)).await.unwrap();
        assert!(outcome.succeeded() && outcome.took < LONG / 2, "{outcome:?}");
        assert!(outcome.output.contains(&"more".to_owned()), "{outcome:?}");
        let left = Pid::from_raw(outcome.output[0].parse().unwrap());
        // Its pipe is closed, so its next line ends it.
        assert!(ends(left).await, "{left} goes on");
    }

    #[tokio::test]
    async fn a_command_that_does_not_exist_or_is_killed_is_said() {
        let outcome = run(&["/nonexistent/confctl".to_owned()], &[], LONG).await;
        assert_eq!(outcome.how(), "cannot be run: No such file or directory (os error 2)");
        let outcome = run(&shell("kill -9 $$"), &[], LONG).await;
        assert_eq!((outcome.how().as_str(), outcome.exit), ("killed by SIGKILL", None));
    }

    #[tokio::test]
    async fn only_the_last_lines_of_much_output_are_kept() {
        let outcome = run(&shell("seq 1 2000"), &[], LONG).await;
        assert_eq!(outcome.output.len(), KEPT_LINES);
        assert_eq!(outcome.output.last().unwrap(), "2000");
    }
}
