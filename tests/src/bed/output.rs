//! What a program said and how it ended.

use std::{ffi::OsStr, fmt, process::Stdio, time::Duration};

use anyhow::{Context, ensure};
use tokio::{io::AsyncWriteExt, process::Command, time::Instant};

/// The end of a program that was run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// What was run, as one would type it.
    pub command: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Output {
    /// Runs `program` with nothing on its stdin.
    pub(super) async fn of<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: &[S]) -> anyhow::Result<Self> {
        Self::with_input(program, arguments, &[]).await
    }

    /// Runs `program` and writes `input` to its stdin. It dies with the future.
    pub(super) async fn with_input<S: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        arguments: &[S],
        input: &[u8],
    ) -> anyhow::Result<Self> {
        Self::watched(program, arguments, input, async |_| {}).await
    }

    /// The same, with an eye on the process while it runs: `watch` is given its id, and dropped when it has ended.
    pub(super) async fn watched<S: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        arguments: &[S],
        input: &[u8],
        watch: impl AsyncFnOnce(u32),
    ) -> anyhow::Result<Self> {
        let program = program.as_ref();
        let words = std::iter::once(program).chain(arguments.iter().map(AsRef::as_ref));
        let command = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
        let begin = Instant::now();
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {command}"))?;
        let (pid, stdin) = (child.id(), child.stdin.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read its input to the end is no failure of ours.
                let _ = stdin.write_all(input).await;
            }
        };
        let watching = async {
            if let Some(pid) = pid {
                watch(pid).await;
            }
            std::future::pending().await
        };
        let output = async { tokio::join!(feed, child.wait_with_output()) };
        let ((), output) = tokio::select! {
            ended = output => ended,
            never = watching => never,
        };
        let output = output.with_context(|| format!("lost {command}"))?;
        Ok(Self {
            command,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: begin.elapsed(),
        })
    }

    /// The output, if the program ended with 0.
    ///
    /// # Errors
    /// Otherwise, with all that it said.
    pub fn success(self) -> anyhow::Result<Self> {
        ensure!(self.code == Some(0), "{self}");
        Ok(self)
    }

    /// Stdout as JSON.
    ///
    /// # Errors
    /// If it is none, with all that the program said.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self}"))
    }

    /// Whether the program said this on either stream.
    pub fn says(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "`{}` ended with {code} after {:.1?}", self.command, self.took)?,
            None => write!(f, "`{}` was ended by a signal after {:.1?}", self.command, self.took)?,
        }
        for (stream, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.trim().is_empty() {
                write!(f, "\n{stream}:\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}
