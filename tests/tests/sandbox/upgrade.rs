//! The agent's own process when its package is upgraded: it executes the new binary once it is idle, and no caller notices.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    net::{TcpSocket, UnixDatagram},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};
use tonic::transport::Endpoint;
use usher_testkit::{
    pki::Names,
    rig::agent::{Caller, Rig, UNIT, order, succeeded},
    systemd::Listener,
};

use super::programs;

/// The agent looks every three seconds; on a busy machine all takes longer.
const LIMIT: Duration = Duration::from_secs(40);

/// An agent in a process of its own, as systemd would start it, on a rig's certificates and its fake systemd.
struct Process {
    rig: Rig,
    address: SocketAddr,
    agent: Child,
    notified: UnixDatagram,
    _bus: Listener,
    _sockets: TempDir,
}

impl Process {
    async fn start() -> Self {
        let rig = Rig::without_agent("");
        // Free now, and taken by nobody else within the milliseconds until the agent takes it.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // Of their own: the paths of sockets are short.
        let sockets = tempfile::tempdir_in("/tmp").unwrap();
        let bus = rig.systemd.listen(&sockets.path().join("bus")).unwrap();
        let notified = UnixDatagram::bind(sockets.path().join("notify")).unwrap();
        let file = rig.path().join("agent.toml");
        let text = fs::read_to_string(&file).unwrap().replace("127.0.0.1:0", &address.to_string());
        fs::write(&file, format!("bus = '{}'\n{text}", bus.address())).unwrap();
        let program = rig.path().join("usher-agent");
        fs::copy(programs().join("usher-agent"), &program).unwrap();
        let agent = Command::new(&program)
            .arg("--config")
            .arg(&file)
            .env("NOTIFY_SOCKET", sockets.path().join("notify"))
            .env("WATCHDOG_USEC", "60000000")
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stderr(fs::File::create(rig.path().join("agent.log")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let process = Self { rig, address, agent, notified, _bus: bus, _sockets: sockets };
        process.until_told("READY=1").await;
        process
    }

    /// Waits until systemd is told this.
    async fn until_told(&self, words: &str) {
        let telling = async {
            let mut message = [0; 4096];
            loop {
                let length = self.notified.recv(&mut message).await.unwrap();
                if String::from_utf8_lossy(&message[..length]).contains(words) {
                    return;
                }
            }
        };
        timeout(LIMIT, telling).await.unwrap_or_else(|_| panic!("systemd is not told {words:?}:\n{}", self.log()));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.rig.path().join("agent.log")).unwrap()
    }

    fn program(&self) -> PathBuf {
        self.rig.path().join("usher-agent")
    }

    /// As a package manager does: another file, renamed over the one that runs.
    fn install(&self, from: &Path) {
        let new = self.rig.path().join("usher-agent.new");
        fs::copy(from, &new).unwrap();
        fs::rename(new, self.program()).unwrap();
    }

    /// Whether the process executes what is installed.
    fn runs_what_is_installed(&self) -> bool {
        let executed = fs::metadata(format!("/proc/{}/exe", self.agent.id().unwrap())).unwrap();
        executed.ino() == fs::metadata(self.program()).unwrap().ino()
    }

    fn endpoint(&self) -> Endpoint {
        let identity = self.rig.ca.client(&Names { common_name: "alice", ..Names::default() }).unwrap();
        self.rig.endpoint_to(&format!("https://{}", self.address), &identity)
    }

    async fn alice(&self) -> Caller {
        Caller::over(self.endpoint().connect().await.unwrap_or_else(|error| panic!("{error:?}\n{}", self.log())))
    }
}

/// Callers who come one after the other and ask once, until they are told to end; how many were served.
fn callers(endpoint: Endpoint, end: &Arc<AtomicBool>, served: &Arc<AtomicU32>) -> JoinHandle<()> {
    let (end, served) = (Arc::clone(end), Arc::clone(served));
    tokio::spawn(async move {
        while !end.load(Ordering::Relaxed) {
            let mut caller = Caller::over(endpoint.connect().await.unwrap());
            caller.node().await;
            served.fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// Connections that come one after the other and say nothing. They come from another address, of which the agent lets only so
/// many wait, and not faster than its queue holds.
fn connections(address: SocketAddr, end: &Arc<AtomicBool>) -> JoinHandle<()> {
    let end = Arc::clone(end);
    tokio::spawn(async move {
        while !end.load(Ordering::Relaxed) {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
            socket.connect(address).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_executes_an_upgrade_in_its_own_process_while_callers_come_in_and_none_is_refused() {
    let mut process = Process::start().await;
    let pid = process.agent.id();
    let (end, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let load = [
        callers(process.endpoint(), &end, &served),
        callers(process.endpoint(), &end, &served),
        connections(process.address, &end),
    ];

    // There and back again, as an upgrade and a downgrade.
    for _ in 0..2 {
        process.install(&programs().join("usher-agent"));
        assert!(!process.runs_what_is_installed());
        process.until_told("STATUS=executing usher-agent").await;
        process.until_told("READY=1").await;
        assert!(process.runs_what_is_installed(), "{}", process.log());
        let before = served.load(Ordering::Relaxed);
        let callers_come_in = async {
            while served.load(Ordering::Relaxed) < before + 4 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, callers_come_in).await.unwrap_or_else(|_| panic!("{}", process.log()));
        assert_eq!(process.alice().await.node().await.replaced_binary, None);
    }
    // The watchdog is fed by the next one, too, and systemd knows the process by the same number.
    process.until_told("WATCHDOG=1").await;
    assert_eq!(process.agent.id(), pid);
    assert!(process.agent.try_wait().unwrap().is_none());

    end.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_goes_on_under_the_old_binary_and_the_next_one_begins_under_the_new() {
    let process = Process::start().await;
    let mut alice = process.alice().await;
    process.rig.systemd.set_unit(UNIT, |unit| unit.takes = Duration::from_secs(5));
    alice.restart(order("first"), UNIT, &process.rig.invocation).await.unwrap();
    process.install(&programs().join("usher-agent"));
    let told = async {
        while alice.clone().node().await.replaced_binary.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LIMIT, told).await.unwrap_or_else(|_| panic!("{}", process.log()));
    assert!(!process.runs_what_is_installed(), "an operation runs");
    assert!(succeeded(&alice.end_of("first").await));

    process.until_told("STATUS=executing usher-agent").await;
    process.until_told("READY=1").await;
    assert!(process.runs_what_is_installed());
    let mut alice = process.alice().await;
    assert!(succeeded(&alice.operation("first").await.unwrap()), "the new one knows what the old one did");
    let invocation = process.rig.systemd.unit(UNIT).invocation_id;
    alice.restart(order("second"), UNIT, &invocation).await.unwrap();
    assert!(succeeded(&alice.end_of("second").await));
}
