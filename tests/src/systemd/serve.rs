//! How the fake is reached: peer to peer, without a bus daemon.

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use tokio::{net::UnixListener, task::JoinHandle};
use zbus::{
    Connection, Guid, MessageStream,
    connection::{Builder, socket::Channel},
    message::Type as MessageType,
};

use super::{FakeSystemd, login, manager};

/// A socket on which the fake takes connections, for as long as this lives.
pub struct Listener {
    path: PathBuf,
    accepting: JoinHandle<()>,
}

impl Listener {
    /// The D-Bus address for an agent's `bus`.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.path.display())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

pub(super) fn listen(fake: &FakeSystemd, path: &Path) -> anyhow::Result<Listener> {
    let listener = UnixListener::bind(path)?;
    let fake = fake.clone();
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let fake = fake.clone();
            // A peer that gives up in the handshake is nobody's loss.
            tokio::spawn(async move { serve(&fake, Builder::unix_stream(stream).server(Guid::generate())?).await });
        }
    });
    Ok(Listener { path: path.to_owned(), accepting })
}

pub(super) async fn pair(fake: &FakeSystemd) -> anyhow::Result<Connection> {
    let (theirs, ours) = Channel::pair();
    let guid = Guid::generate();
    let served = serve(fake, Builder::authenticated_socket(theirs, guid.clone())?);
    let (served, connection) = tokio::join!(served, Builder::authenticated_socket(ours, guid)?.p2p().build());
    served?;
    Ok(connection?)
}

async fn serve(fake: &FakeSystemd, peer: Builder<'_>) -> anyhow::Result<()> {
    let connection = peer
        .p2p()
        .serve_at(manager::PATH, manager::Manager(fake.clone()))?
        .serve_at(login::PATH, login::Login(fake.clone()))?
        .build()
        .await?;
    let mut calls = MessageStream::from(&connection);
    let counted = fake.clone();
    tokio::spawn(async move {
        while let Some(Ok(message)) = calls.next().await {
            if message.message_type() == MessageType::MethodCall {
                counted.state().calls.all += 1;
            }
        }
    });
    fake.state().connections.push(connection);
    Ok(())
}
