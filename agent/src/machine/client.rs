//! The agent as a client of what runs on its machine: how it opens connections, and the files that it shows and checks with.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use rustls::ClientConfig;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use usher_common::stream::{BoxedStream, Dial};

use super::trust::{self, Silent, TrustError};
use crate::{
    config::{ClientCertificate, Etcd, Probe, Trust},
    disk::Disk,
};

/// How long the files of one question may take. They are read within milliseconds unless the disk hangs; callers wait for 10 s.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// How many sets of files are read at once. A read that hangs keeps its thread, and the runtime has 32 for everything that waits
/// for the disk.
const READ_AT_ONCE: usize = 8;

/// The files of one question. They are read each time, since they may have been renewed with the server's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Files {
    trust: Trust,
    own: Option<ClientCertificate>,
    token: Option<PathBuf>,
}

impl Files {
    /// Those of a unit's probe.
    pub(super) fn of_probe(probe: &Probe) -> Self {
        Self { trust: probe.trust.clone(), own: probe.certificate.clone(), token: probe.token_file.clone() }
    }

    /// Those of the node's member of etcd.
    pub(super) fn of_etcd(etcd: &Etcd) -> Self {
        Self { trust: Trust::Ca(etcd.ca.clone()), own: Some(etcd.certificate.clone()), token: None }
    }

    fn paths(&self) -> Vec<PathBuf> {
        let ca = if let Trust::Ca(ca) = &self.trust { Some(ca) } else { None };
        let own = self.own.iter().flat_map(|own| [&own.certificate, &own.key]);
        ca.into_iter().chain(own).chain(&self.token).cloned().collect()
    }

    fn read(&self) -> Result<Login, TrustError> {
        let tls = trust::client_config(&self.trust, self.own.as_ref())?;
        let token = self.token.as_deref().map(trust::bearer).transpose()?;
        Ok(Login { tls, token })
    }
}

/// What the agent checks a server by, and shows it.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) tls: Arc<ClientConfig>,
    /// The value of `Authorization`.
    pub(super) token: Option<HeaderValue>,
}

/// Asks what runs on the machine.
#[derive(Debug)]
pub(crate) struct Client {
    dial: Dial,
    disk: Disk,
    /// A permit for each set of files that is being read, kept until the read has ended.
    reads: Arc<Semaphore>,
    /// One permit for each set of files.
    sets: Mutex<HashMap<Files, Arc<Semaphore>>>,
}

impl Client {
    pub(super) fn new(dial: Dial, disk: Disk) -> Self {
        Self { dial, disk, reads: Arc::new(Semaphore::new(READ_AT_ONCE)), sets: Mutex::default() }
    }

    /// Opens a connection to `HOST:PORT`.
    pub(super) async fn open(&self, address: String) -> io::Result<BoxedStream> {
        self.dial.open(address).await
    }

    /// Reads the files of a question on a thread where that may block, within `limit` and within two seconds. One set of files is
    /// read once at a time: a disk that hangs keeps one thread for it, however often somebody asks.
    pub(super) async fn login(&self, files: Files, limit: Duration) -> Result<Login, TrustError> {
        let paths = files.paths();
        if paths.is_empty() {
            return files.read();
        }
        let within = limit.min(READ_WITHIN);
        let set = self.set(&files);
        let reading = async {
            // The permits go with the read, which outlives a caller who has given up.
            let permits = (permit(set).await, permit(Arc::clone(&self.reads)).await);
            let read = move || {
                let _permits = permits;
                files.read()
            };
            self.disk.run(read).await
        };
        match timeout(within, reading).await {
            Ok(Some(read)) => read,
            // `None` is the end of the runtime, which ends its callers too.
            Ok(None) | Err(_) => Err(TrustError::Silent(Silent { paths, within })),
        }
    }

    fn set(&self, files: &Files) -> Arc<Semaphore> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        // Sets that the configuration does not name any more are forgotten once nobody reads them.
        sets.retain(|known, set| known == files || Arc::strong_count(set) > 1);
        Arc::clone(sets.entry(files.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

/// A permit of a semaphore that is never closed.
async fn permit(semaphore: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    semaphore.acquire_owned().await.ok()
}
