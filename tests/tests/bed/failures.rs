//! Scenario 4: a unit that does not come up stops the roll where it is.

use usher_testkit::bed::{Bed, CONTROL_PLANES};

use crate::{
    observe::{invocation, invocations},
    run::Run,
    turn::on_the_bed,
};

const COMPONENT: &str = "kube-scheduler";
const UNIT: &str = "kube-scheduler.service";

/// Does not get past its first step.
const FAILS_TO_START: &str = "[Service]\nRestart=no\nExecStartPre=sh -c 'echo the disk is on fire >&2; exit 1'\n";
/// Runs, and answers nobody.
const NEVER_HEALTHY: &str =
    "[Service]\nExecStart=\nExecStart=sh -c 'echo waiting for godot >&2; exec sleep infinity'\n";

#[test]
fn a_unit_that_fails_to_start_stops_the_roll_and_its_journal_is_shown() {
    on_the_bed(async |bed| stops_at_the_second(bed, FAILS_TO_START, "the disk is on fire").await);
}

#[test]
fn a_unit_that_starts_but_never_gets_healthy_stops_the_roll_and_its_journal_is_shown() {
    on_the_bed(async |bed| stops_at_the_second(bed, NEVER_HEALTHY, "waiting for godot").await);
}

/// Breaks the unit on the machine that goes second (those that hold no lease at all go first), and expects the first to be done and the third untouched.
async fn stops_at_the_second(bed: &Bed, drop_in: &str, last_words: &str) -> anyhow::Result<()> {
    let leader = bed.wait_leader(COMPONENT).await?;
    let other_leader = bed.wait_leader("kube-controller-manager").await?;
    let mut others: Vec<_> = CONTROL_PLANES.iter().map(|machine| machine.name).filter(|name| *name != leader).collect();
    others.sort_by_key(|name| *name == other_leader);
    let [first, second] = others[..] else { anyhow::bail!("{leader} is no control plane") };
    bed.override_unit(second, UNIT, drop_in).await?;
    let before = invocations(bed).await?;

    let run = Run::of(bed, &["restart", COMPONENT]).await?;

    run.assert_exit(4);
    run.assert_says(last_words);
    run.assert_says(second);
    assert_eq!(run.order(COMPONENT), [first, second], "{}", run.output);
    assert_ne!(invocation(bed, first, UNIT).await?, before[&(first, UNIT)], "the first was restarted");
    for (place, invocation) in invocations(bed).await? {
        if place != (first, UNIT) && place != (second, UNIT) {
            assert_eq!(before[&place], invocation, "{place:?} was touched");
        }
    }
    assert_eq!(bed.wait_leader(COMPONENT).await?, leader, "the leader still leads");
    Ok(())
}
