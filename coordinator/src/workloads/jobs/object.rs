//! A Job, as far as its row in a table or a plan depends on it.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::workloads::object::{Condition, Object};

pub(in crate::workloads) type Job = Object<Spec, Status>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::workloads) struct Spec {
    pub(in crate::workloads) parallelism: Option<u32>,
    pub(in crate::workloads) completions: Option<u32>,
    pub(in crate::workloads) backoff_limit: Option<u32>,
    pub(in crate::workloads) suspend: Option<bool>,
    pub(in crate::workloads) selector: Value,
    /// Of its pods.
    pub(in crate::workloads) template: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::workloads) struct Status {
    /// Pods that are neither over nor on their way out.
    pub(in crate::workloads) active: u32,
    /// Those of them that are Ready.
    pub(in crate::workloads) ready: Option<u32>,
    pub(in crate::workloads) succeeded: u32,
    pub(in crate::workloads) failed: u32,
    pub(in crate::workloads) start_time: Option<Timestamp>,
    pub(in crate::workloads) completion_time: Option<Timestamp>,
    pub(in crate::workloads) conditions: Vec<Condition>,
}

impl Spec {
    /// The selector of its pods in kubectl's notation; None if it has more than labels to match, which the API server never
    /// makes by itself.
    pub(in crate::workloads) fn pod_selector(&self) -> Option<String> {
        let labels = self.selector["matchLabels"].as_object().filter(|labels| !labels.is_empty())?;
        let terms = labels.iter().map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
        self.selector["matchExpressions"].is_null().then(|| terms.collect::<Option<Vec<_>>>())?.map(|all| all.join(","))
    }
}
