//! A report of `-o json` as it is read back. Each field that a page shows, and none that must be there: a report of another
//! version is shown as far as it is understood.

use serde::Deserialize;
use serde_json::Value;

/// `usher restart -o json` and its like.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) operation: String,
    pub(super) cluster: String,
    /// As [`crate::exit::Exit`] is written.
    pub(super) exit: String,
    pub(super) exit_code: u8,
    pub(super) summary: String,
    pub(super) details: Vec<String>,
    pub(super) next: Vec<String>,
    pub(super) took_seconds: f64,
    pub(super) turns: Vec<Turn>,
    pub(super) in_doubt: Option<String>,
    pub(super) warnings: Vec<String>,
    pub(super) nodes: Vec<NodeChange>,
    pub(super) moves: Vec<Moved>,
}

#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Turn {
    pub(super) machine: String,
    pub(super) component: Option<String>,
    pub(super) done: bool,
    pub(super) took_seconds: f64,
    pub(super) facts: Vec<String>,
}

/// A Node before and after its machine's reboot.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeChange {
    pub(super) machine: String,
    pub(super) before: NodeState,
    pub(super) after: Option<NodeState>,
    pub(super) pods: Option<usize>,
}

#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeState {
    pub(super) ready: bool,
    pub(super) schedulable: bool,
    pub(super) kernel: String,
    pub(super) boot_id: String,
}

/// A pod that a rebalance moved.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Moved {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) took_seconds: f64,
}

/// Whether it is the report of a change to machines.
pub(super) fn is_report(value: &Value) -> bool {
    value["kind"] == "Report"
}
