//! What containers live to see: their signal, their hook, their grace.

use std::time::Duration;

use serde_json::json;

use super::tenant::{Tenant, deployment};
use crate::turn::on_the_bed;

/// What SIGKILL leaves as an exit code.
const KILLED: Option<i32> = Some(128 + 9);
/// A busy kubelet is this late at most; and our own watch.
const SLACK: Duration = Duration::from_millis(3_500);
/// News of the beginning may reach our watch this much later than the kubelet.
const LAG: Duration = Duration::from_millis(500);

#[test]
fn a_container_that_ignores_sigterm_is_killed_after_its_grace_and_not_before() {
    on_the_bed(async |bed| {
        for (flags, grace) in [(&[][..], 5), (&["--grace-period=1"], 1)] {
            Tenant::with(bed, async |tenant| {
                let stubborn = tenant.template("stubborn", "trap '' TERM; while true; do sleep 3600; done", 5);
                let lives = tenant.run(&[deployment("stubborn", 1, &stubborn)], 1).await?;
                let run = tenant.drain(flags).await?;
                run.assert_exit(0);
                let [life] = &lives.gone(1).await?[..] else { anyhow::bail!("not one pod: {lives:#?}") };
                let (end, grace) = (life.end()?, Duration::from_secs(grace));
                assert!(end + LAG >= grace && end < grace + SLACK, "it lived for {end:?} with a grace of {grace:?}");
                assert_eq!(life.exit_code(), KILLED);
                Ok(())
            })
            .await?;
            bed.kubectl(&["uncordon", "w1"]).await?.success()?;
        }
        Ok(())
    });
}

#[test]
fn a_hook_before_the_stop_runs_to_its_end_before_the_pod_goes() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            let folder = format!("/var/tmp/{}", tenant.name);
            let script = "trap 'echo told >> /evidence/log; exit 0' TERM; while true; do sleep 3600 & wait; done";
            let hook = "echo began >> /evidence/log; sleep 3; echo ended >> /evidence/log";
            let mut template = tenant.template("hooked", script, 20);
            template["spec"]["volumes"] =
                json!([{"name": "evidence", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}]);
            let container = &mut template["spec"]["containers"][0];
            container["volumeMounts"] = json!([{"name": "evidence", "mountPath": "/evidence"}]);
            container["lifecycle"] = json!({"preStop": {"exec": {"command": ["sh", "-c", hook]}}});
            let lives = tenant.run(&[deployment("hooked", 1, &template)], 1).await?;

            let run = tenant.drain(&[]).await?;
            run.assert_exit(0);
            let log = bed.shell("w1", &format!("cat {folder}/log; rm -r {folder}")).await?;
            assert_eq!(log.stdout.lines().collect::<Vec<_>>(), ["began", "ended", "told"]);
            assert_eq!(lives.gone(1).await?[0].exit_code(), Some(0));
            run.assert_says("1 pod gone");
            Ok(())
        })
        .await
    });
}
