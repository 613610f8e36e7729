//! Steps: the vocabulary of plans. The coordinator's `steps` module carries them out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One step of a turn. It names all that it needs: what a step does never depends on its neighbours in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Step {
    /// Look whether every pod of the Node can be evicted at all.
    Preflight,
    /// Cordon the Node, with usher's mark.
    Cordon {
        /// The cordon is the purpose: it stays when the operation ends.
        keep: bool,
    },
    /// Evict the Node's pods and wait until they are gone.
    Drain,
    /// Look whether the Node that was drained is still cordoned.
    ProveCordoned,
    /// Stop the leader's unit, free its lease for it, and wait for another holder that renews.
    HandOver { component: String, unit: String },
    /// Hand the leadership of etcd from the machine's member to that of a machine that this operation does not touch any more.
    HandEtcdOver {
        /// That machine.
        to: String,
    },
    /// Take the machine's apiserver out of the load balancer's pool.
    Depool,
    /// Restart a unit and wait until it says that it is healthy.
    Restart { component: String, unit: String },
    /// Start a unit that was stopped and wait until it says that it is healthy.
    Start { component: String, unit: String },
    /// Reboot the machine and wait for its agent with a new boot id.
    Reboot {
        /// The turn has cordoned and drained its Node, which must still be cordoned.
        drained: bool,
    },
    /// Wait until the control plane's units on the rebooted machine are active and healthy.
    ProveUnits,
    /// Wait until the machine's member of etcd is well and has applied all that its leader had.
    ProveEtcd,
    /// Put the machine's apiserver back into the pool and see it there.
    Pool {
        /// The site has a command for it; else only its return into rotation is awaited.
        by_command: bool,
    },
    /// Wait until somebody holds each lease and renews it, and every apiserver is ready.
    ProveControlPlane {
        /// The component whose leader the turn restarted, if it did.
        led: Option<String>,
    },
    /// Wait until the Node is Ready in its new boot, and stays so.
    ProveReady {
        /// The Node is cordoned meanwhile.
        cordoned: bool,
    },
    /// Uncordon the Node.
    Uncordon {
        /// Only if the cordon carries usher's mark.
        only_ours: bool,
    },
    /// Move pods to the Node until it has its share.
    Rebalance {
        /// The Nodes that get pods in this operation, this one included: a pod that goes to any of them went well.
        among: Vec<String>,
        /// At most so many pods.
        max_moves: Option<usize>,
        /// How many pods are under way at a time; at least 1.
        at_a_time: usize,
    },
    /// Let clients find the restarted apiserver before the next one goes.
    Gap {
        #[serde(rename = "waitSeconds", with = "crate::seconds")]
        wait: Duration,
    },
}

/// What a step does to the world. Everything that the runner wants to know of a step follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It reads and waits.
    Looks,
    /// It changes something that makes way for the turns of other machines too: where several are under way, all are prepared
    /// before the first goes on.
    Prepares,
    /// It changes something that can be taken back.
    Changes,
    /// It completes what an earlier step began, so an interrupt does not stop the turn before it.
    Completes,
    /// It cannot be taken back: gates are asked once more right before it.
    Irreversible,
}

/// Whether a step that did not end well, or whose successors did not, is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    TakesBack,
    /// There is nothing to take back, or nothing that could be; this is why.
    Nothing(&'static str),
}

/// A step's row in the table of the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The step in one word, as progress shows it.
    pub word: &'static str,
    /// The step in a plan; None if a plan need not mention it.
    pub text: Option<String>,
    pub effect: Effect,
    pub undo: Undo,
}

impl Step {
    /// The whole vocabulary: one row a step, and no wildcard, so that a new step cannot be forgotten anywhere.
    pub fn row(&self) -> Row {
        use Effect::{Changes, Completes, Irreversible, Looks, Prepares};
        use Undo::{Nothing, TakesBack};
        const LOOKED: Undo = Nothing("it only looked");
        let row = |word, text: &str, effect, undo| Row { word, text: Some(text.to_owned()), effect, undo };
        match self {
            Self::Preflight => Row { word: "preflight", text: None, effect: Looks, undo: LOOKED },
            Self::Cordon { .. } => row("cordon", "cordon", Prepares, TakesBack),
            Self::Drain => {
                row("drain", "drain", Changes, Nothing("pods that have left do not come back by themselves"))
            }
            Self::ProveCordoned => Row { word: "cordoned", text: None, effect: Looks, undo: LOOKED },
            Self::HandOver { component, .. } => row(
                "hand over",
                &format!("stop {component}, free its lease, wait for another leader"),
                Changes,
                TakesBack,
            ),
            Self::HandEtcdOver { to } => row(
                "hand over",
                &format!("hand the leadership of etcd to {to}"),
                Changes,
                Nothing("the member that leads now is as good, and each hand-over holds writes up for a moment"),
            ),
            Self::Depool => row("depool", "take out of the pool", Changes, TakesBack),
            Self::Restart { .. } => {
                row("restart", "restart, wait until healthy", Irreversible, Nothing("the new process stays"))
            }
            Self::Start { .. } => {
                row("start", "start, wait until healthy", Completes, Nothing("it ran before the turn"))
            }
            Self::Reboot { .. } => row("reboot", "reboot", Irreversible, Nothing("the machine may be down")),
            Self::ProveUnits => row("units", "wait until its units are healthy", Looks, LOOKED),
            Self::ProveEtcd => row("etcd", "wait until its member of etcd has caught up", Looks, LOOKED),
            Self::Pool { by_command } => {
                let text = if *by_command { "put back into the pool" } else { "wait until it is back in rotation" };
                row("pool", text, Completes, Nothing("it was in the pool before the turn"))
            }
            Self::ProveControlPlane { led } => Row {
                word: "leaders",
                // Said once, where it is the point: after the leader's own restart.
                text: led.as_ref().map(|_| "wait for a leader that renews".to_owned()),
                effect: Looks,
                undo: LOOKED,
            },
            Self::ProveReady { .. } => row("ready", "wait until Ready", Looks, LOOKED),
            Self::Uncordon { only_ours: true } => {
                row("uncordon", "uncordon", Completes, Nothing("it was schedulable before the turn"))
            }
            Self::Uncordon { only_ours: false } => row("uncordon", "uncordon", Changes, Nothing("it was the purpose")),
            Self::Rebalance { max_moves, at_a_time, .. } => {
                let most = max_moves.map(|most| format!(", {most} at most")).unwrap_or_default();
                let pace = if *at_a_time == 1 { "one".to_owned() } else { at_a_time.to_string() };
                let text = format!("move pods to it, {pace} at a time{most}");
                row("rebalance", &text, Changes, Nothing("pods that have moved run where they are"))
            }
            Self::Gap { wait } => {
                row("gap", &format!("wait {}", humantime::format_duration(*wait)), Looks, Nothing("it only waited"))
            }
        }
    }

    /// The step in one word, as progress shows it.
    pub fn word(&self) -> &'static str {
        self.row().word
    }

    /// Whether it changes something. Before such a step the lock is checked and an interrupt is heeded.
    pub fn changes(&self) -> bool {
        self.row().effect != Effect::Looks
    }

    /// Whether it must not be left out once an earlier step of its turn is done.
    pub fn completes(&self) -> bool {
        self.row().effect == Effect::Completes
    }

    /// Whether it comes before the point from which turns of an operation go on one by one.
    pub fn prepares(&self) -> bool {
        matches!(self.row().effect, Effect::Looks | Effect::Prepares)
    }

    pub fn is_irreversible(&self) -> bool {
        self.row().effect == Effect::Irreversible
    }
}
