//! Kubernetes on the machines: files and units of each role, and how its coming up is seen.

use std::time::Duration;

use anyhow::Context;
use futures::future::try_join_all;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Node, Pod},
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{Bed, CONTROL_PLANES, MACHINES, Machine, Output, WORKERS, files::File, template::fill, until};

macro_rules! machines {
    ($path:literal) => {
        include_str!(concat!("../../machines/", $path))
    };
}

const CONTROL_PLANE_UNITS: [(&str, &str); 4] = [
    ("etcd.service", machines!("units/etcd.service")),
    ("kube-apiserver.service", machines!("units/kube-apiserver.service")),
    ("kube-controller-manager.service", machines!("units/kube-controller-manager.service")),
    ("kube-scheduler.service", machines!("units/kube-scheduler.service")),
];
const WORKER_UNITS: [(&str, &str); 3] = [
    ("containerd.service", machines!("units/containerd.service")),
    ("container-image.service", machines!("units/container-image.service")),
    ("kubelet.service", machines!("units/kubelet.service")),
];
const WORKLOAD: &str = machines!("config/workload.yaml");

/// How long a client waits for the servers.
struct Timeouts {
    connect: Duration,
    read: Duration,
}

/// For servers that have nothing else to do.
const SHORT: Timeouts = Timeouts { connect: Duration::from_secs(2), read: Duration::from_secs(10) };
/// An apiserver itself gives a request up after a minute.
const LONG: Timeouts = Timeouts { connect: Duration::from_secs(30), read: Duration::from_secs(60) };

/// From nothing to /readyz took 5 s on two idle cores.
const API_LIMIT: Duration = Duration::from_secs(120);
/// From nothing to Ready took 10 s on two idle cores.
const NODE_LIMIT: Duration = Duration::from_secs(180);
/// Twenty containers on one worker.
const WORKLOAD_LIMIT: Duration = Duration::from_secs(240);

impl Bed {
    /// A client of the cluster's administrator, through the balancer. It repeats nothing by itself.
    ///
    /// # Errors
    /// If the kubeconfig cannot be read.
    pub async fn client(&self) -> anyhow::Result<Client> {
        self.client_of(None, SHORT).await
    }

    /// [`Bed::client`] for callers who keep the servers so busy that an answer takes long.
    pub(super) async fn patient_client(&self) -> anyhow::Result<Client> {
        self.client_of(None, LONG).await
    }

    /// A client of one control plane's apiserver, past the balancer.
    ///
    /// # Errors
    /// If the kubeconfig cannot be read.
    pub async fn client_at(&self, machine: &Machine) -> anyhow::Result<Client> {
        self.client_of(Some(machine), SHORT).await
    }

    async fn client_of(&self, machine: Option<&Machine>, timeouts: Timeouts) -> anyhow::Result<Client> {
        let kubeconfig = Kubeconfig::read_from(self.folder.kubeconfig())?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        if let Some(machine) = machine {
            config.cluster_url = format!("https://{}:6443", machine.address).parse()?;
        }
        config.connect_timeout = Some(timeouts.connect);
        config.read_timeout = Some(timeouts.read);
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }

    /// Runs kubectl as the cluster's administrator.
    ///
    /// # Errors
    /// If it cannot be run. How it ended is no error.
    pub async fn kubectl(&self, words: &[&str]) -> anyhow::Result<Output> {
        self.kubectl_with_input(words, "").await
    }

    /// [`Bed::kubectl`] with something on its stdin, for `apply --filename -`.
    ///
    /// # Errors
    /// As for [`Bed::kubectl`].
    pub async fn kubectl_with_input(&self, words: &[&str], input: &str) -> anyhow::Result<Output> {
        self.kubectl_watched(words, input, async |_| {}).await
    }

    /// Runs kubectl with an eye on its process.
    pub(super) async fn kubectl_watched(
        &self,
        words: &[&str],
        input: &str,
        watch: impl AsyncFnOnce(u32),
    ) -> anyhow::Result<Output> {
        let kubeconfig = self.folder.kubeconfig();
        let arguments: Vec<_> = ["--kubeconfig".as_ref(), kubeconfig.as_os_str()]
            .into_iter()
            .chain(words.iter().map(AsRef::as_ref))
            .collect();
        Output::watched(self.kubernetes_program("kubectl"), &arguments, input.as_bytes(), watch).await
    }

    /// Whether this apiserver says that it is ready.
    ///
    /// # Errors
    /// If it does not answer, or answers with anything but 200.
    pub async fn api_ready(&self, machine: &Machine) -> anyhow::Result<()> {
        let request = http::Request::get("/readyz").body(Vec::new())?;
        self.client_at(machine)
            .await?
            .request_text(request)
            .await
            .with_context(|| format!("{} /readyz", machine.name))?;
        Ok(())
    }

    pub(super) async fn start_control_plane(&self) -> anyhow::Result<()> {
        try_join_all(CONTROL_PLANES.iter().map(|machine| async {
            let units = CONTROL_PLANE_UNITS.iter().map(|(name, text)| File::unit(name, text));
            let policy = File::new("/etc/kubernetes/audit-policy.yaml", machines!("config/audit-policy.yaml"));
            let files: Vec<_> = [environment(machine), policy].into_iter().chain(units).collect();
            self.put(machine, &files).await?;
            self.enable(machine, &CONTROL_PLANE_UNITS).await
        }))
        .await
        .map(drop)
    }

    pub(super) async fn start_workers(&self) -> anyhow::Result<()> {
        try_join_all(WORKERS.iter().map(|machine| async {
            let units = WORKER_UNITS.iter().map(|(name, text)| File::unit(name, text));
            let files: Vec<_> = worker_files(machine)?.into_iter().chain(units).collect();
            self.put(machine, &files).await?;
            self.shell(machine.name, "systemd-tmpfiles --create /etc/tmpfiles.d/kmsg.conf").await?;
            self.enable(machine, &WORKER_UNITS).await
        }))
        .await
        .map(drop)
    }

    /// Starts units now and at each boot. Not waiting for them: etcd is only up when its peers are.
    async fn enable(&self, machine: &Machine, units: &[(&str, &str)]) -> anyhow::Result<()> {
        let names: Vec<_> = units.iter().map(|(name, _)| *name).collect();
        let names = names.join(" ");
        let script =
            format!("systemctl daemon-reload; systemctl enable --quiet {names}; systemctl start --no-block {names}");
        self.shell(machine.name, &script).await.map(drop)
    }

    pub(super) async fn wait_api(&self) -> anyhow::Result<()> {
        for machine in CONTROL_PLANES {
            until(&format!("/readyz of {}", machine.name), API_LIMIT, async || self.api_ready(machine).await.map(Some))
                .await?;
        }
        self.await_rotation(API_LIMIT).await
    }

    /// Waits until every worker is a Node that is Ready and takes pods.
    ///
    /// # Errors
    /// If that does not happen in time, with the Nodes that are not.
    pub async fn wait_nodes(&self) -> anyhow::Result<()> {
        let nodes: Api<Node> = Api::all(self.client().await?);
        until("Ready and schedulable Nodes", NODE_LIMIT, async || {
            let listed = nodes.list(&ListParams::default()).await?;
            let open: Vec<_> = listed.iter().filter(|node| takes_pods(node)).map(ResourceExt::name_any).collect();
            Ok(WORKERS.iter().all(|machine| open.iter().any(|name| name == machine.name)).then_some(()))
        })
        .await
    }

    pub(super) async fn start_workload(&self) -> anyhow::Result<()> {
        self.kubectl_with_input(&["apply", "--filename", "-"], WORKLOAD).await?.success()?;
        self.wait_workload().await
    }

    /// Waits until the Deployment has all its pods, and no more.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub async fn wait_workload(&self) -> anyhow::Result<()> {
        let deployments: Api<Deployment> = Api::default_namespaced(self.client().await?);
        until("all pods of the Deployment", WORKLOAD_LIMIT, async || {
            let deployment = deployments.get("web").await?;
            let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or_default();
            let status = deployment.status.unwrap_or_default();
            let available = status.available_replicas.unwrap_or_default();
            Ok((available == wanted && status.replicas == Some(wanted)).then_some(()))
        })
        .await
    }

    /// Writes all disks out, so that a loss of power finds what a machine would have that was set up long ago.
    pub(super) async fn settle_disks(&self) -> anyhow::Result<()> {
        try_join_all(MACHINES.iter().map(|machine| self.shell(machine.name, "sync -f /"))).await.map(drop)
    }
}

fn environment(machine: &Machine) -> File {
    File::new("/etc/default/machine", format!("ADDRESS={}\n", machine.address))
}

fn worker_files(machine: &Machine) -> anyhow::Result<Vec<File>> {
    let host = machine.address.rsplit('.').next().context("no address")?;
    let pod_subnet = format!("10.244.{host}.0/24");
    Ok(vec![
        environment(machine),
        File::new("/etc/containerd/config.toml", machines!("config/containerd.toml")),
        File::new(
            "/etc/cni/net.d/10-bed.conflist",
            fill(machines!("config/cni.conflist"), &[("pod_subnet", &pod_subnet)])?,
        ),
        File::new("/etc/kubelet/config.yaml", machines!("config/kubelet.yaml")),
        File::new("/etc/kubelet/overcommit_memory", "1\n"),
        File::new("/etc/kubelet/panic", "10\n"),
        File::new("/etc/kubelet/panic_on_oops", "1\n"),
        // The kubelet reads the kernel's log, which nspawn does not give to machines.
        File::new("/etc/tmpfiles.d/kmsg.conf", "L+ /dev/kmsg - - - - /dev/null\n"),
        File::new("/etc/resolv.conf", "nameserver 127.0.0.1\n"),
    ])
}

/// Whether a pod's condition Ready is True.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether the scheduler would send pods to this Node.
fn takes_pods(node: &Node) -> bool {
    let cordoned = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
    // A controller takes a cordon's taint away some time after the cordon.
    let tainted = node.spec.as_ref().is_some_and(|spec| spec.taints.as_ref().is_some_and(|taints| !taints.is_empty()));
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && !cordoned && !tainted
}
