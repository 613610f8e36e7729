//! Where connections to the machine's agent are made, and the process behind it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{DuplexStream, copy_bidirectional, duplex},
    sync::mpsc,
    task::JoinSet,
};
use usher_agent::{agent::Agent, disk::MemoryDisk};
use usher_common::stream::BoxedStream;

use crate::systemd::Line;

/// What a connection holds that was not read yet.
const BUFFER: usize = 64 * 1024;

/// The way to a machine's agent. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Doorstep(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// The agent, while there is one.
    process: Option<Process>,
    /// The machine does not run: nobody refuses a connection to it.
    off: bool,
    never_boots: bool,
}

/// An agent and the connections to it. All end when it is dropped, as with the machine.
pub(super) struct Process {
    pub(super) _agent: Agent,
    pub(super) disk: MemoryDisk,
    /// Its line to systemd.
    pub(super) line: Line,
    pub(super) incoming: mpsc::UnboundedSender<(BoxedStream, SocketAddr)>,
    /// Root's way to it.
    pub(super) local: mpsc::UnboundedSender<(BoxedStream, u32)>,
    pub(super) connections: JoinSet<()>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // What of it still runs writes nothing any more, asks for nothing and is not heard.
        self.disk.detach();
        self.line.cut();
    }
}

impl Doorstep {
    /// A new connection.
    pub(crate) fn open(&self) -> io::Result<BoxedStream> {
        let mut inner = self.inner();
        let process = inner.process.as_mut().ok_or_else(refused)?;
        let ((ours, mut near), (mut far, theirs)) = (duplex(BUFFER), duplex(BUFFER));
        process.connections.spawn(async move {
            // A side that hung up ends the connection, nothing else.
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
        process.incoming.send((Box::new(theirs), ([127, 0, 0, 1], 40000).into())).map_err(|_| refused())?;
        Ok(Box::new(ours))
    }

    /// A new connection of root's on the machine.
    pub(super) fn open_for_root(&self) -> io::Result<DuplexStream> {
        let inner = self.inner();
        let process = inner.process.as_ref().ok_or_else(refused)?;
        let (ours, theirs) = duplex(BUFFER);
        process.local.send((Box::new(theirs), 0)).map_err(|_| refused())?;
        Ok(ours)
    }

    /// Whether the machine is off, so that nothing at all answers.
    pub(crate) fn is_off(&self) -> bool {
        self.inner().off
    }

    pub(super) fn has_agent(&self) -> bool {
        self.inner().process.is_some()
    }

    pub(super) fn set_agent(&self, process: Process) {
        let mut inner = self.inner();
        inner.off = false;
        inner.process = Some(process);
    }

    /// Ends the agent on the spot.
    pub(super) fn end_agent(&self) {
        // Dropped without the lock: what ends with it may come back here.
        let process = self.inner().process.take();
        drop(process);
    }

    pub(super) fn power_off(&self) {
        self.inner().off = true;
        self.end_agent();
    }

    pub(super) fn set_never_boots(&self) {
        self.inner().never_boots = true;
    }

    pub(super) fn never_boots(&self) -> bool {
        self.inner().never_boots
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused")
}
