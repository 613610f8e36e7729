//! What the site's checks say.

use futures::future::join_all;
use usher_core::staging::{Direction, Said, Staging, Step};

use crate::{
    exec::{self, Answer, CommandOutcome},
    text::command,
};

/// What each step's check says for this direction, in the order of the steps. They are asked at once.
pub async fn said(staging: &Staging, direction: &Direction) -> Vec<Said> {
    join_all(staging.steps.iter().map(|step| of_step(step, direction))).await
}

/// The same for this direction, and for the other.
pub async fn said_both_ways(staging: &Staging, direction: &Direction) -> [Vec<Said>; 2] {
    let back = direction.reversed();
    let (there, back) = futures::join!(said(staging, direction), said(staging, &back));
    [there, back]
}

pub(super) async fn of_step(step: &Step, direction: &Direction) -> Said {
    meaning(&exec::run(&direction.filled(&step.check), &[], step.timeout).await)
}

/// What the end of a check means.
pub(super) fn meaning(outcome: &CommandOutcome) -> Said {
    match outcome.answer() {
        Answer::Yes => Said::Done,
        Answer::No => Said::NotDone,
        Answer::Unknown => {
            let last = outcome.output.last().map(|line| format!(": {line}")).unwrap_or_default();
            Said::Unknown { how: format!("{}: {}{last}", command(&outcome.argv), outcome.how()) }
        }
    }
}
