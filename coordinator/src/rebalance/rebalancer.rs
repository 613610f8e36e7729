//! The entry point: plans of rebalances, and one node's turn, through the client of a drainer.

use usher_core::drain::DrainOptions;

use super::{
    model::{Model, needy},
    preview::RebalancePreview,
    report::{Moved, RebalanceError, Rebalanced, Stage, Turn},
    run::Run,
    survey::Survey,
};
use crate::drain::{DrainError, Drainer};

/// Moves pods to nodes, through one client and with one bound on evictions.
#[derive(Debug)]
pub struct Rebalancer<'a> {
    /// Its client and its bound on evictions are used.
    drainer: &'a Drainer,
    /// Which pods the site and the operator leave alone.
    options: &'a DrainOptions,
}

impl<'a> Rebalancer<'a> {
    /// Shares its client and its bound on evictions with the drainer.
    pub fn new(drainer: &'a Drainer, options: &'a DrainOptions) -> Self {
        Self { drainer, options }
    }

    /// The nodes that have far fewer than their share, in alphabetical order, and what [`Self::preview`] says of them: by one look at
    /// all pods.
    ///
    /// # Errors
    ///
    /// [`DrainError::Api`] if the API does not answer, or forbids listing nodes or pods.
    pub async fn needy(&self, max_moves: Option<usize>) -> Result<(Vec<String>, RebalancePreview), DrainError> {
        let survey = Survey::read(self.drainer.client(), self.options).await?;
        let nodes = needy(&survey);
        let preview = preview(survey, &nodes, max_moves);
        Ok((nodes, preview))
    }

    /// What would move to these nodes, at most `max_moves` to each. Changes nothing. Nodes that take no pods are left out.
    ///
    /// # Errors
    ///
    /// As [`Self::needy`].
    pub async fn preview(&self, to: &[String], max_moves: Option<usize>) -> Result<RebalancePreview, DrainError> {
        Ok(preview(Survey::read(self.drainer.client(), self.options).await?, to, max_moves))
    }

    /// Moves pods to one node until it has its share, or no further move would help. `moved` gets each pod whose successor is
    /// ready, whatever becomes of the turn. Dropped, it begins no further move; those under way end by themselves.
    ///
    /// # Errors
    ///
    /// If a successor is not ready in time, the node is closed meanwhile, or the API cannot be used.
    pub async fn run(
        &self,
        turn: &Turn<'_>,
        moved: &mut Vec<Moved>,
        told: &mut (dyn FnMut(Stage<'_>) + Send),
    ) -> Result<Rebalanced, RebalanceError> {
        let (client, pace) = (self.drainer.client(), self.drainer.pace());
        Run::new((client, pace, self.options), turn, moved, told).finish().await
    }
}

fn preview(survey: Survey, to: &[String], max_moves: Option<usize>) -> RebalancePreview {
    let model = Model::of(survey, &to.iter().cloned().collect());
    let goals: Vec<_> = to.iter().filter_map(|node| model.place(node)).collect();
    RebalancePreview::of(&model, &goals, max_moves.unwrap_or(usize::MAX))
}
