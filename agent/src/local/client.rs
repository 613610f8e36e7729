//! The connection to the agent on this node.

use std::{io, path::Path, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;
use tower::service_fn;
use usher_common::chain;
use usher_proto::v1::{node_info_client::NodeInfoClient, node_local_client::NodeLocalClient};

use super::{Exit, Told};

/// How long an answer may take. The agent answers within 8 seconds, and a call that waits within 25.
const CALL: Duration = Duration::from_secs(35);

/// The agent that runs on this node. Made anew it connects again.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it tells.
    pub info: NodeInfoClient<Channel>,
    /// What it may be asked for.
    pub local: NodeLocalClient<Channel>,
}

/// Why the agent did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody listens, or this user may not connect.
    #[error("{0}")]
    NoAgent(String),
    /// It refused; nothing was changed.
    #[error("refused: {message} ({reason})")]
    Refused {
        /// One of [`usher_proto::reason`], or the name of a gRPC code.
        reason: String,
        /// What forbids it, and what would allow it.
        message: String,
    },
    /// Its answer was lost.
    #[error("the agent did not answer: {0}")]
    Lost(String),
}

impl Failure {
    /// What it tells a caller, with the exit code.
    pub(super) fn into_told(self) -> Told {
        let exit = if matches!(self, Self::Refused { .. }) { Exit::Refused } else { Exit::Failed };
        Told { exit, text: self.to_string() }
    }

    /// Whether it is this refusal.
    pub(super) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { reason, .. } if reason == wanted)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        if let Some(info) = status.get_details_error_info() {
            return Self::Refused { reason: info.reason, message: status.message().to_owned() };
        }
        match status.code() {
            // What a connection that breaks is told as.
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal => {
                Self::Lost(status.message().to_owned())
            }
            code => Self::Refused { reason: format!("{code:?}"), message: status.message().to_owned() },
        }
    }
}

impl Client {
    /// Connects to the agent that listens at `socket`. A connection that breaks later is made anew by the next call.
    ///
    /// # Errors
    ///
    /// [`Failure::NoAgent`], with what to do.
    pub async fn connect(socket: &Path) -> Result<Self, Failure> {
        let path = socket.to_owned();
        let endpoint = Endpoint::from_static("http://usher-agent").timeout(CALL);
        let dial = service_fn(move |_| {
            let path = path.clone();
            async move { dial(&path).await.map(TokioIo::new) }
        });
        let channel = endpoint.connect_with_connector(dial).await.map_err(|error| no_agent(socket, &error))?;
        Ok(Self::over(channel))
    }

    /// The agent at the other end of a channel.
    pub fn over(channel: Channel) -> Self {
        Self { info: NodeInfoClient::new(channel.clone()), local: NodeLocalClient::new(channel) }
    }
}

#[allow(clippy::disallowed_methods)] // the one place that connects to the agent's Unix socket
async fn dial(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}

fn no_agent(socket: &Path, error: &tonic::transport::Error) -> Failure {
    let kind = io_kind(error);
    let advice = match kind {
        Some(io::ErrorKind::PermissionDenied) => "only root may ask: sudo usher-agent ...".to_owned(),
        Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            "does it run, and is this its socket? systemctl status usher-agent; `socket` in /etc/usher/agent.toml"
                .to_owned()
        }
        _ => chain(error),
    };
    Failure::NoAgent(format!("no agent answers at {}: {advice}", socket.display()))
}

fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    let mut error = Some(error);
    while let Some(now) = error {
        if let Some(io) = now.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        error = now.source();
    }
    None
}
