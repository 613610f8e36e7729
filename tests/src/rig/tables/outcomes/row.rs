//! A row: a pod, its budgets, what happens to it, and how that should end.

use serde_json::{Value, json};

use super::super::place::Sketch;

/// What happens beside the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Nothing,
    /// The pod was told to go some time before the drain.
    DeletedBefore,
    /// Its grace is long over when the drain begins.
    LongDeleted,
    /// Its namespace is being deleted.
    NamespaceDeleted,
    /// It was told to go, and its namespace is being deleted.
    BothDeleted,
    /// Its namespace is being deleted, and the pod's turn comes while the drain runs.
    NamespaceEmptied,
    /// It goes after it was listed and before it is evicted.
    Vanishes,
    /// The same, and a successor of the same name is there on another node.
    ReplacedElsewhere,
    /// The same, and the successor is on the same node.
    ReplacedHere,
    /// An admission webhook denies its eviction.
    Denied,
    /// The same, and the webhook's operator deletes the pod at the second try.
    DeniedAndMoved,
}

/// A row of the table.
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) pod: Sketch,
    pub(super) budgets: Vec<(&'static str, Value, Value)>,
    pub(super) event: Event,
    pub(super) flags: &'static str,
    /// What is foreseen, and what comes of it.
    pub(super) expected: (&'static str, &'static str),
    /// How many seconds the pod was given, if it matters; 0 for none.
    pub(super) grace: Option<i64>,
}

/// A row without budgets, events and flags.
pub(super) fn row(what: &'static str, pod: Sketch, foreseen: &'static str, became: &'static str) -> Row {
    let (budgets, expected) = (Vec::new(), (foreseen, became));
    Row { what, pod, budgets, event: Event::Nothing, flags: "", expected, grace: None }
}

impl Row {
    /// A budget `web` over the pod with this `minAvailable`, counted as `[healthy, desired, allowed, expected]`.
    pub(super) fn needs(self, least: i64, counted: [i64; 4]) -> Self {
        self.budget("web", json!({"minAvailable": least}), status(counted))
    }

    pub(super) fn budget(mut self, name: &'static str, spec: Value, status: Value) -> Self {
        self.budgets.push((name, spec, status));
        self
    }

    pub(super) fn when(self, event: Event) -> Self {
        Self { event, ..self }
    }

    pub(super) fn with(self, flags: &'static str) -> Self {
        Self { flags, ..self }
    }

    pub(super) fn given(self, grace: i64) -> Self {
        Self { grace: Some(grace), ..self }
    }
}

/// A budget's status, counted as `[healthy, desired, allowed, expected]`.
pub(super) fn status([healthy, desired, allowed, expected]: [i64; 4]) -> Value {
    json!({
        "currentHealthy": healthy, "desiredHealthy": desired, "disruptionsAllowed": allowed, "expectedPods": expected,
        "observedGeneration": 1,
    })
}
