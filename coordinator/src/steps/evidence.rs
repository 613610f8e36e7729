//! What several steps wait for.

use super::Context;
use crate::{
    problem::Problem,
    wait::{Look, until},
};

/// Waits until the machine's apiserver is ready, asked past the balancer.
pub(super) async fn await_apiserver(context: &Context<'_>) -> Result<(), Problem> {
    let look = async || {
        Ok(match apiserver_is_ready(context).await {
            Ok(()) => Look::Done(()),
            Err(problem) => Look::NotYet(problem.message),
        })
    };
    until(context.world.site.defaults.apiserver_timeout, look, |why| context.waiting(why), Problem::timed_out).await
}

/// Asks the machine's apiserver once.
pub(super) async fn apiserver_is_ready(context: &Context<'_>) -> Result<(), Problem> {
    let Some(readiness) = context.world.readiness_of(context.machine()).await else { return Ok(()) };
    match readiness.is_ready() {
        true => Ok(()),
        false => Err(Problem::failed(format!("the apiserver on {} is {readiness}", context.machine()))),
    }
}

/// Waits until every apiserver of the site is ready.
pub(super) async fn await_all_apiservers(context: &Context<'_>) -> Result<(), Problem> {
    let look = async || {
        let readiness = context.world.apiservers().await;
        Ok(match readiness.iter().find(|(_, state)| !state.is_ready()) {
            None => Look::Done(()),
            Some((machine, state)) => Look::NotYet(format!("the apiserver on {machine} is {state}")),
        })
    };
    until(context.world.site.defaults.apiserver_timeout, look, |why| context.waiting(why), Problem::timed_out).await
}
