//! Several turns at a time: the first step of each before the second of any.

use futures::{StreamExt as _, stream, stream::FuturesUnordered};
use tokio::time::Instant;

use super::{Account, Run, Stop};
use crate::{
    plan::{Plan, Turn},
    steps::TurnState,
};

/// How many first steps are done at a time. They are small.
const FIRST_STEPS: usize = 8;

/// A turn on its way.
struct Begun {
    number: usize,
    turn: Turn,
    state: TurnState,
    /// None: not yet.
    at: Option<Instant>,
}

impl Run<'_> {
    /// Each turn's first step is done for all of them; then the turns go on, at most `concurrency` at a time. After a failure
    /// those that go on come to their end, and those that only wait are taken back.
    pub(super) async fn side_by_side(&self, plan: Plan, concurrency: usize, account: &mut Account) {
        let begun = plan.turns.into_iter().enumerate().map(|(at, turn)| Begun {
            number: at + 1,
            turn,
            state: TurnState::default(),
            at: None,
        });
        let first = stream::iter(begun).map(async |mut begun| {
            if let Some(stop) = self.stop_before_a_change() {
                return (begun, Err(stop));
            }
            begun.at = Some(self.begin(begun.number, &begun.turn));
            let result = self.steps(begun.number, &begun.turn, 0..1, &mut begun.state).await;
            (begun, result)
        });
        let mut waiting: Vec<Begun> = Vec::new();
        let mut first = first.buffered(FIRST_STEPS);
        while let Some((begun, result)) = first.next().await {
            match result {
                Ok(()) => waiting.push(begun),
                Err(stop) => self.close(begun, Err(stop), account).await,
            }
        }
        drop(first);

        let mut waiting = waiting.into_iter();
        let mut running = FuturesUnordered::new();
        loop {
            while account.stop.is_none() && running.len() < concurrency {
                let Some(begun) = waiting.next() else { break };
                running.push(self.go_on(begun));
            }
            let Some((begun, result)) = running.next().await else { break };
            self.close(begun, result, account).await;
        }
        for begun in waiting {
            self.take_back(begun, account).await;
        }
    }

    async fn go_on(&self, mut begun: Begun) -> (Begun, Result<(), Stop>) {
        let rest = 1..begun.turn.steps.len();
        let result = self.steps(begun.number, &begun.turn, rest, &mut begun.state).await;
        (begun, result)
    }

    /// A turn that only waited leaves no trace.
    async fn take_back(&self, mut begun: Begun, account: &mut Account) {
        account.untouched.push(begun.turn.id());
        let Some(at) = begun.at else { return };
        let end = self.end((begun.number, at), &begun.turn, &mut begun.state, Err(Stop::Interrupted));
        if let Err(stop @ Stop::Failed(_)) = end.await {
            account.stop(stop);
        }
    }

    async fn close(&self, mut begun: Begun, result: Result<(), Stop>, account: &mut Account) {
        match begun.at {
            Some(at) => {
                let result = self.end((begun.number, at), &begun.turn, &mut begun.state, result).await;
                account.ended(&begun.turn, begun.state, result);
            }
            None => {
                account.untouched.push(begun.turn.id());
                if let Err(stop) = result {
                    account.stop(stop);
                }
            }
        }
    }
}
