//! The process that plays the kubelets: in the sandbox, so that it ends with the bed at the latest.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, ensure};
use tokio::net::TcpStream;

use crate::bed::{Bed, until};

const CONFIGURATION: &str = include_str!("../../../machines/config/kwok.yaml");
/// On a port of its own in the bed's network; nobody asks it for anything.
const ADDRESS: &str = "127.0.0.1:10247";
/// As a kubelet's. Renewed at a quarter of it, so that a busy host may miss some renewals within the 50 s after which
/// kube-controller-manager gives a node up.
const LEASE_SECONDS: &str = "40";
const START_LIMIT: Duration = Duration::from_secs(20);
const END_LIMIT: Duration = Duration::from_secs(20);

impl Bed {
    /// Whether a fleet was started here and not ended.
    pub(super) fn has_kwok(&self) -> bool {
        self.kwok_pid().exists()
    }

    /// Starts kwok and waits until it listens.
    pub(super) async fn start_kwok(&self) -> anyhow::Result<()> {
        let program = &self.settings.kwok;
        let configuration = self.folder.path().join("kwok.yaml");
        fs::write(&configuration, CONFIGURATION)?;
        let kubeconfig = self.folder.pki().join("kwok.kubeconfig");
        ensure!(kubeconfig.exists(), "{} is missing: this bed is an older one, end it", kubeconfig.display());
        // The shell becomes kwok, so that the id is kwok's, as the sandbox sees it.
        let script = r#"echo $$ > "$1"; shift; exec "$@""#;
        let (pid, log) = (self.kwok_pid(), self.folder.log("kwok"));
        let words =
            ["sh".as_ref(), "-euc".as_ref(), script.as_ref(), "kwok".as_ref(), pid.as_os_str(), program.as_os_str()];
        let files = ["--kubeconfig".as_ref(), kubeconfig.as_os_str(), "--config".as_ref(), configuration.as_os_str()];
        let rest = [
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--node-lease-duration-seconds",
            LEASE_SECONDS,
            "--server-address",
            ADDRESS,
        ];
        let words: Vec<_> = words.into_iter().chain(files).chain(rest.map(AsRef::as_ref)).collect();
        self.sandbox.start(&words, &log).await?;
        until("kwok", START_LIMIT, async || Ok(Some(TcpStream::connect(ADDRESS).await?)))
            .await
            .map(drop)
            .with_context(|| format!("see {}", log.display()))
    }

    /// Whether the kwok of the fleet that was started here is alive.
    pub(super) async fn kwok_runs(&self) -> anyhow::Result<bool> {
        let pid = fs::read_to_string(self.kwok_pid()).context("no kwok was started")?;
        let cmdline = format!("/proc/{}/cmdline", pid.trim());
        // The id may belong to somebody else by now.
        let found = self.sandbox.run(&["grep", "--quiet", "--text", ADDRESS, &cmdline], &[]).await?;
        Ok(found.code == Some(0))
    }

    /// Ends kwok.
    pub(super) async fn stop_kwok(&self) -> anyhow::Result<()> {
        let file = self.kwok_pid();
        let pid = fs::read_to_string(&file).context("no kwok was started")?;
        self.sandbox.run(&["kill", pid.trim()], &[]).await?;
        until("the end of kwok", END_LIMIT, async || Ok((!self.kwok_runs().await?).then_some(()))).await?;
        fs::remove_file(&file).context("cannot forget kwok")
    }

    fn kwok_pid(&self) -> PathBuf {
        self.folder.path().join("kwok.pid")
    }
}
