//! A kube-apiserver with its etcd on loopback, in a folder that goes with it.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use http::Request;
use kube::{Client, Config, config::AuthInfo};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::Instant,
};

use crate::cases::Server;

const TOKEN: &str = "conformance";
/// On two busy cores a start takes 10 to 30 s.
const START_TIMEOUT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(200);

/// The folder with the binaries. The script finds them, or builds them once.
pub(crate) fn binaries() -> anyhow::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("machines/binaries.sh");
    let output = std::process::Command::new(&script).stderr(Stdio::inherit()).output().context("run binaries.sh")?;
    if !output.status.success() {
        bail!("{} ended with {}", script.display(), output.status);
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// The two processes; they are killed when this is dropped.
pub(crate) struct RealServer {
    client: Client,
    etcdctl: PathBuf,
    etcd_url: String,
    processes: [Child; 2],
    port: u16,
    folder: TempDir,
}

impl RealServer {
    pub(crate) async fn start(binaries: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("usher-conformance-").tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let [client_port, peer_port, port] = free_ports()?;
        let etcd_url = format!("http://127.0.0.1:{client_port}");
        let peer_url = format!("http://127.0.0.1:{peer_port}");
        let etcd = spawn(binaries, folder.path(), "etcd", |command| {
            command.arg("--data-dir").arg(path("etcd")).arg("--unsafe-no-fsync");
            command.args(["--listen-client-urls", &etcd_url, "--advertise-client-urls", &etcd_url]);
            command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
            command.args(["--initial-cluster", &format!("default={peer_url}")]);
        })?;
        let key = rcgen::KeyPair::generate()?;
        std::fs::write(path("service-account-key.pem"), key.serialize_pem())?;
        std::fs::write(path("service-account.pem"), key.public_key_pem())?;
        std::fs::write(path("tokens.csv"), format!("{TOKEN},admin,1,system:masters\n"))?;
        let api_server = spawn(binaries, folder.path(), "kube-apiserver", |command| {
            command.args(["--etcd-servers", &etcd_url, "--bind-address", "127.0.0.1"]);
            command.args(["--secure-port", &port.to_string(), "--service-cluster-ip-range", "10.96.0.0/16"]);
            command.arg("--cert-dir").arg(path("certificates"));
            command.arg("--token-auth-file").arg(path("tokens.csv"));
            command.args(["--authorization-mode", "AlwaysAllow", "--disable-admission-plugins", "ServiceAccount"]);
            // Without its cache, a list or watch of these ends with the history of etcd.
            command.args(["--watch-cache-sizes", "secrets#0"]);
            command.args(["--service-account-issuer", "https://kubernetes.default.svc"]);
            command.arg("--service-account-key-file").arg(path("service-account.pem"));
            command.arg("--service-account-signing-key-file").arg(path("service-account-key.pem"));
        })?;
        let client = client(port)?;
        let mut server =
            Self { client, etcdctl: binaries.join("etcdctl"), etcd_url, processes: [etcd, api_server], port, folder };
        server.await_ready().await?;
        Ok(server)
    }

    /// A kubeconfig with one context, `real`, for programs that need one.
    pub(crate) fn write_kubeconfig(&self) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join("kubeconfig");
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: real, contexts: [{{name: real, context: {{cluster: real, user: \
             admin}}}}], clusters: [{{name: real, cluster: {{server: 'https://127.0.0.1:{}', insecure-skip-tls-verify: true}}}}], \
             users: [{{name: admin, user: {{token: {TOKEN}}}}}]}}",
            self.port
        );
        std::fs::write(&path, text)?;
        Ok(path)
    }

    async fn await_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let answer = self.client.request_text(Request::get("/readyz").body(Vec::new())?).await;
            let Err(error) = answer else { return Ok(()) };
            let mut ended = false;
            for process in &mut self.processes {
                ended |= process.try_wait()?.is_some();
            }
            if ended || Instant::now() > deadline {
                let log = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
                bail!("not ready: {error}\n{}\n{}", log("etcd.log"), log("kube-apiserver.log"));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Server for RealServer {
    fn client(&self) -> Client {
        self.client.clone()
    }

    async fn compact(&self, version: &str) {
        let mut command = Command::new(&self.etcdctl);
        command.args(["--endpoints", &self.etcd_url, "compact", version]).stdout(Stdio::null());
        assert!(command.status().await.expect("etcdctl").success(), "etcdctl compact {version}");
    }
}

fn spawn(binaries: &Path, folder: &Path, name: &str, arguments: impl FnOnce(&mut Command)) -> anyhow::Result<Child> {
    let log = std::fs::File::create(folder.join(format!("{name}.log")))?;
    let mut command = Command::new(binaries.join(name));
    command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    arguments(&mut command);
    command.spawn().with_context(|| format!("start {name}"))
}

/// Ports that nobody has at the moment.
fn free_ports() -> anyhow::Result<[u16; 3]> {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}

fn client(port: u16) -> anyhow::Result<Client> {
    // The process has ring alone; the first test installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = Config::new(format!("https://127.0.0.1:{port}").parse()?);
    config.accept_invalid_certs = true;
    config.default_retry = false;
    config.auth_info = AuthInfo { token: Some(TOKEN.to_owned().into()), ..AuthInfo::default() };
    Ok(Client::try_from(config)?)
}
