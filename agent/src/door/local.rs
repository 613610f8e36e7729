//! The Unix socket for the node's own root.
//!
//! Its file's mode keeps other users out, and the kernel says who has connected (SO_PEERCRED), so that a file whose mode somebody has
//! changed opens nothing. The unit's `PrivateUsers=` maps root to itself, so that root is 0 for the agent, too.

use std::{
    collections::BTreeSet,
    future::pending,
    io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;
use tokio::{net::UnixListener, sync::mpsc};
use usher_common::stream::BoxedStream;

/// Where the node's own users connect, and which of them are served.
pub struct LocalDoor {
    /// Where they come in.
    pub way: LocalWay,
    /// Their uids.
    pub uids: BTreeSet<u32>,
}

/// How the node's own users come in.
pub enum LocalWay {
    /// Over a Unix socket at this path. Its folder must exist.
    Socket(PathBuf),
    /// Over streams that are no sockets, each with the uid of its caller. For tests.
    Streams(mpsc::UnboundedReceiver<(BoxedStream, u32)>),
}

impl LocalDoor {
    /// A socket for root, and for the agent's own user, who can do all that the agent can: a sandbox has no root.
    pub fn socket(path: PathBuf) -> Self {
        Self { way: LocalWay::Socket(path), uids: BTreeSet::from([0, geteuid().as_raw()]) }
    }

    /// Listens. The runtime must run.
    pub(crate) fn open(self) -> io::Result<LocalListener> {
        let Self { way, uids } = self;
        let way = match way {
            LocalWay::Socket(path) => Way::Socket(listen(&path)?),
            LocalWay::Streams(incoming) => Way::Streams(incoming),
        };
        Ok(LocalListener { way, uids })
    }
}

/// An open [`LocalDoor`].
pub(crate) struct LocalListener {
    way: Way,
    uids: BTreeSet<u32>,
}

enum Way {
    Socket(UnixListener),
    Streams(mpsc::UnboundedReceiver<(BoxedStream, u32)>),
}

impl LocalListener {
    /// The next connection, with the uid of the process that made it.
    pub(super) async fn accept(&mut self) -> io::Result<(BoxedStream, u32)> {
        match &mut self.way {
            Way::Socket(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Box::new(stream), uid))
            }
            Way::Streams(incoming) => match incoming.recv().await {
                Some(connection) => Ok(connection),
                None => pending().await,
            },
        }
    }

    pub(super) fn serves(&self, uid: u32) -> bool {
        self.uids.contains(&uid)
    }
}

/// Listens in the place of an agent that has ended and left its socket behind. Only root and the agent's own user may connect.
#[allow(clippy::disallowed_methods)] // the one place that listens for the node's own users
fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[allow(clippy::disallowed_methods)] // the test's own file
    async fn a_socket_that_was_left_behind_is_replaced_and_any_other_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        drop(LocalDoor::socket(path.clone()).open().unwrap());
        assert!(path.exists(), "as when the agent is killed");
        let _listener = LocalDoor::socket(path.clone()).open().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let file = folder.path().join("notes");
        std::fs::write(&file, "mine").unwrap();
        assert!(LocalDoor::socket(file.clone()).open().is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    }
}
