//! One process with all that it starts: a group of its own, its lines, and signals that grow more urgent.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

/// Lines that wait for their reader.
const WAITING_LINES: usize = 50;

/// How long to go on reading after the process has ended. One that it left behind may hold the pipe, and write to it, for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Output,
    Error,
}

/// A signal, and how long a process is given before the next one of the ladder. The last one is SIGKILL.
pub(super) type Rung = (Signal, Duration);

/// From SIGTERM to SIGKILL.
pub(super) const TERM: Rung = (Signal::SIGTERM, Duration::from_secs(2));

/// What ends a process before it ends by itself.
pub(super) struct Limits<'a, Stop, Leave> {
    /// Sends SIGINT, once, and leaves the process all the time that it has.
    pub(super) stop: Stop,
    /// Sends SIGTERM, then SIGKILL.
    pub(super) leave: Leave,
    /// None: it may take as long as it likes.
    pub(super) deadline: Option<Instant>,
    /// What is sent from the deadline on, one after the other.
    pub(super) ladder: &'a [Rung],
}

/// How a process ended.
pub(super) struct Ended {
    pub(super) status: io::Result<ExitStatus>,
    /// The deadline passed first.
    pub(super) timed_out: bool,
}

/// A process that runs.
pub(super) struct Process {
    child: Child,
    group: Group,
}

impl Process {
    /// Starts it in a process group of its own, without a terminal.
    pub(super) fn start(command: &mut Command) -> Result<Self, String> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot be run: {error}"))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self { child, group: Group(id.map(Pid::from_raw)) })
    }

    /// Gives every line to `line` until the process ends. Bytes that are no UTF-8 are replaced.
    pub(super) async fn follow<Stop: Future<Output = ()>, Leave: Future<Output = ()>>(
        self,
        limits: Limits<'_, Stop, Leave>,
        mut line: impl FnMut(Stream, String),
    ) -> Ended {
        let Self { mut child, mut group } = self;
        let (sender, mut lines) = mpsc::channel(WAITING_LINES);
        if let (Some(output), Some(error)) = (child.stdout.take(), child.stderr.take()) {
            tokio::spawn(read_lines(Stream::Output, output, sender.clone()));
            tokio::spawn(read_lines(Stream::Error, error, sender));
        }
        let Limits { stop, leave, mut deadline, mut ladder } = limits;
        let (mut timed_out, mut stopped, mut left) = (false, false, false);
        let status = {
            let (mut wait, mut stop, mut leave) =
                (std::pin::pin!(child.wait()), std::pin::pin!(stop), std::pin::pin!(leave));
            loop {
                tokio::select! {
                    // A process that never stops writing must not outrun its deadline.
                    biased;
                    status = &mut wait => break status,
                    () = &mut leave, if !left => {
                        left = true;
                        ladder = &[TERM];
                        deadline = Some(Instant::now());
                    }
                    () = &mut stop, if !stopped => {
                        stopped = true;
                        group.signal(Signal::SIGINT);
                    }
                    () = passes(deadline) => {
                        timed_out |= !left;
                        let Some(((signal, grace), rest)) = ladder.split_first() else {
                            group.signal(Signal::SIGKILL);
                            break wait.await;
                        };
                        group.signal(*signal);
                        ladder = rest;
                        deadline = Some(Instant::now() + *grace);
                    }
                    Some((stream, text)) = lines.recv() => line(stream, text),
                }
            }
        };
        group.ended();
        let mut enough = std::pin::pin!(sleep(OUTPUT_GRACE));
        loop {
            tokio::select! {
                biased;
                () = &mut enough => break,
                next = lines.recv() => match next {
                    Some((stream, text)) => line(stream, text),
                    None => break,
                },
            }
        }
        Ended { status, timed_out }
    }
}

async fn passes(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Why a process has no exit code.
pub(super) fn killed_by(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt as _;
    let number = status.signal()?;
    let name = Signal::try_from(number).map_or_else(|_| number.to_string(), |signal| signal.as_str().to_owned());
    Some(format!("killed by {name}"))
}

/// Sends lines until the pipe is closed or nobody wants them.
async fn read_lines(stream: Stream, pipe: impl AsyncRead + Unpin, lines: mpsc::Sender<(Stream, String)>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(1..) = pipe.read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if lines.send((stream, text)).await.is_err() {
            return;
        }
        line.clear();
    }
}

/// The process group; killed when it is dropped before the process has ended.
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
