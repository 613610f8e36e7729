//! Moving pods back, with a real scheduler, real controllers and real kubelets: a node that was drained gets its share again.

use std::time::Duration;

use usher_testkit::bed::{is_ready, until};

use crate::{
    drain::tenant::{Tenant, needs, stateful_set},
    observe::{is_cordoned, node_of},
    run::Run,
    turn::on_the_bed,
};

/// From the uncordon until the scheduler knows of it, and pods that were drained run.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);

/// `usher rebalance w1`, for the pods of this tenant alone.
async fn rebalance(tenant: &Tenant<'_>, flags: &[&str]) -> anyhow::Result<Run> {
    let selector = format!("tenant={}", tenant.name);
    Run::of(tenant.bed, &[&["rebalance", "w1", "--pod-selector", &selector], flags].concat()).await
}

/// Drains w1, of the bed's own workload too, and makes it schedulable again; then all `pods` of the tenant run on w2.
async fn empty_w1(tenant: &Tenant<'_>, pods: usize) -> anyhow::Result<()> {
    Run::of(tenant.bed, &["drain", "w1", "--drain-timeout=5m"]).await?.assert_exit(0);
    Run::of(tenant.bed, &["uncordon", "w1"]).await?.assert_exit(0);
    until("the tenant's pods on w2", SETTLE_LIMIT, async || {
        let listed = tenant.pods().await?;
        let ready = listed.iter().filter(|pod| node_of(pod) == Some("w2") && is_ready(pod)).count();
        Ok((ready == pods && listed.len() == pods).then_some(()))
    })
    .await
}

async fn on_w1(tenant: &Tenant<'_>) -> anyhow::Result<usize> {
    Ok(tenant.pods().await?.iter().filter(|pod| node_of(pod) == Some("w1") && is_ready(pod)).count())
}

#[test]
fn a_node_that_was_drained_gets_its_share_back_within_the_budget() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            let objects = [tenant.obedient("web", 6), needs("web", 5), tenant.obedient("api", 4)];
            tenant.run(&objects, 10).await?;
            empty_w1(tenant, 10).await?;

            let dry = rebalance(tenant, &["--dry-run"]).await?;
            dry.assert_exit(0);
            assert!(
                dry.report["rebalance"]["moves"].as_array().is_some_and(|moves| moves.len() >= 5),
                "{}",
                dry.output
            );
            assert_eq!(on_w1(tenant).await?, 0);

            let run = rebalance(tenant, &[]).await?;
            run.assert_exit(0);
            // The scheduler also likes to spread each workload, so that not every successor goes to the emptiest node.
            let moves = run.report["moves"].as_array().cloned().unwrap_or_default();
            let there = on_w1(tenant).await?;
            assert_eq!(moves.iter().filter(|moved| moved["to"] == "w1").count(), there, "{}", run.output);
            assert!((4..=10).contains(&there) && moves.len() <= 10, "{}", run.output);
            assert!(!is_cordoned(bed, "w1").await? && !is_cordoned(bed, "w2").await?);

            // Another run takes nothing away again.
            let again = rebalance(tenant, &[]).await?;
            again.assert_exit(0);
            assert!(on_w1(tenant).await? >= there, "{}", again.output);
            Ok(())
        })
        .await
    });
}

#[test]
fn pods_of_a_stateful_set_come_under_their_own_names() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            tenant.run(&[stateful_set("pg", 4, &tenant.template("pg", crate::drain::tenant::OBEYS, 10))], 4).await?;
            empty_w1(tenant, 4).await?;
            let run = rebalance(tenant, &["--max-moves", "1"]).await?;
            run.assert_exit(0);
            let moved = &run.report["moves"][0];
            assert!(moved["name"].is_string() && moved["name"] == moved["successor"], "{}", run.output);
            assert_eq!(tenant.pods().await?.len(), 4);
            Ok(())
        })
        .await
    });
}
