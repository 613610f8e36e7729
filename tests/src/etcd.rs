//! etcd in memory, below the agent's own code: members that speak etcd's gRPC API over mutual TLS, with faults.
//!
//! It knows nothing of keys and values. Like etcd, a leader that stops hands over by itself, to the member that it has been connected
//! with for longest: here the first of the list that runs. A proposal without a quorum is never answered; a member's own word is.

mod service;

use std::{
    future::pending,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{DuplexStream, duplex},
    time::sleep,
};
use tokio_rustls::TlsAcceptor;
use usher_common::stream::{BoxedStream, Dial};
use usher_proto::etcd::AlarmType;

use crate::pki::{Ca, Identity, Names};

/// What a connection holds that was not read yet.
const BUFFER: usize = 64 * 1024;
/// By how many entries a member catches up from one question to the next.
const CATCHES_UP: u64 = 2000;
/// An election.
const MOVE_TAKES: Duration = Duration::from_millis(200);

/// The table of agent.toml for it, with the files that [`FakeEtcd::write`] writes beside that.
pub const CONFIGURATION: &str = "[etcd]\nurl = 'https://127.0.0.1:2379'\nca = 'etcd-ca.pem'\ncertificate = 'etcd.pem'\n\
                                 key = 'etcd-key.pem'\ntimeout = '400ms'\n";

/// A cluster. Clones are the same.
#[derive(Clone)]
pub struct FakeEtcd {
    state: Arc<Mutex<State>>,
    ca: Arc<Ca>,
    tls: Arc<ServerConfig>,
}

struct State {
    members: Vec<Member>,
    /// The id of the member that leads while there is a quorum.
    leader: u64,
    term: u64,
    index: u64,
    alarms: Vec<(u64, AlarmType)>,
    moves: Vec<Move>,
    behind_after_start: u64,
}

#[derive(Clone)]
struct Member {
    id: u64,
    name: String,
    cluster: u64,
    runs: bool,
    hangs: bool,
    is_learner: bool,
    /// By how many entries it is behind the leader.
    behind: u64,
}

/// A change of leaders, by the members' names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    pub from: String,
    pub to: String,
    /// Somebody asked for it; else the leader stopped.
    pub asked: bool,
}

impl Move {
    /// One that somebody asked for.
    pub fn asked(from: &str, to: &str) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), asked: true }
    }
}

impl FakeEtcd {
    /// A cluster of voting members that run. Their ids are 1 and so on; the first leads.
    pub fn new(names: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca = Ca::new("etcd").unwrap();
        let tls = tls(&ca, &ca.server(&["127.0.0.1"]).unwrap());
        let member = |(at, name): (usize, &&str)| Member {
            id: at as u64 + 1,
            name: (*name).to_owned(),
            cluster: 0xc1,
            runs: true,
            hangs: false,
            is_learner: false,
            behind: 0,
        };
        let state = State {
            members: names.iter().enumerate().map(member).collect(),
            leader: 1,
            term: 2,
            index: 10_000,
            alarms: Vec::new(),
            moves: Vec::new(),
            behind_after_start: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), ca: Arc::new(ca), tls: Arc::new(tls) }
    }

    /// Writes what an agent needs to ask it.
    pub fn write(&self, folder: &Path) {
        self.ca.write(&folder.join("etcd-ca.pem")).unwrap();
        let names = Names { common_name: "usher-agent", ..Names::default() };
        self.ca.client(&names).unwrap().write(folder, "etcd").unwrap();
    }

    /// The way to the member of this name, whatever address is dialled.
    pub fn dial(&self, name: &str) -> Dial {
        let (etcd, name) = (self.clone(), name.to_owned());
        Dial::over(move |_| {
            let stream = etcd.open(&name);
            async move { stream }
        })
    }

    fn open(&self, name: &str) -> io::Result<BoxedStream> {
        if !self.state().member(name).runs {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"));
        }
        let (ours, theirs) = duplex(BUFFER);
        tokio::spawn(self.clone().serve(name.to_owned(), theirs));
        Ok(Box::new(ours))
    }

    async fn serve(self, name: String, stream: DuplexStream) {
        let Ok(stream) = TlsAcceptor::from(Arc::clone(&self.tls)).accept(stream).await else { return };
        // As Go's gRPC servers do.
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return;
        }
        service::serve(self, name, stream).await;
    }

    /// A member stops, as its unit does; if it leads, it hands over first.
    pub fn stop(&self, name: &str) {
        let mut state = self.state();
        let id = state.member(name).id;
        state.member_mut(name).runs = false;
        if state.leader == id {
            let next = state.members.iter().find(|other| other.runs && !other.is_learner).cloned();
            if let Some(next) = next {
                state.lead(&next, false);
            }
        }
    }

    /// It starts, as far behind as [`FakeEtcd::is_behind_after_each_start`] says.
    pub fn start(&self, name: &str) {
        let mut state = self.state();
        let behind = state.behind_after_start;
        let member = state.member_mut(name);
        (member.runs, member.behind) = (true, behind);
    }

    /// From now on members start this number of entries behind, and catch up with each question.
    pub fn is_behind_after_each_start(&self, entries: u64) {
        self.state().behind_after_start = entries;
    }

    /// A member takes connections and answers nothing.
    pub fn hang(&self, name: &str) {
        self.state().member_mut(name).hangs = true;
    }

    /// A member has been added that only copies.
    pub fn add_learner(&self, name: &str) {
        let mut state = self.state();
        let (id, first) = (state.members.len() as u64 + 1, state.members[0].clone());
        state.members.push(Member { id, name: name.to_owned(), is_learner: true, ..first });
    }

    /// A member raises an alarm.
    pub fn raise(&self, name: &str, alarm: AlarmType) {
        let mut state = self.state();
        let id = state.member(name).id;
        state.alarms.push((id, alarm));
    }

    /// Another member leads, by itself.
    pub fn lead(&self, name: &str) {
        let mut state = self.state();
        (state.leader, state.term) = (state.member(name).id, state.term + 1);
    }

    /// The member that leads, if there is a quorum.
    pub fn leader(&self) -> Option<String> {
        let state = self.state();
        let leader = state.leader();
        state.members.iter().find(|member| member.id == leader).map(|member| member.name.clone())
    }

    /// All changes of leaders so far.
    pub fn moves(&self) -> Vec<Move> {
        self.state().moves.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a proposal waits for: for ever without a quorum.
    async fn proposed(&self) {
        if !self.state().has_quorum() {
            pending::<()>().await;
        }
        self.state().index += 1;
    }

    /// What any answer of a member waits for.
    async fn answers(&self, name: &str) {
        let hangs = { self.state().member(name).hangs };
        if hangs {
            pending::<()>().await;
        }
    }

    async fn moved(&self, to: u64) {
        sleep(MOVE_TAKES).await;
        let mut state = self.state();
        if let Some(next) = state.members.iter().find(|member| member.id == to).cloned() {
            state.lead(&next, true);
        }
    }
}

impl State {
    fn member(&self, name: &str) -> &Member {
        self.members.iter().find(|member| member.name == name).unwrap()
    }

    fn member_mut(&mut self, name: &str) -> &mut Member {
        self.members.iter_mut().find(|member| member.name == name).unwrap()
    }

    fn has_quorum(&self) -> bool {
        let voting = || self.members.iter().filter(|member| !member.is_learner);
        voting().filter(|member| member.runs && !member.hangs).count() > voting().count() / 2
    }

    /// The id of the member that leads; 0 if none does.
    fn leader(&self) -> u64 {
        let runs = self.members.iter().any(|member| member.id == self.leader && member.runs);
        if runs && self.has_quorum() { self.leader } else { 0 }
    }

    fn lead(&mut self, next: &Member, asked: bool) {
        let from = self.members.iter().find(|member| member.id == self.leader).map(|member| member.name.clone());
        self.moves.push(Move { from: from.unwrap_or_default(), to: next.name.clone(), asked });
        (self.leader, self.term) = (next.id, self.term + 1);
    }

    /// By how many entries a member is behind when it is asked now.
    fn behind(&mut self, name: &str) -> u64 {
        let member = self.member_mut(name);
        let behind = member.behind;
        member.behind = behind.saturating_sub(CATCHES_UP);
        behind
    }
}

fn tls(ca: &Ca, server: &Identity) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
    let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let chain = vec![CertificateDer::from_pem_slice(server.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes()).unwrap();
    let mut tls = ServerConfig::builder().with_client_cert_verifier(clients).with_single_cert(chain, key).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    tls
}
