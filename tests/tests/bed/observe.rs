//! What the tests see for themselves, past usher: identities, leases, pods, and the apiservers all the while.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use futures::future::join_all;
use k8s_openapi::api::{
    apps::v1::Deployment,
    coordination::v1::Lease,
    core::v1::{Node, Pod},
};
use kube::{Api, api::ListParams};
use tokio::{task::JoinHandle, time::timeout};
use usher_testkit::bed::{Bed, CONTROL_PLANES, POLL, until};

/// The units of a control plane that usher restarts.
pub(crate) const UNITS: [&str; 3] =
    ["kube-apiserver.service", "kube-controller-manager.service", "kube-scheduler.service"];

/// The machine with Debian 13 and systemd 257.
pub(crate) const DEBIAN_13: &str = "w2";

/// A machine with Debian 12 and systemd 252, and that one.
pub(crate) const RELEASES: [&str; 2] = ["cp1", DEBIAN_13];

/// login1's manager, in the words of `busctl call`.
pub(crate) const LOGIN: [&str; 3] =
    ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"];

/// From the order to restart a unit until systemd has begun.
const BEGUN_WITHIN: Duration = Duration::from_secs(120);

/// The boot id of a machine, from the machine itself.
pub(crate) async fn boot_id(bed: &Bed, machine: &str) -> anyhow::Result<String> {
    Ok(bed.shell(machine, "cat /proc/sys/kernel/random/boot_id").await?.stdout.trim().to_owned())
}

/// The InvocationID of a unit, from systemd itself.
pub(crate) async fn invocation(bed: &Bed, machine: &str, unit: &str) -> anyhow::Result<String> {
    let words = ["systemctl", "show", "--property=InvocationID", "--value", unit];
    Ok(bed.exec(machine, &words).await?.success()?.stdout.trim().to_owned())
}

/// The InvocationIDs of all units of the control plane, by machine and unit.
pub(crate) async fn invocations(bed: &Bed) -> anyhow::Result<BTreeMap<(&'static str, &'static str), String>> {
    let mut found = BTreeMap::new();
    for machine in CONTROL_PLANES {
        for unit in UNITS {
            found.insert((machine.name, unit), invocation(bed, machine.name, unit).await?);
        }
    }
    Ok(found)
}

/// How often systemd has started a unit in this boot.
pub(crate) async fn starts(bed: &Bed, machine: &str, unit: &str) -> anyhow::Result<usize> {
    let journal = bed.journal(machine, unit).await?;
    Ok(journal.lines().filter(|line| line.contains("systemd[1]: Started ") && line.contains(unit)).count())
}

/// Waits until a unit is starting, as one whose start takes some time does.
pub(crate) async fn await_activating(bed: &Bed, machine: &str, unit: &str) -> anyhow::Result<()> {
    until("the unit to be starting", BEGUN_WITHIN, async || {
        let output = bed.exec(machine, &["systemctl", "is-active", unit]).await?;
        Ok((output.stdout.trim() == "activating").then_some(()))
    })
    .await
}

/// Fails unless the home of the agent's user is neither its state directory nor any other folder that it may write to: what it wrote
/// there, a service manager of its own would run.
pub(crate) async fn assert_home_is_not_its_own(bed: &Bed, machine: &str) -> anyhow::Result<()> {
    let user = bed.exec(machine, &["getent", "passwd", "usher-agent"]).await?.success()?;
    let home = user.stdout.trim().split(':').nth(5).with_context(|| format!("no home in {user}"))?;
    ensure!(!home.starts_with("/var/lib/usher-agent"), "{user}");
    let words = ["setpriv", "--reuid=usher-agent", "--regid=usher-agent", "--clear-groups", "test", "-w", home];
    let writable = bed.exec(machine, &words).await?;
    ensure!(writable.code == Some(1), "the agent's user may write to its home: {writable}");
    Ok(())
}

/// How often the leadership of a component has moved, ever.
pub(crate) async fn transitions(bed: &Bed, component: &str) -> anyhow::Result<i32> {
    let leases: Api<Lease> = Api::namespaced(bed.client().await?, "kube-system");
    let spec = leases.get(component).await?.spec.context("an empty lease")?;
    Ok(spec.lease_transitions.unwrap_or_default())
}

/// A Node of the cluster.
pub(crate) async fn node(bed: &Bed, name: &str) -> anyhow::Result<Node> {
    Ok(Api::all(bed.client().await?).get(name).await?)
}

/// Whether a Node takes no new pods.
pub(crate) async fn is_cordoned(bed: &Bed, name: &str) -> anyhow::Result<bool> {
    Ok(node(bed, name).await?.spec.is_some_and(|spec| spec.unschedulable == Some(true)))
}

/// The pods of the Deployment.
pub(crate) async fn pods(bed: &Bed) -> anyhow::Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::default_namespaced(bed.client().await?);
    Ok(pods.list(&ListParams::default().labels("app=web")).await?.items)
}

/// How many pods of the Deployment a Node has.
pub(crate) async fn pods_on(bed: &Bed, name: &str) -> anyhow::Result<usize> {
    Ok(pods(bed).await?.iter().filter(|pod| node_of(pod) == Some(name)).count())
}

/// Where a pod is.
pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Brings all pods of the Deployment to w1.
pub(crate) async fn gather_on_w1(bed: &Bed) -> anyhow::Result<()> {
    bed.kubectl(&["cordon", "w2"]).await?.success()?;
    let strays = ["delete", "pods", "--selector", "app=web", "--field-selector", "spec.nodeName!=w1", "--wait=true"];
    bed.kubectl(&strays).await?.success()?;
    bed.wait_workload().await?;
    bed.kubectl(&["uncordon", "w2"]).await?.success()?;
    until("all pods on w1", Duration::from_secs(60), async || {
        Ok((pods_on(bed, "w1").await? == pods(bed).await?.len()).then_some(()))
    })
    .await
}

/// Something that is looked at again and again while usher runs; the worst value counts.
#[derive(Debug)]
pub(crate) struct Worst {
    value: Arc<AtomicUsize>,
    looks: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Worst {
    /// Starts to look. `look` tells what it sees, or `None` if it saw nothing; `worse` chooses.
    fn of(
        mut look: impl AsyncFnMut() -> Option<usize> + 'static,
        first: usize,
        worse: fn(usize, usize) -> usize,
    ) -> Self {
        let (value, looks) = (Arc::new(AtomicUsize::new(first)), Arc::new(AtomicUsize::new(0)));
        let (worst, looked) = (Arc::clone(&value), Arc::clone(&looks));
        let task = tokio::task::spawn_local(async move {
            loop {
                if let Some(seen) = look().await {
                    worst.store(worse(worst.load(Ordering::Relaxed), seen), Ordering::Relaxed);
                    looked.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(POLL).await;
            }
        });
        Self { value, looks, task }
    }

    /// Stops looking, and tells the worst that was seen.
    pub(crate) fn stop(self) -> usize {
        self.task.abort();
        assert!(self.looks.load(Ordering::Relaxed) > 0, "nothing was ever seen");
        self.value.load(Ordering::Relaxed)
    }
}

/// The most apiservers that were not ready at the same time.
pub(crate) fn most_unready(bed: &Bed) -> Worst {
    let bed = bed.clone();
    let look = async move || {
        let answers =
            join_all(CONTROL_PLANES.iter().map(|machine| timeout(Duration::from_secs(2), bed.api_ready(machine))));
        Some(answers.await.iter().filter(|answer| !matches!(answer, Ok(Ok(())))).count())
    };
    Worst::of(look, 0, usize::max)
}

/// The fewest pods of the Deployment that were available at the same time.
pub(crate) async fn fewest_available(bed: &Bed) -> anyhow::Result<Worst> {
    let deployments: Api<Deployment> = Api::default_namespaced(bed.client().await?);
    let look = async move || {
        let status = deployments.get("web").await.ok()?.status?;
        usize::try_from(status.available_replicas.unwrap_or_default()).ok()
    };
    Ok(Worst::of(look, usize::MAX, usize::min))
}
