//! How a command ends without an operation: the exit code, what happened, and what to do next.

use usher_common::config_file::FileError;

use crate::{
    cluster::{ClusterError, ConnectError, LockError},
    drain::DrainError,
    exit::Exit,
    node::NodeError,
    plan::Refusal,
    words,
};

/// A command that ended early.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    message: String,
    lines: Vec<String>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), lines: Vec::new() }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(super) fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self.exit {
            Exit::Refused | Exit::Locked => "refused",
            Exit::TimedOut => "timed out",
            _ => "error",
        };
        writeln!(f, "{word}: {}", self.message)?;
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        let nothing = if matches!(self.exit, Exit::Refused | Exit::Locked) { "nothing was changed " } else { "" };
        write!(f, "{nothing}(exit {})", self.exit.code())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let lines = refusal.details.into_iter().chain(refusal.hints).collect();
        Self { exit: Exit::Refused, message: refusal.what, lines }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::usage(words::chain(&error))
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::usage(words::chain(&error))
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        let failure = Self::new(Exit::Failed, words::chain(&error));
        if error.is_unreachable() {
            return failure.line(
                "if the API is down, agents can still be asked: usher agent status NODE; usher agent units NODE",
            );
        }
        if error.is_forbidden() {
            return failure.line("usher needs the rights in its ClusterRole; see who you are: kubectl auth whoami");
        }
        failure
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let exit = match &error {
            NodeError::Refused { .. } => Exit::Refused,
            NodeError::TimedOut { .. } => Exit::TimedOut,
            NodeError::Config { .. } => Exit::Usage,
            _ => Exit::Failed,
        };
        Self { lines: error.hint().into_iter().collect(), ..Self::new(exit, words::chain(&error)) }
    }
}

impl From<DrainError> for Failure {
    fn from(error: DrainError) -> Self {
        Self::new(Exit::Failed, words::chain(&error))
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held(holder) => {
                let renewed = holder.renewed.map(|at| words::age(at, jiff::Timestamp::now())).unwrap_or_default();
                Self::new(
                    Exit::Locked,
                    format!(
                        "the lock is held by {} (operation {}, {:?}, renewed {renewed} ago)",
                        holder.requester, holder.operation, holder.reason
                    ),
                )
                .line("wait for it to end; a lock whose holder died is free a minute after its last renewal")
            }
            LockError::Cluster(error) => error.into(),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Failed, format!("{error:#}"))
    }
}
