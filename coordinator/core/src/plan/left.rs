//! What a machine may be left with when its turn ends before it is over.

use super::{Turn, step::Step};

/// What a turn may have changed and not brought back yet. It may be less: a step that has begun need not have come to its change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    pub machine: String,
    /// By this turn, and not to stay so.
    pub cordoned: bool,
    pub depooled: bool,
    /// Units that were stopped for a hand-over.
    pub stopped: Vec<String>,
    /// The unit that its agent may be restarting: it goes on without usher.
    pub restarting: Option<String>,
    /// It may have been told to reboot, and is not proved to be back.
    pub rebooting: bool,
}

impl Left {
    /// What is left of a turn of which `reached` steps have begun, the last of them not done.
    pub fn of(turn: &Turn, reached: usize) -> Self {
        let mut left = Self { machine: turn.machine().to_owned(), ..Self::default() };
        let done = reached.saturating_sub(1);
        for (at, step) in turn.steps.iter().take(reached).enumerate() {
            let is_done = at < done;
            match step {
                Step::Cordon { keep: false } => left.cordoned = true,
                Step::Uncordon { .. } if is_done => left.cordoned = false,
                Step::Depool => left.depooled = true,
                Step::Pool { .. } if is_done => left.depooled = false,
                Step::HandOver { unit, .. } => left.stopped.push(unit.clone()),
                Step::Start { unit, .. } if is_done => left.stopped.retain(|stopped| stopped != unit),
                Step::Restart { unit, .. } if !is_done => left.restarting = Some(unit.clone()),
                Step::Reboot { .. } => left.rebooting = true,
                Step::ProveUnits if is_done => left.stopped.clear(),
                Step::ProveReady { .. } if is_done => left.rebooting = false,
                _ => {}
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Target;

    #[test]
    fn what_is_left_is_what_was_begun_and_not_brought_back() {
        let unit = || "kcm.service".to_owned();
        let turn = Turn {
            target: Target::machine_turn("cp1"),
            control_plane: true,
            leads: Vec::new(),
            steps: vec![
                Step::Cordon { keep: false },
                Step::HandOver { component: "kcm".into(), unit: unit() },
                Step::Depool,
                Step::Reboot { drained: true },
                Step::ProveUnits,
                Step::Pool { by_command: true },
                Step::ProveReady { cordoned: true },
                Step::Uncordon { only_ours: true },
            ],
        };
        let left = |reached| {
            let Left { cordoned, depooled, stopped, rebooting, .. } = Left::of(&turn, reached);
            (cordoned, stopped.len(), depooled, rebooting)
        };
        assert_eq!(left(0), (false, 0, false, false));
        assert_eq!(left(1), (true, 0, false, false));
        assert_eq!(left(3), (true, 1, true, false));
        assert_eq!(left(5), (true, 1, true, true), "nothing is proved yet");
        assert_eq!(left(6), (true, 0, true, true));
        assert_eq!(left(7), (true, 0, false, true));
        assert_eq!(left(8), (true, 0, false, false), "the uncordon may not have been done");
    }

    #[test]
    fn a_restart_that_has_begun_goes_on_until_it_is_done() {
        let (component, unit) = ("kube-scheduler".to_owned(), "kube-scheduler.service".to_owned());
        let steps = vec![Step::Preflight, Step::Restart { component, unit: unit.clone() }, Step::Preflight];
        let turn = Turn { target: Target::machine_turn("cp1"), control_plane: true, leads: Vec::new(), steps };
        assert_eq!(Left::of(&turn, 1).restarting, None);
        assert_eq!(Left::of(&turn, 2).restarting, Some(unit));
        assert_eq!(Left::of(&turn, 3).restarting, None);
    }
}
