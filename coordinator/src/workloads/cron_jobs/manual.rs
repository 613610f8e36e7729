//! A job started by hand from a CronJob's template, as `kubectl create job --from=cronjob/NAME` starts it.

use serde_json::{Value, json};

use crate::cluster::names::REASON;

/// The longest name of a Job: it becomes the value of a label of its pods.
const LONGEST_NAME: usize = 63;

/// What stands between the CronJob's name and the part that makes the job's name its own.
const INFIX: &str = "-manual-";

/// Letters of the last part of a name, as Kubernetes draws them: no vowels, so that no word comes of it.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;

/// Says that somebody started it: what kubectl writes.
const INSTANTIATE: &str = "cronjob.kubernetes.io/instantiate";

/// `CRONJOB-manual-xxxxx`, with a CronJob's name that is too long cut short.
pub(in crate::workloads) fn new_name(cron_job: &str) -> String {
    let suffix: String = (0..SUFFIX).map(|_| char::from(LETTERS[fastrand::usize(..LETTERS.len())])).collect();
    let room = LONGEST_NAME - INFIX.len() - SUFFIX;
    let kept: String = cron_job.chars().take(room).collect();
    format!("{}{INFIX}{suffix}", kept.trim_end_matches(['-', '.']))
}

/// The job, from the CronJob as the API has it: with whatever fields it has, known here or not.
///
/// The owner does not block its deletion: to say so would need the right to finalizers of CronJobs.
pub(in crate::workloads) fn manual_job(cron_job: &Value, name: &str, reason: Option<&str>) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let mut annotations = template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    annotations.insert(INSTANTIATE.to_owned(), "manual".into());
    if let Some(reason) = reason {
        annotations.insert(REASON.to_owned(), reason.into());
    }
    let mut metadata = json!({
        "name": name,
        "annotations": annotations,
        "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": cron_job["metadata"]["name"],
            "uid": cron_job["metadata"]["uid"], "controller": true,
        }],
    });
    if let Some(labels) = template["metadata"]["labels"].as_object() {
        metadata["labels"] = labels.clone().into();
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_job_it_is_and_is_never_too_long() {
        let name = new_name("report");
        assert!(name.starts_with("report-manual-") && name.len() == "report-manual-".len() + 5, "{name}");
        let long = new_name(&"x".repeat(63));
        assert_eq!(long.len(), 63, "{long}");
        // Cut where a word ends: no two dashes in a row.
        let cut = new_name(&format!("{}-tail", "y".repeat(49)));
        assert!(cut.starts_with(&format!("{}-manual-", "y".repeat(49))), "{cut}");
    }

    #[test]
    fn it_is_the_job_that_kubectl_would_make() {
        let cron_job = json!({
            "metadata": {"name": "report", "uid": "u-1"},
            "spec": {"jobTemplate": {
                "metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
                "spec": {"backoffLimit": 2, "fieldOfTomorrow": true, "template": {"spec": {"restartPolicy": "Never"}}},
            }},
        });
        let job = manual_job(&cron_job, "report-manual-x", None);
        assert_eq!(
            job,
            json!({
                "apiVersion": "batch/v1", "kind": "Job",
                "metadata": {
                    "name": "report-manual-x", "labels": {"team": "a"},
                    "annotations": {"note": "b", "cronjob.kubernetes.io/instantiate": "manual"},
                    "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "report", "uid": "u-1",
                        "controller": true}],
                },
                "spec": {"backoffLimit": 2, "fieldOfTomorrow": true, "template": {"spec": {"restartPolicy": "Never"}}},
            })
        );
        let told = manual_job(&cron_job, "report-manual-x", Some("T400123"));
        assert_eq!(told["metadata"]["annotations"]["usher.dev/reason"], "T400123");
    }
}
