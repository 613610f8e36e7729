//! Steps: the vocabulary of plans. The coordinator's `steps` module carries them out.

use std::time::Duration;

use serde::Serialize;

/// One step of a machine's turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Step {
    /// Take the machine's apiserver out of the load balancer's pool.
    Depool,
    /// Restart a unit and wait until it says that it is healthy.
    Restart {
        /// The component.
        component: String,
        /// Its unit.
        unit: String,
    },
    /// Stop the leader's unit, free its lease for it, and wait for another holder that renews.
    HandOver {
        /// The component.
        component: String,
        /// Its unit.
        unit: String,
    },
    /// Start a unit that was stopped and wait until it says that it is healthy.
    Start {
        /// The component.
        component: String,
        /// Its unit.
        unit: String,
    },
    /// Wait until somebody holds each lease and renews it, and every apiserver is ready.
    ProveControlPlane,
    /// Put the machine's apiserver back into the pool and see it there.
    Pool,
    /// Let clients find the restarted apiserver before the next one goes.
    Gap {
        /// For how long.
        #[serde(serialize_with = "as_seconds")]
        wait: Duration,
    },
    /// Cordon the Node, with usher's mark.
    Cordon {
        /// The cordon is the purpose: it stays when the operation ends.
        keep: bool,
    },
    /// Evict the Node's pods and wait until they are gone.
    Drain,
    /// Reboot the machine and wait for its agent with a new boot id.
    Reboot,
    /// Wait until the control plane's units on the rebooted machine are active and healthy.
    ProveUnits,
    /// Wait until the Node is Ready in its new boot, and stays so.
    ProveReady,
    /// Uncordon the Node.
    Uncordon {
        /// Only if the cordon carries usher's mark.
        only_ours: bool,
    },
}

impl Step {
    /// The step in one word, as progress shows it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Depool => "depool",
            Self::Restart { .. } => "restart",
            Self::HandOver { .. } => "hand over",
            Self::Start { .. } => "start",
            Self::ProveControlPlane => "leaders",
            Self::Pool => "pool",
            Self::Gap { .. } => "gap",
            Self::Cordon { .. } => "cordon",
            Self::Drain => "drain",
            Self::Reboot => "reboot",
            Self::ProveUnits => "units",
            Self::ProveReady => "ready",
            Self::Uncordon { .. } => "uncordon",
        }
    }

    /// Whether it changes something. Before such a step the lock is checked and an interrupt is heeded.
    pub fn changes(&self) -> bool {
        !matches!(self, Self::ProveControlPlane | Self::Gap { .. } | Self::ProveUnits | Self::ProveReady)
    }

    /// Whether it must not be left out once an earlier step of its turn is done: an interrupt does not stop before it.
    pub fn completes(&self) -> bool {
        matches!(self, Self::Start { .. } | Self::Pool | Self::Uncordon { only_ours: true })
    }
}

fn as_seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
