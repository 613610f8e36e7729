//! What the world sees of an operation, line by line: a file, so that commands can write to it as well.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{Method, Request};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Node, Pod},
};
use kube::client::Body;
use tower::ServiceExt as _;

use crate::apiserver::ApiServer;

/// Lines as `w1: cordoned`, `cp2: restart kube-scheduler.service`. Clones are the same.
#[derive(Debug, Clone)]
pub struct Journal {
    path: Arc<Path>,
}

impl Journal {
    pub(super) fn create(path: &Path) -> Self {
        File::create(path).unwrap();
        Self { path: path.into() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.path.to_path_buf()
    }

    /// Adds a line.
    pub fn note(&self, line: &str) {
        let mut file = File::options().append(true).open(&self.path).unwrap();
        writeln!(file, "{line}").unwrap();
    }

    /// Forgets all lines so far.
    pub fn forget(&self) {
        File::create(&self.path).unwrap();
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.path).unwrap().lines().map(str::to_owned).collect()
    }

    /// The lines that contain one of these words, in their order.
    pub fn only(&self, words: &[&str]) -> Vec<String> {
        self.lines().into_iter().filter(|line| words.iter().any(|word| line.contains(word))).collect()
    }

    /// A client whose writes are noted by what they bring about.
    pub(super) fn client(&self, api: &ApiServer) -> kube::Client {
        let (journal, api) = (self.clone(), api.clone());
        let inner = api.service();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (journal, api, inner) = (journal.clone(), api.clone(), inner.clone());
            async move {
                let watched = (request.method() != Method::GET).then(|| Watched::of(&api, request.uri().path()));
                let answer = inner.oneshot(request).await;
                if let Some(line) = watched.and_then(|watched| watched.brought_about(&api)) {
                    journal.note(&line);
                }
                answer
            }
        });
        kube::Client::new(service, "default")
    }
}

/// What a write is about, as it was before.
enum Watched {
    Node { name: String, cordoned: bool },
    Lease { name: String, held: bool },
    Eviction { node: String, pod: String },
    Other,
}

impl Watched {
    fn of(api: &ApiServer, path: &str) -> Self {
        let segments: Vec<_> = path.trim_matches('/').split('/').collect();
        match segments.as_slice() {
            ["api", "v1", "nodes", name] => Self::Node { name: (*name).to_owned(), cordoned: is_cordoned(api, name) },
            [.., "leases"] => Self::Lease { name: "usher".to_owned(), held: is_held(api, "usher") },
            [.., "leases", name] => Self::Lease { name: (*name).to_owned(), held: is_held(api, name) },
            [.., namespace, "pods", pod, "eviction"] => {
                let found = api.get::<Pod>(&format!("{namespace}/{pod}"));
                let node = found.and_then(|pod| pod.spec?.node_name).unwrap_or_default();
                Self::Eviction { node, pod: format!("{namespace}/{pod}") }
            }
            _ => Self::Other,
        }
    }

    /// What is different now.
    fn brought_about(self, api: &ApiServer) -> Option<String> {
        match self {
            Self::Node { name, cordoned } => match (cordoned, is_cordoned(api, &name)) {
                (false, true) => Some(format!("{name}: cordoned")),
                (true, false) => Some(format!("{name}: uncordoned")),
                _ => None,
            },
            Self::Lease { name, held } => match (held, is_held(api, &name)) {
                (false, true) => Some(format!("lease {name} taken by usher")),
                (true, false) => Some(format!("lease {name} freed")),
                _ => None,
            },
            Self::Eviction { node, pod } => {
                let going = api.get::<Pod>(&pod).is_none_or(|pod| pod.metadata.deletion_timestamp.is_some());
                going.then(|| format!("{node}: pod evicted"))
            }
            Self::Other => None,
        }
    }
}

fn is_cordoned(api: &ApiServer, name: &str) -> bool {
    api.get::<Node>(name).and_then(|node| node.spec?.unschedulable).unwrap_or_default()
}

fn is_held(api: &ApiServer, name: &str) -> bool {
    let lease = api.get::<Lease>(&format!("kube-system/{name}"));
    lease.and_then(|lease| lease.spec?.holder_identity).is_some_and(|holder| !holder.is_empty())
}
