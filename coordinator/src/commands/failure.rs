//! How a command ends without an operation: the exit code, what happened, and what to do next.

use crate::{
    cluster::{ClusterError, ConnectError, LockError},
    config::ConfigError,
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
    pub(super) message: String,
    pub(super) details: Vec<String>,
    pub(super) hints: Vec<String>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: Vec::new(), hints: Vec::new() }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Adds a line about what happened.
    pub(super) fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Adds a line about what to do next.
    pub(super) fn hint(mut self, line: impl Into<String>) -> Self {
        self.hints.push(line.into());
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
        for line in self.details.iter().chain(&self.hints) {
            writeln!(f, "  {line}")?;
        }
        let nothing = if matches!(self.exit, Exit::Refused | Exit::Locked) { "nothing was changed " } else { "" };
        write!(f, "{nothing}(exit {})", self.exit.code())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let Refusal { what, details, hints } = refusal;
        Self { exit: Exit::Refused, message: what, details, hints }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
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
            return failure.hint(
                "if the API is down, agents can still be asked: usher agent status NODE; usher agent units NODE",
            );
        }
        if error.is_forbidden() {
            return failure.hint("usher needs the rights in its ClusterRole; see who you are: kubectl auth whoami");
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
        Self { hints: error.hint().into_iter().collect(), ..Self::new(exit, words::chain(&error)) }
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
                .hint("wait for it to end; a lock whose holder died is free a minute after its last renewal")
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
