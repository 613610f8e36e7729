//! The shipped agent under a flood: an operator beside a thousand peers that say nothing, and then beside listed callers as well that
//! take as much as they get. It needs no machines and no root.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use futures::future::join_all;
use tempfile::TempDir;
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity as TlsIdentity};
use tower::ServiceExt as _;
use usher_proto::v1::{GetNodeRequest, node_info_client::NodeInfoClient};
use usher_testkit::{
    pki::{Ca, Identity, Names},
    rig::{greedy, stored},
};

use super::{agent, results::Results};

/// Peers that connect and say nothing, and the addresses that they share. One that the agent drops connects again a second later.
const SILENT: u8 = 100;
const SILENT_OF_ONE_ADDRESS: usize = 10;
const AGAIN: Duration = Duration::from_secs(1);

/// Certificates of greedy callers, and the connections of each: together all places that the agent has for viewers.
const GREEDY: u8 = 4;
const GREEDY_CONNECTIONS: u8 = 14;

/// Past operations, and the text of each in bytes: together the largest list that there is.
const STORED: usize = 150;
const STORED_TEXT: usize = 7000;

/// Calls, each over a connection of its own: the handshake is what a flood is in the way of.
const CALLS: usize = 300;

/// How long the flood goes on before the first call.
const BEFORE: Duration = Duration::from_secs(5);

/// The agent is up within this time, or not at all.
const START: Duration = Duration::from_secs(10);

/// Ends the agent with the measurement.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already if this fails.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) async fn measure(results: &mut Results) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let ca = Ca::new("flood")?;
    ca.write(&folder.path().join("ca.pem"))?;
    ca.server(&["w1"])?.write(folder.path(), "agent")?;
    stored::operations(&folder.path().join("state"), STORED, STORED_TEXT);
    let address: SocketAddr = {
        let free = std::net::TcpListener::bind("127.0.0.1:0")?;
        free.local_addr()?
    };
    // No systemd answers there: what is measured is the way in, and a status is told without it.
    let config = format!(
        "listen = '{address}'\nnode = 'w1'\nstate_directory = 'state'\nbus = 'unix:path=nothing'\n[tls]\ncertificate = 'agent.pem'\n\
         key = 'agent-key.pem'\nclient_ca = 'ca.pem'\n[allow]\noperator = ['CN=alice']\nviewer = ['O=greedy']\n"
    );
    let file = folder.path().join("agent.toml");
    fs::write(&file, config)?;
    let binary = agent::release("usher-agent");
    let child = Command::new(&binary).arg("--config").arg(&file).stderr(Stdio::null()).spawn();
    let running = Running(child.with_context(|| format!("cannot start {}: make build", binary.display()))?);
    let up = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(START, up).await.context("the agent does not listen")?;

    let mut flood = JoinSet::new();
    for number in 1..=SILENT {
        for _ in 0..SILENT_OF_ONE_ADDRESS {
            flood.spawn(stay_silent([127, 0, 1, number].into(), address));
        }
    }
    sleep(BEFORE).await;
    let operator = ca.client(&Names { common_name: "alice", ..Names::default() })?;
    let mut took = Vec::new();
    for _ in 0..CALLS {
        let begun = Instant::now();
        get_node(address, ca.pem(), &operator).await?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    let p99 = took.get(took.len() * 99 / 100).copied().context("no call was made")?;
    results.record("agent_flood_get_node_p99_ms", p99, Some(1000.0));
    results.record("agent_flood_rss_mib", peak_mib(&running)?, Some(32.0));

    for number in 1..=GREEDY {
        let common_name = &format!("greedy-{number}");
        let names = Names { common_name, organisations: &["greedy"], ..Names::default() };
        let endpoint = endpoint(address, ca.pem(), &ca.client(&names)?)?;
        for connection in 1..=GREEDY_CONNECTIONS {
            flood.spawn(be_greedy(endpoint.clone().local_address(Some([127, 0, 1 + number, connection].into()))));
        }
    }
    sleep(BEFORE).await;
    get_node(address, ca.pem(), &operator).await?;
    results.record("agent_greedy_rss_mib", peak_mib(&running)?, Some(32.0));
    Ok(())
}

/// The most that the agent has had in memory so far.
fn peak_mib(running: &Running) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", running.0.id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = peak.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// Connects, says nothing until the agent hangs up, and connects again.
async fn stay_silent(from: IpAddr, address: SocketAddr) {
    loop {
        if let Ok(stream) = connect(from, address).await {
            // Readable: the agent has hung up.
            let _ = stream.readable().await;
        }
        sleep(AGAIN).await;
    }
}

async fn connect(from: IpAddr, address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(address).await
}

/// Takes no answers and ends no requests. Once the agent has hung up, again.
async fn be_greedy(endpoint: Endpoint) {
    let endpoint = greedy::with_small_windows(endpoint);
    loop {
        if let Ok(channel) = endpoint.connect().await {
            // The answers stay as they are until there are all of them.
            drop(join_all(greedy::calls().into_iter().map(|call| channel.clone().oneshot(call))).await);
        }
        sleep(AGAIN).await;
    }
}

async fn get_node(address: SocketAddr, ca: &str, identity: &Identity) -> anyhow::Result<()> {
    let channel = endpoint(address, ca, identity)?.connect().await?;
    NodeInfoClient::new(channel).get_node(GetNodeRequest {}).await?;
    Ok(())
}

fn endpoint(address: SocketAddr, ca: &str, identity: &Identity) -> anyhow::Result<Endpoint> {
    let tls = ClientTlsConfig::new()
        .domain_name("w1")
        .ca_certificate(Certificate::from_pem(ca))
        .identity(TlsIdentity::from_pem(&identity.certificate, &identity.key));
    Ok(Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?)
}
