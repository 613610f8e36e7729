//! A CronJob, as far as its row in a table or a plan depends on it.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::workloads::object::Object;

pub(in crate::workloads) type CronJob = Object<Spec, Status>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::workloads) struct Spec {
    pub(in crate::workloads) schedule: String,
    pub(in crate::workloads) time_zone: Option<String>,
    pub(in crate::workloads) suspend: Option<bool>,
    pub(in crate::workloads) concurrency_policy: Option<String>,
    pub(in crate::workloads) starting_deadline_seconds: Option<u32>,
    pub(in crate::workloads) job_template: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::workloads) struct Status {
    pub(in crate::workloads) last_schedule_time: Option<Timestamp>,
    pub(in crate::workloads) last_successful_time: Option<Timestamp>,
}

impl Spec {
    /// The template of its jobs' pods.
    pub(in crate::workloads) fn pod_template(&self) -> &Value {
        &self.job_template["spec"]["template"]
    }
}
