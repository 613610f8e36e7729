//! What a CronJob will do next.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::Serialize;

use super::{object::CronJob, schedule::Schedule};

/// What a CronJob is set to do, and will do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CronJobFacts {
    pub name: String,
    pub uid: String,
    pub schedule: String,
    /// None means the zone of the kube-controller-manager's machine.
    pub time_zone: Option<String>,
    pub suspended: bool,
    /// `Allow`, `Forbid` or `Replace`.
    pub concurrency_policy: String,
    pub last_schedule: Option<Timestamp>,
    pub last_success: Option<Timestamp>,
    /// When it starts a job next; None if it is suspended or the schedule does not tell. Without a time zone it is right if the
    /// kube-controller-manager's is UTC.
    pub next_run: Option<Timestamp>,
    /// A run is due and held up by a job that still runs: its controller starts it as soon as that one has gone.
    pub catches_up: bool,
}

impl CronJobFacts {
    /// Whether a second job at a time is allowed.
    pub(in crate::workloads) fn allows_concurrency(&self) -> bool {
        self.concurrency_policy == "Allow"
    }
}

/// What is to be known of a CronJob, at this time of the server.
pub(in crate::workloads) fn facts(cron_job: &CronJob, now: Timestamp) -> CronJobFacts {
    let CronJob { metadata, spec, status } = cron_job;
    let suspended = spec.suspend.unwrap_or_default();
    let concurrency_policy = spec.concurrency_policy.clone().unwrap_or_else(|| "Allow".to_owned());
    let zone = spec.time_zone.as_deref().map_or(Ok(TimeZone::UTC), TimeZone::get).ok();
    let runs = Schedule::parse(&spec.schedule).zip(zone).filter(|_| !suspended);
    let after = |at: Timestamp| runs.as_ref().and_then(|(schedule, zone)| schedule.next(at, zone));
    // A run that Forbid holds up is not noted as scheduled: `syncCronJob` in k8s.io/kubernetes/pkg/controller/cronjob makes up for
    // the latest one that was missed since, unless its starting deadline has passed.
    let catches_up = concurrency_policy == "Forbid" && {
        let limit = spec.starting_deadline_seconds.map(|seconds| now - SignedDuration::from_secs(seconds.into()));
        let begin = status.last_schedule_time.or(metadata.creation_timestamp).max(limit);
        begin.and_then(after).is_some_and(|due| due <= now)
    };
    CronJobFacts {
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        schedule: spec.schedule.clone(),
        time_zone: spec.time_zone.clone(),
        suspended,
        concurrency_policy,
        last_schedule: status.last_schedule_time,
        last_success: status.last_successful_time,
        next_run: after(now),
        catches_up,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(mut spec: Value, last_schedule: &str) -> CronJobFacts {
        spec["schedule"] = "0 * * * *".into();
        let cron_job =
            json!({"metadata": {"name": "report"}, "spec": spec, "status": {"lastScheduleTime": last_schedule}});
        facts(&serde_json::from_value(cron_job).unwrap(), "2026-11-02T12:10:00Z".parse().unwrap())
    }

    #[test]
    fn a_suspended_one_runs_nothing_next() {
        let next = |spec| seen(spec, "2026-11-02T12:00:00Z").next_run.map(|at| at.to_string());
        assert_eq!(next(json!({})).as_deref(), Some("2026-11-02T13:00:00Z"));
        assert_eq!(next(json!({"suspend": true})), None);
        assert_eq!(next(json!({"timeZone": "No/Where"})), None);
    }

    #[test]
    fn a_run_that_a_running_job_holds_up_is_made_up_for_until_its_deadline() {
        for (spec, last, catches_up) in [
            (json!({"concurrencyPolicy": "Forbid"}), "2026-11-02T11:00:00Z", true),
            (json!({"concurrencyPolicy": "Forbid"}), "2026-11-02T12:00:00Z", false),
            (json!({"concurrencyPolicy": "Forbid", "suspend": true}), "2026-11-02T11:00:00Z", false),
            (json!({"concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 900}), "2026-11-02T11:00:00Z", true),
            (json!({"concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 300}), "2026-11-02T11:00:00Z", false),
            (json!({"concurrencyPolicy": "Replace"}), "2026-11-02T11:00:00Z", false),
            (json!({}), "2026-11-02T11:00:00Z", false),
        ] {
            let shown = spec.to_string();
            assert_eq!(seen(spec, last).catches_up, catches_up, "{shown}");
        }
    }
}
