//! Whether a unit is as a change expects it: looked at before the change is accepted, and again right before systemd is asked.

use usher_proto::reason;

use super::record::Change;
use crate::{machine::systemd::Unit, refusal::Refusal};

/// `ours` tells that the last operation on the unit was a stop by this agent: then a start need not wait for what is left of it.
pub(super) fn check(change: &Change, unit: &Unit, ours: bool) -> Result<(), Refusal> {
    check_loaded(change, unit)?;
    match change {
        Change::RestartUnit { expected_invocation_id: expected, .. }
        | Change::StopUnit { expected_invocation_id: expected, .. } => check_invocation(unit, expected)?,
        Change::StartUnit { .. } if ours => return Ok(()),
        Change::StartUnit { .. } | Change::RebootNode { .. } => {}
    }
    check_idle(unit)?;
    if matches!(change, Change::RestartUnit { .. }) { check_running(unit) } else { Ok(()) }
}

/// systemd has loaded the unit, as far as the change needs that.
pub(super) fn check_loaded(change: &Change, unit: &Unit) -> Result<(), Refusal> {
    let (name, state) = (&unit.name, &unit.load_state);
    match state.as_str() {
        "loaded" => Ok(()),
        "not-found" => Err(Refusal::new(reason::NO_SUCH_UNIT, format!("systemd knows no unit {name} on this node"))),
        // It can still be stopped if it runs.
        "masked" if matches!(change, Change::StopUnit { .. }) => Ok(()),
        _ => {
            let message = format!(
                "systemd cannot load {name} (LoadState: {state}), so it cannot start it. `systemctl status {name}` on the \
                 node says why"
            );
            Err(Refusal::new(reason::UNIT_NOT_LOADABLE, message).with("load_state", state.clone()))
        }
    }
}

fn check_invocation(unit: &Unit, expected: &str) -> Result<(), Refusal> {
    if unit.invocation_id == expected {
        return Ok(());
    }
    let now = if unit.invocation_id.is_empty() { "empty (it never ran in this boot)" } else { &unit.invocation_id };
    let message = format!(
        "the InvocationID of {} is {now}, not {expected}: someone else started it since. Look at it, then ask anew",
        unit.name
    );
    Err(Refusal::new(reason::INVOCATION_MISMATCH, message).with("invocation_id", unit.invocation_id.clone()))
}

/// Refuses to replace somebody else's job, which systemd would do without a word. A start under way, as of a unit that systemd
/// restarts by itself, stands in nobody's way.
fn check_idle(unit: &Unit) -> Result<(), Refusal> {
    let Some(job) = unit.job.as_ref().filter(|_| unit.active_state != "activating") else { return Ok(()) };
    let message = format!(
        "systemd has another job for {}, which is {}: somebody else stops or starts it. Wait for its end (`systemctl list-jobs`), \
         then look at the unit again",
        unit.name,
        unit.state()
    );
    Err(Refusal::new(reason::UNIT_BUSY, message).with("job", job.clone()))
}

/// What somebody has stopped stays down until it is started on purpose. The InvocationID does not tell: systemd keeps it.
fn check_running(unit: &Unit) -> Result<(), Refusal> {
    if unit.active_state != "inactive" {
        return Ok(());
    }
    let message = format!(
        "{} was stopped ({}), and a restart would start it. If it is to run, StartUnit starts it, or `systemctl start` on the node",
        unit.name,
        unit.state()
    );
    Err(Refusal::new(reason::UNIT_NOT_RUNNING, message).with("active_state", unit.active_state.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn unit(load_state: &str, active_state: &str, job: bool) -> Unit {
        Unit {
            name: "a.service".into(),
            load_state: load_state.into(),
            active_state: active_state.into(),
            invocation_id: ID.into(),
            job: job.then(|| "/job/7".into()),
            ..Unit::default()
        }
    }

    #[test]
    fn each_change_is_refused_for_what_it_would_spoil() {
        let (name, id) = ("a.service".to_owned(), ID.to_owned());
        let restart = Change::RestartUnit { unit: name.clone(), expected_invocation_id: id.clone() };
        let stop = Change::StopUnit { unit: name.clone(), expected_invocation_id: id, start_again_after: None };
        let start = Change::StartUnit { unit: name };
        let loaded = |active: &str, job| unit("loaded", active, job);
        for (unit, to_restart, to_stop, to_start) in [
            (loaded("active", false), None, None, None),
            (loaded("reloading", false), None, None, None),
            (loaded("failed", false), None, None, None),
            (loaded("activating", true), None, None, None),
            (loaded("inactive", false), Some(reason::UNIT_NOT_RUNNING), None, None),
            (loaded("deactivating", true), Some(reason::UNIT_BUSY), Some(reason::UNIT_BUSY), Some(reason::UNIT_BUSY)),
            (loaded("active", true), Some(reason::UNIT_BUSY), Some(reason::UNIT_BUSY), Some(reason::UNIT_BUSY)),
            (unit("masked", "active", false), Some(reason::UNIT_NOT_LOADABLE), None, Some(reason::UNIT_NOT_LOADABLE)),
            (
                unit("bad-setting", "active", false),
                Some(reason::UNIT_NOT_LOADABLE),
                Some(reason::UNIT_NOT_LOADABLE),
                Some(reason::UNIT_NOT_LOADABLE),
            ),
        ] {
            for (change, expected) in [(&restart, to_restart), (&stop, to_stop), (&start, to_start)] {
                let refused = check(change, &unit, false).err().map(|refusal| refusal.reason);
                assert_eq!(refused, expected, "{change:?} of {unit:?}");
            }
        }
        assert!(check(&start, &loaded("deactivating", true), true).is_ok(), "what we stopped we may start");
    }
}
