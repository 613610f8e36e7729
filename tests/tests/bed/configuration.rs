//! The agent's configuration on a real machine: a reload that must fail, and what `--check-config` finds out as root.

use std::time::Duration;

use anyhow::ensure;
use usher_testkit::bed::{Bed, Client, MACHINES, Output, until};

use crate::{
    observe::{RELEASES, invocation},
    turn::{and_then_undo, on_the_bed},
};

const AGENT: &str = "usher-agent.service";
const FILE: &str = "/etc/usher/agent.toml";
const KEY: &str = "/etc/usher/agent-key.pem";
/// A key that the agent does not know.
const MISTAKE: &str = "reboot_budget_per_day";
/// From a reload until the agent goes by the file, or its journal tells.
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_reload_with_a_broken_file_fails_and_says_why_and_the_agent_answers_by_the_one_before() {
    on_the_bed(async |bed| {
        for machine in RELEASES {
            let text = bed.shell(machine, &format!("cat {FILE}")).await?.stdout;
            let put_back = async {
                bed.write(machine, FILE, &text).await?;
                reload(bed, machine).await?.success().map(drop)
            };
            and_then_undo(break_and_mend(bed, machine, &text), put_back).await?;
            await_stranger(bed, machine, false).await?;
            let status = bed.usher(&["agent", "status", machine]).await?.success()?;
            assert!(!status.says("not in use"), "{status}");
        }
        Ok(())
    });
}

async fn break_and_mend(bed: &Bed, machine: &str, text: &str) -> anyhow::Result<()> {
    let begin = invocation(bed, machine, AGENT).await?;
    let listed = text.replace("[\"CN=viewer\"]", "[\"CN=viewer\", \"CN=stranger\"]");
    ensure!(listed != text, "the list of viewers is another one in {text}");

    let told = reasons(bed, machine).await?;
    bed.write(machine, FILE, &format!("{MISTAKE} = 1\n{listed}")).await?;
    let failed = reload(bed, machine).await?;
    ensure!(failed.code == Some(1), "{failed}");
    until("the reason in the journal", LIMIT, async || Ok((reasons(bed, machine).await? > told).then_some(()))).await?;

    until("the agent to say that it goes by the file before", LIMIT, async || {
        let status = bed.usher(&["agent", "status", machine]).await?.success()?;
        Ok((status.says("the configuration on disk is not in use") && status.says(MISTAKE)).then_some(()))
    })
    .await?;
    ensure!(!is_served(bed, machine).await?, "a caller was let in whom only the broken file lists");

    bed.write(machine, FILE, &listed).await?;
    reload(bed, machine).await?.success()?;
    await_stranger(bed, machine, true).await?;
    ensure!(invocation(bed, machine, AGENT).await? == begin, "the agent was restarted");
    Ok(())
}

async fn reload(bed: &Bed, machine: &str) -> anyhow::Result<Output> {
    bed.exec(machine, &["systemctl", "reload", AGENT]).await
}

/// How often a check of the file has told its mistake in the unit's journal: file, line, key. What the agent itself tells of it is worded
/// otherwise.
async fn reasons(bed: &Bed, machine: &str) -> anyhow::Result<usize> {
    let journal = bed.journal(machine, AGENT).await?;
    let reason = format!("usher-agent: {FILE}:1: {MISTAKE}: unknown key");
    Ok(journal.lines().filter(|line| line.contains(&reason)).count())
}

/// Whether a caller is served who is on no list of the bed's own.
async fn is_served(bed: &Bed, machine: &str) -> anyhow::Result<bool> {
    let output = bed.usher_as(Client::Stranger, &["agent", "status", machine]).await?;
    ensure!(output.code == Some(0) || output.says("CN=stranger"), "{output}");
    Ok(output.code == Some(0))
}

async fn await_stranger(bed: &Bed, machine: &str, served: bool) -> anyhow::Result<()> {
    until("the lists of the file", LIMIT, async || Ok((is_served(bed, machine).await? == served).then_some(()))).await
}

#[test]
fn a_check_by_root_passes_on_every_machine_and_names_the_key_that_the_agents_user_may_not_read() {
    on_the_bed(async |bed| {
        for machine in &MACHINES {
            let checked = check(bed, machine.name).await?.success()?;
            assert_eq!(checked.stdout, format!("{FILE}: ok\n"));
        }

        let machine = "cp3";
        bed.shell(machine, &format!("chgrp root {KEY}")).await?;
        let checked = check(bed, machine).await;
        bed.shell(machine, &format!("chgrp usher-agent {KEY}")).await?;
        let checked = checked?;
        assert_eq!(checked.code, Some(1), "{checked}");
        assert!(checked.says(&format!("usher-agent may not read {KEY}")), "{checked}");
        check(bed, machine).await?.success()?;
        Ok(())
    });
}

async fn check(bed: &Bed, machine: &str) -> anyhow::Result<Output> {
    bed.exec(machine, &["usher-agent", "--check-config"]).await
}
