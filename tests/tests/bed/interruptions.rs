//! Scenario 7: agents die, machines lose their power, answers are lost; the coordinator ends right, and nothing is done twice.

use std::{fs, time::Duration};

use anyhow::Context;
use usher_testkit::bed::{Bed, Power, machine, until};

use crate::{
    observe::{await_activating, boot_id, invocations, is_cordoned, starts},
    proxy::Line,
    run::Run,
    turn::on_the_bed,
};

const UNIT: &str = "kube-scheduler.service";
/// Makes a restart long enough to kill somebody in the middle of it.
const SLOW_START: &str = "[Service]\nExecStartPre=sleep 4\n";
/// usher has long begun by then.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn an_agent_killed_during_a_restart_comes_back_and_the_unit_is_restarted_once() {
    on_the_bed(async |bed| {
        let leader = bed.wait_leader("kube-scheduler").await?;
        let victim = ["cp1", "cp2", "cp3"].into_iter().find(|name| *name != leader).unwrap_or("cp1");
        bed.override_unit(victim, UNIT, SLOW_START).await?;
        let (before, started) = (invocations(bed).await?, starts(bed, victim, UNIT).await?);

        let (run, killed) = tokio::join!(Run::of(bed, &["restart", "kube-scheduler"]), async {
            await_activating(bed, victim, UNIT).await?;
            bed.shell(victim, "systemctl kill --signal=KILL usher-agent.service").await
        });

        let run = run?;
        killed.with_context(|| run.output.to_string())?;
        run.assert_exit(0);
        for ((name, unit), invocation) in invocations(bed).await? {
            let restarted = before[&(name, unit)] != invocation;
            assert_eq!(restarted, unit == UNIT, "{unit} on {name}");
        }
        assert_eq!(starts(bed, victim, UNIT).await? - started, 1, "restarted exactly once");
        Ok(())
    });
}

#[test]
fn a_node_that_loses_its_power_while_it_reboots_is_rebooted_once_and_ends_uncordoned() {
    on_the_bed(async |bed| {
        let (before, boots) = (boot_id(bed, "w1").await?, bed.state("w1")?.boots);

        let (run, failed) = tokio::join!(Run::of(bed, &["reboot", "w1"]), async {
            await_going_down(bed, "w1").await?;
            bed.power_loss("w1").await?;
            assert_eq!(bed.state("w1")?.boots, boots, "the power went before the machine was up again");
            bed.power_on("w1").await
        });

        let run = run?;
        failed.with_context(|| run.output.to_string())?;
        run.assert_exit(0);
        assert_ne!(before, boot_id(bed, "w1").await?);
        assert_eq!(bed.state("w1")?.boots, boots + 1, "it was not rebooted a second time");
        assert!(!is_cordoned(bed, "w1").await?);
        Ok(())
    });
}

/// Waits until a machine's unit manager has begun to stop everything.
async fn await_going_down(bed: &Bed, name: &str) -> anyhow::Result<()> {
    until(&format!("{name} to go down"), LIMIT, async || {
        let output = bed.exec(name, &["systemctl", "is-system-running"]).await?;
        // Near the end there is nobody left to say "stopping".
        Ok((!["initializing", "starting", "running", "degraded"].contains(&output.stdout.trim())).then_some(()))
    })
    .await
}

#[test]
fn the_lost_answer_of_a_reboot_is_settled_without_a_second_reboot() {
    on_the_bed(async |bed| {
        let line = Line::to(machine("w1")?.agent()).await?;
        let cluster_file = bed.folder().path().join("cluster-line.toml");
        let text = fs::read_to_string(bed.folder().cluster_file())?;
        let addresses = format!("[agents.addresses]\nw1 = \"{}\"\n", line.address());
        fs::write(&cluster_file, text.replace("[agents.addresses]\n", &addresses))?;
        let (before, boots) = (boot_id(bed, "w1").await?, bed.state("w1")?.boots);

        let words = ["reboot", "w1", "--reason", "bed test", "--yes", "--output", "json", "--progress", "json"];
        let (output, lost) = tokio::join!(bed.usher_with(&cluster_file, &words), async {
            await_going_down(bed, "w1").await?;
            assert!(line.cut() > 0, "no answer was under way");
            bed.await_boot("w1", boots + 1).await?;
            line.mend();
            anyhow::Ok(())
        });

        let run = Run::read(output?);
        lost.with_context(|| run.output.to_string())?;
        run.assert_exit(0);
        assert_ne!(before, boot_id(bed, "w1").await?);
        assert_eq!(bed.state("w1")?.boots, boots + 1, "it was not rebooted a second time");
        assert!(!is_cordoned(bed, "w1").await?);
        Ok(())
    });
}

#[test]
fn a_node_that_does_not_come_back_stays_cordoned_and_the_report_says_how_to_go_on() {
    on_the_bed(async |bed| {
        let cluster_file = bed.folder().path().join("cluster-impatient.toml");
        let text = fs::read_to_string(bed.folder().cluster_file())?;
        fs::write(&cluster_file, text.replace("reboot_timeout = \"3m\"", "reboot_timeout = \"15s\""))?;
        bed.refuse_return("w2")?;

        let words = ["reboot", "w2", "--reason", "bed test", "--yes", "--output", "json", "--progress", "json"];
        let run = Run::read(bed.usher_with(&cluster_file, &words).await?);

        run.assert_exit(5);
        run.assert_says("usher uncordon w2");
        assert!(is_cordoned(bed, "w2").await?);
        assert_eq!(bed.state("w2")?.power, Power::HeldDown);
        Ok(())
    });
}
