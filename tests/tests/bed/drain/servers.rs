//! Apiservers that are away, busy, or lose their connections while usher drains, and controllers that nobody runs.

use std::time::Duration;

use anyhow::Context;
use futures::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use usher_testkit::bed::{Bed, CONTROL_PLANES, until};

use super::{
    lives::Lives,
    tenant::{Tenant, needs},
};
use crate::{run::Run, turn::on_the_bed};

/// How long the apiservers are stopped. Until they serve again it takes them ten seconds more, on a busy host fifteen; beyond 45 s without a
/// renewal usher gives its lock up, and ends.
const OUTAGE: Duration = Duration::from_secs(20);
/// So long after the last renewal of its lease a controller-manager that has gone counts as the leader (`leaseDurationSeconds`).
const LEASE: Duration = Duration::from_secs(15);
/// Long enough that everything usher does meets a busy server.
const BUSY: Duration = Duration::from_secs(8);
/// usher sees what happens sooner than anybody who asks each five seconds.
const NOTICED: Duration = Duration::from_secs(3);
/// Settings of priority and fairness reach an apiserver within a second.
const SETTINGS_LIMIT: Duration = Duration::from_secs(20);
/// Who may ask only as much as a test allows; also the name of the settings that say so.
const THROTTLED: &str = "usher-throttled";

#[test]
fn apiservers_that_are_all_away_for_half_a_minute_are_waited_for() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            let (lives, run) = drained_without(bed, tenant, "kube-apiserver.service", OUTAGE).await?;
            run.assert_exit(0);
            run.assert_says("4 pods gone");
            assert!(run.output.took > OUTAGE, "{}", run.output);
            assert_eq!(lives.gone(4).await?.len(), 4);
            Ok(())
        })
        .await
    });
}

#[test]
fn while_nobody_runs_the_controllers_a_drain_that_waits_says_that_budgets_do_not_refill() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            let (lives, run) = drained_without(bed, tenant, "kube-controller-manager.service", 2 * LEASE).await?;
            run.assert_exit(0);
            run.assert_says("no kube-controller-manager leads: budgets do not refill");
            assert_eq!((lives.gone(4).await?.len(), lives.hit_elsewhere()), (4, 0));
            Ok(())
        })
        .await
    });
}

/// Drains four pods while the unit is stopped on all control planes for some time, from the first pod's eviction on.
async fn drained_without(bed: &Bed, tenant: &Tenant<'_>, unit: &str, away: Duration) -> anyhow::Result<(Lives, Run)> {
    // One after another, three seconds each: most of them are still to be evicted when the unit is back.
    let lives = tenant.run(&[tenant.slow("web", 4, 3), needs("web", 3)], 4).await?;
    let (run, restored) = tokio::join!(tenant.drain(&["--drain-timeout=5m"]), async {
        lives.await_told(1).await?;
        everywhere(bed, "stop", unit).await?;
        sleep(away).await;
        everywhere(bed, "start", unit).await
    });
    restored?;
    Ok((lives, run?))
}

async fn everywhere(bed: &Bed, verb: &str, unit: &str) -> anyhow::Result<()> {
    let script = format!("systemctl {verb} {unit}");
    try_join_all(CONTROL_PLANES.iter().map(|machine| bed.shell(machine.name, &script))).await.map(drop)
}

#[test]
fn a_server_that_turns_usher_away_as_too_busy_is_no_budget() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            let second = tenant.obedient("second", 6);
            let lives = tenant.run(&[tenant.slow("first", 1, 8), second], 7).await?;
            allow(bed, 10).await?;
            let before = refused(bed).await?;
            let flags = ["--evict-first=app=first", "--as", THROTTLED];
            let (run, refused) = tokio::join!(tenant.drain(&flags), async {
                lives.await_told(1).await?;
                allow(bed, 0).await?;
                let refused = until("refusals of too many requests", SETTINGS_LIMIT, async || {
                    Ok(Some(refused(bed).await?).filter(|refused| *refused > before))
                });
                let refused = refused.await?;
                sleep(BUSY).await;
                allow(bed, 10).await?;
                anyhow::Ok(refused)
            });
            forget(bed).await?;
            refused?;
            let run = run?;
            run.assert_exit(0);
            run.assert_says("7 pods gone");
            run.assert_says("Too many requests, please try again later.");
            assert!(!run.output.says("disruption budget") && !run.output.says("waits:"), "{}", run.output);
            assert_eq!(lives.gone(7).await?.len(), 7);
            Ok(())
        })
        .await
    });
}

/// Gives the throttled user rights to everything, and so many shares of the apiservers' attention; 0 turns it away.
async fn allow(bed: &Bed, shares: u32) -> anyhow::Result<()> {
    let limited = json!({
        "nominalConcurrencyShares": shares, "lendablePercent": 0, "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"},
    });
    let resources =
        json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}]);
    let rule = json!({"subjects": [{"kind": "User", "user": {"name": THROTTLED}}], "resourceRules": resources});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"});
    let who = json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": THROTTLED}]);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        of("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", json!({"roleRef": role, "subjects": who})),
        of("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration",
            json!({"spec": {"type": "Limited", "limited": limited}})),
        of("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", json!({"spec": {
            "matchingPrecedence": 10, "priorityLevelConfiguration": {"name": THROTTLED}, "rules": [rule],
        }})),
    ]});
    bed.kubectl_with_input(&["apply", "--filename", "-"], &list.to_string()).await?.success().map(drop)
}

fn of(api_version: &str, kind: &str, mut object: Value) -> Value {
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    object["metadata"]["name"] = THROTTLED.into();
    object
}

async fn forget(bed: &Bed) -> anyhow::Result<()> {
    let kinds = "flowschema,prioritylevelconfiguration,clusterrolebinding";
    bed.kubectl(&["delete", kinds, THROTTLED, "--ignore-not-found"]).await?.success().map(drop)
}

/// How many requests all apiservers together have turned away by our settings.
async fn refused(bed: &Bed) -> anyhow::Result<u64> {
    let level = format!("priority_level=\"{THROTTLED}\"");
    let mut refused = 0;
    for machine in CONTROL_PLANES {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let metrics = bed.client_at(machine).await?.request_text(request).await?;
        let lines = metrics
            .lines()
            .filter(|line| line.starts_with("apiserver_flowcontrol_rejected_requests_total") && line.contains(&level));
        for line in lines {
            refused += line.rsplit(' ').next().context("an empty line")?.parse::<u64>()?;
        }
    }
    Ok(refused)
}

#[test]
fn connections_that_break_while_pods_are_waited_for_lose_nothing() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            let lives =
                tenant.run(&[tenant.slow("slow", 2, 8), tenant.obedient("kept", 1), needs("kept", 1)], 3).await?;
            let (run, edited) = tokio::join!(tenant.drain(&["--ignore-verdicts"]), async {
                // An eviction that is cut off half-way keeps its pod for two minutes: its budget has counted it already.
                lives.await_told(2).await?;
                // A watch that has just begun again is cut, and one that has been there for a while.
                for pause in [1_000, 200, 300, 1_500, 100] {
                    sleep(Duration::from_millis(pause)).await;
                    bed.cut_connections().await?;
                }
                tenant.kubectl(&["delete", "pdb", "kept"]).await?;
                anyhow::Ok(Instant::now())
            });
            let (run, edited) = (run?, edited?);
            run.assert_exit(0);
            run.assert_says("3 pods gone");
            run.assert_says("needs 1 healthy pods and has 1 currently");
            let gone = lives.gone(3).await?;
            let kept = gone[2].told.context("never told to go")?;
            let late = kept.saturating_duration_since(edited);
            assert!(late < NOTICED, "usher noticed the end of the budget after {late:?}");
            let (first, last) = (gone[0].told.context("never")?, gone.iter().filter_map(|life| life.gone).max());
            let late = run.output.took.saturating_sub(last.context("never gone")? - first);
            assert!(late < NOTICED, "usher noticed the end of the last pod after {late:?}: {}", run.output);
            Ok(())
        })
        .await
    });
}
