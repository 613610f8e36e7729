//! Scenario 6, first half: what an agent refuses, it refuses with a clear message, and its journal tells.

use std::collections::BTreeMap;

use usher_coordinator::{
    agents::{Agent, AgentError, Agents, Order, Task},
    site_file,
};
use usher_proto::reason;
use usher_testkit::bed::{Bed, Client};

use crate::{
    observe::{boot_id, invocation},
    turn::on_the_bed,
};

const UNIT: &str = "kube-scheduler.service";

#[test]
fn a_caller_whose_certificate_another_authority_has_signed_gets_no_connection() {
    on_the_bed(async |bed| {
        let output = bed.usher_as(Client::Impostor, &["agent", "status", "cp1"]).await?;
        assert_ne!(output.code, Some(0), "{output}");
        assert!(output.says("does not trust our certificate"), "{output}");
        assert_refused_in_journal(bed, "TLS handshake failed").await
    });
}

#[test]
fn a_caller_who_is_not_listed_is_refused_although_the_authority_is_right() {
    on_the_bed(async |bed| {
        let output = bed.usher_as(Client::Stranger, &["agent", "status", "cp1"]).await?;
        assert_ne!(output.code, Some(0), "{output}");
        assert!(output.says("CN=stranger"), "{output}");
        assert_refused_in_journal(bed, "CN=stranger").await
    });
}

#[test]
fn a_viewer_may_look_but_not_restart() {
    on_the_bed(async |bed| {
        bed.usher_as(Client::Viewer, &["agent", "status", "cp1"]).await?.success()?;
        let before = invocation(bed, "cp1", UNIT).await?;

        let words = ["agent", "restart", "cp1", UNIT, "--reason", "bed test", "--yes"];
        let output = bed.usher_as(Client::Viewer, &words).await?;

        assert_eq!(output.code, Some(3), "{output}");
        assert!(output.says("viewer"), "{output}");
        assert_eq!(before, invocation(bed, "cp1", UNIT).await?);
        assert_refused_in_journal(bed, "CN=viewer").await
    });
}

#[test]
fn a_unit_outside_the_list_is_refused_by_the_agent_and_by_polkit() {
    on_the_bed(async |bed| {
        let outside = "systemd-networkd.service";
        let before = invocation(bed, "cp1", outside).await?;
        let refused = agent(bed)?.restart_unit(&order(&agent(bed)?, "outside").await?, outside, &before).await;
        assert_reason(refused, reason::UNIT_NOT_ALLOWED);
        assert_refused_in_journal(bed, outside).await?;

        // Even the agent's own user, with the agent's own rights, cannot.
        let words = ["setpriv", "--reuid=usher-agent", "--regid=usher-agent", "--clear-groups"];
        let restart = ["busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"];
        let method = ["org.freedesktop.systemd1.Manager", "RestartUnit", "ss", outside, "replace"];
        let output = bed.exec("cp1", &[&words[..], &restart, &method].concat()).await?;
        assert_ne!(output.code, Some(0), "{output}");
        assert_eq!(before, invocation(bed, "cp1", outside).await?);
        Ok(())
    });
}

#[test]
fn an_order_of_an_older_epoch_is_refused() {
    on_the_bed(async |bed| {
        let agent = agent(bed)?;
        // A first order with the present epoch makes sure that there is an older one.
        let mut order = order(&agent, "epoch").await?;
        order.epoch += 1;
        let before = invocation(bed, "cp1", UNIT).await?;
        let begun = agent.start_unit(&order, UNIT).await?;
        agent.follow(&begun.id, std::time::Duration::from_secs(60), |_| {}).await?;

        order.epoch -= 1;
        order.operation_id.push_str("-older");
        assert_reason(agent.restart_unit(&order, UNIT, &before).await, reason::STALE_EPOCH);
        assert_eq!(before, invocation(bed, "cp1", UNIT).await?);
        assert_refused_in_journal(bed, reason::STALE_EPOCH).await
    });
}

#[test]
fn an_order_that_expects_another_invocation_or_boot_is_refused() {
    on_the_bed(async |bed| {
        let agent = agent(bed)?;
        let (unit, boot) = (invocation(bed, "cp1", UNIT).await?, boot_id(bed, "cp1").await?);

        let wrong = "0".repeat(unit.len());
        assert_reason(
            agent.restart_unit(&order(&agent, "unit").await?, UNIT, &wrong).await,
            reason::INVOCATION_MISMATCH,
        );
        let wrong = "00000000-0000-0000-0000-000000000000";
        assert_reason(agent.reboot(&order(&agent, "boot").await?, wrong, &[]).await, reason::BOOT_MISMATCH);

        assert_eq!(unit, invocation(bed, "cp1", UNIT).await?);
        assert_eq!(boot, boot_id(bed, "cp1").await?);
        assert_refused_in_journal(bed, reason::INVOCATION_MISMATCH).await?;
        assert_refused_in_journal(bed, reason::BOOT_MISMATCH).await
    });
}

/// The agent of cp1, as the operator's usher reaches it.
fn agent(bed: &Bed) -> anyhow::Result<Agent> {
    let site = site_file::load(&bed.folder().cluster_file())?;
    Ok(Agents::new(&site, BTreeMap::new())?.agent("cp1")?)
}

/// An order that the agent would take, with an id that no run of this test has used before.
async fn order(agent: &Agent, name: &str) -> anyhow::Result<Order> {
    Ok(Order {
        operation_id: format!("{name}-{}", usher_common::clock::now().as_millisecond()),
        epoch: agent.status().await?.highest_epoch,
        reason: "bed test".into(),
        requester: "test@bed".into(),
        ..Order::default()
    })
}

#[track_caller]
fn assert_reason(answer: Result<Task, AgentError>, expected: &str) {
    let error = answer.expect_err("the agent should have refused");
    assert_eq!(error.reason(), Some(expected), "{error}");
}

/// The agent's journal on cp1 has a record of a refusal with these words.
async fn assert_refused_in_journal(bed: &Bed, words: &str) -> anyhow::Result<()> {
    let journal = bed.journal("cp1", "usher-agent.service").await?;
    let told = journal.lines().any(|line| line.contains("refused") && line.contains(words));
    anyhow::ensure!(told, "no refusal with {words:?} in the journal:\n{journal}");
    Ok(())
}
