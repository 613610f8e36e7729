//! One turn after another, each from fresh facts.

use super::{Account, Run, Stop};
use crate::{
    plan::{self, Plan, Turn, TurnId},
    steps::TurnState,
};

impl Run<'_> {
    /// Before each turn the facts are read and the plan is made anew, so that the order follows the leaders and every gate is
    /// checked right before the machine it protects.
    pub(super) async fn one_by_one(&self, first: Plan, account: &mut Account) {
        let mut plan = first;
        while let Some((turn, later)) = plan.turns.split_first() {
            if let Some(stop) = self.stop_before_a_change() {
                account.untouched = plan.turns.iter().map(Turn::id).collect();
                return account.stop(stop);
            }
            let mut state = TurnState::default();
            let number = account.done.len() + 1;
            let begun = self.begin(number, turn);
            let result = self.steps(number, turn, 0..turn.steps.len(), &mut state).await;
            let result = self.end((number, begun), turn, &mut state, result).await;
            account.ended(turn, state, result);
            let later: Vec<_> = later.iter().map(Turn::id).collect();
            if later.is_empty() || account.stop.is_some() {
                account.untouched = later;
                return;
            }
            plan = match self.plan_again(&account.done).await {
                Ok(plan) => plan,
                Err(stop) => {
                    account.untouched = later;
                    return account.stop(stop);
                }
            };
        }
    }

    async fn plan_again(&self, done: &[TurnId]) -> Result<Plan, Stop> {
        let facts = self.world.facts(self.scope).await.map_err(|error| Stop::Failed(error.into()))?;
        plan::make(self.request, done, &facts, &self.world.site).map_err(Stop::Refused)
    }
}
