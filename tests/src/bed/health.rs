//! Mending: whatever a test has left behind is put right, and the cluster is whole again before the next one.

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Node};
use kube::Api;

use super::{Bed, CONTROL_PLANES, Link, MACHINES, Machine, Power, WORKERS, until};

/// From a broken bed to a whole one: boots, elections after a lease has expired, a balancer's checks.
const LIMIT: Duration = Duration::from_secs(180);
/// Takes away the mark that usher leaves on a Node that it keeps cordoned.
const CORDON_MARK: &str = "usher.dev/cordon-";
/// The name of the drop-ins with which tests break units.
const DROP_IN: &str = "50-bed-test.conf";

impl Bed {
    /// Puts right what a test may have left: faults, broken units, fake nodes, cordons, machines out of the pool; then waits
    /// until the cluster is whole.
    ///
    /// # Errors
    /// If it does not get whole in time, with what is missing.
    pub async fn restore(&self) -> anyhow::Result<()> {
        self.heal().await?;
        try_join_all(MACHINES.iter().map(|machine| self.mend_machine(machine))).await?;
        for machine in CONTROL_PLANES {
            self.pool(machine.name).await?;
        }
        self.wait_control_plane().await?;
        self.end_fleet().await?;
        for machine in WORKERS {
            self.register(machine).await?;
            self.kubectl(&["uncordon", machine.name]).await?.success()?;
            self.kubectl(&["annotate", "node", machine.name, CORDON_MARK]).await?.success()?;
        }
        self.wait_nodes().await?;
        self.start_workload().await?;
        try_join_all(MACHINES.iter().map(|machine| self.await_agent(machine))).await.map(drop)
    }

    /// Brings back a Node that was deleted: its kubelet makes it, but only when it starts.
    async fn register(&self, machine: &Machine) -> anyhow::Result<()> {
        let nodes: Api<Node> = Api::all(self.client().await?);
        if nodes.get_opt(machine.name).await?.is_some() {
            return Ok(());
        }
        self.shell(machine.name, "systemctl restart kubelet.service").await?;
        until(&format!("the Node {}", machine.name), LIMIT, async || Ok(nodes.get_opt(machine.name).await?))
            .await
            .map(drop)
    }

    async fn mend_machine(&self, machine: &Machine) -> anyhow::Result<()> {
        let name = machine.name;
        let boots = self.state(name)?.boots;
        self.allow_return(name)?;
        match self.state(name)?.power {
            Power::Off => self.power_on(name).await?,
            Power::HeldDown => self.await_boot(name, boots + 1).await?,
            Power::Booting | Power::Stopping => self.await_power(name, Power::Running).await?,
            Power::Running => {
                self.thaw(name).await?;
                self.link(name, Link::Up).await?;
            }
        }
        self.mend_units(name).await?;
        self.shell(name, "rm -f /etc/usher/hold").await.map(drop)
    }

    /// Breaks or changes a unit by a drop-in, which [`Bed::restore`] takes away. The running unit is left as it is.
    ///
    /// # Errors
    /// If the machine is off.
    pub async fn override_unit(&self, name: &str, unit: &str, text: &str) -> anyhow::Result<()> {
        self.write(name, &format!("/etc/systemd/system/{unit}.d/{DROP_IN}"), text).await?;
        self.shell(name, "systemctl daemon-reload").await.map(drop)
    }

    /// Takes all drop-ins of tests away and restarts their units; starts what a test has stopped.
    async fn mend_units(&self, name: &str) -> anyhow::Result<()> {
        let script = format!(
            "for drop_in in /etc/systemd/system/*.d/{DROP_IN}; do
                 [ -e \"$drop_in\" ] || continue
                 folder=$(dirname \"$drop_in\"); unit=$(basename \"$folder\" .d)
                 rm \"$drop_in\"; systemctl daemon-reload; systemctl reset-failed \"$unit\" || true
                 systemctl restart --no-block \"$unit\"
             done
             systemctl start --no-block multi-user.target"
        );
        self.shell(name, &script).await.map(drop)
    }

    /// Waits until every member of etcd is healthy, every apiserver ready and in rotation, and both leases are renewed.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub async fn wait_control_plane(&self) -> anyhow::Result<()> {
        self.wait_etcd().await?;
        for machine in CONTROL_PLANES {
            until(&format!("/readyz of {}", machine.name), LIMIT, async || self.api_ready(machine).await.map(Some))
                .await?;
        }
        self.await_rotation(LIMIT).await?;
        for component in ["kube-controller-manager", "kube-scheduler"] {
            self.wait_leader(component).await?;
        }
        Ok(())
    }

    /// Waits until somebody leads `component` and renews, and tells the machine.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub async fn wait_leader(&self, component: &str) -> anyhow::Result<String> {
        let leases: Api<Lease> = Api::namespaced(self.client().await?, "kube-system");
        until(&format!("a leader of {component}"), LIMIT, async || Ok(leader(&leases.get(component).await?))).await
    }
}

/// The machine of the holder, if it has renewed within the lease's duration.
fn leader(lease: &Lease) -> Option<String> {
    let spec = lease.spec.as_ref()?;
    let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())?;
    let renewed = spec.renew_time.as_ref()?.0;
    let duration = Duration::from_secs(u64::try_from(spec.lease_duration_seconds?).ok()?);
    let age = Duration::try_from(usher_common::clock::now().duration_since(renewed)).unwrap_or_default();
    // The identity is the host name and a random suffix.
    let (machine, _) = holder.split_once('_').unwrap_or((holder, ""));
    (age < duration).then(|| machine.to_owned())
}
