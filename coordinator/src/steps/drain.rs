//! The drain of a Node, and where its pods went.

use std::{cell::RefCell, collections::BTreeMap, convert::Infallible, time::Duration};

use futures::future;
use tokio::{sync::watch, time::sleep};

use super::Context;
use crate::{
    cluster::Elections,
    drain::{BlockedPod, DrainProgress},
    event::Kind,
    facts::leader::Leadership,
    problem::Problem,
    site::Component,
    text,
    world::World,
};

/// How often to check that a kube-controller-manager leads, while a pod waits for a budget.
const LOOK_FOR_A_LEADER: Duration = Duration::from_secs(1);

/// How often a blocked drain is mentioned although nothing has changed.
const REMIND: Duration = Duration::from_secs(5);

/// Looks whether every pod can be evicted at all, before anything is changed.
pub(super) async fn preflight(context: &Context<'_>) -> Result<(), Problem> {
    Ok(context.world.drainer().await.check(context.node(), context.drain).await?)
}

pub(super) async fn drain(context: &mut Context<'_>) -> Result<(), Problem> {
    let (machine, node) = (context.machine(), context.node());
    let world = context.world;
    let refilled = watch::Sender::new(None);
    let stop = watch::Sender::new(false);
    let drainer = world.drainer().await.with_budget_leader(refilled.subscribe()).with_stop(stop.subscribe());
    let (events, number, word) = (context.events.clone(), context.call.turn, context.word);
    let (last, said) = watch::channel(DrainProgress::default());
    let say = |progress: &DrainProgress| {
        events.send(Kind::Waiting { turn: number, step: word.into(), what: progress.to_string() });
    };
    let mut progress = |progress: DrainProgress| {
        say(&progress);
        let before = last.send_replace(progress);
        let budgets = waited_for(&last.borrow());
        if budgets != waited_for(&before) {
            events.send(Kind::Blocked { turn: number, step: word.into(), budgets });
        }
        for escalated in last.borrow().escalated.iter().skip(before.escalated.len()) {
            events.warn(format!("{}: {}", escalated.pod, escalated.what));
        }
    };
    let look_for_a_leader = look_for_a_leader(world, last.subscribe(), &refilled);
    // An operator who watches a blocked pod wants to see that time passes.
    let remind = async {
        loop {
            sleep(REMIND).await;
            let progress = said.borrow();
            if !progress.blocked.is_empty() {
                say(&progress);
            }
        }
    };
    // Evictions that the server took cannot be taken back, but no more need follow.
    let interrupted = Problem::interrupted(format!("the drain of {machine} was interrupted"));
    let stopped = RefCell::new(None);
    let stop_it = async {
        let why = context.must_stop(interrupted).await;
        stopped.replace(Some(why));
        stop.send_replace(true);
        future::pending().await
    };
    let drained = tokio::select! {
        biased;
        never = stop_it => match never {},
        drained = drainer.drain(node, context.drain, &mut progress) => drained,
        never = remind => match never {},
        never = look_for_a_leader => match never {},
    };
    match drained {
        Ok(drained) => {
            let gone = drained.moved.len();
            context.fact(format!("{} gone in {}", text::count(gone, "pod"), text::took(drained.took)));
            context.progress.moved.extend(drained.moved);
            Ok(())
        }
        Err(error) => {
            context.progress.moved.extend(error.remains().moved.iter().cloned());
            Err(stopped.take().unwrap_or_else(|| error.into()))
        }
    }
}

/// How many pods wait for each budget, as `namespace/name`; a question mark stands for one that the server did not name.
fn waited_for(progress: &DrainProgress) -> BTreeMap<String, usize> {
    let mut budgets = BTreeMap::new();
    for BlockedPod { pod, budget, .. } in progress.blocked.iter().filter(|blocked| blocked.webhook.is_none()) {
        let budget = budget.as_deref().unwrap_or("?");
        *budgets.entry(format!("{}/{budget}", pod.namespace)).or_default() += 1;
    }
    budgets
}

/// Watches who replenishes budgets, once a pod waits for one. Never ends.
async fn look_for_a_leader(
    world: &World,
    mut progress: watch::Receiver<DrainProgress>,
    refilled: &watch::Sender<Option<bool>>,
) -> Infallible {
    if progress.wait_for(|progress| !waited_for(progress).is_empty()).await.is_err() {
        return future::pending().await;
    }
    let elections = world.elections().await;
    loop {
        refilled.send_replace(budgets_are_refilled(world, elections));
        sleep(LOOK_FOR_A_LEADER).await;
    }
}

/// Whether kube-controller-manager has a leader; None if the site has none that is elected, or nothing is certain yet.
fn budgets_are_refilled(world: &World, elections: &Elections) -> Option<bool> {
    let lease = world.site.refills_budgets().and_then(Component::lease)?;
    match elections.leadership_so_far(&lease)? {
        Leadership::Held(_) => Some(true),
        Leadership::Stale(_) | Leadership::Free => Some(false),
        // Elected elsewhere, or not elected at all.
        Leadership::Absent => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::drain::PodRef;

    #[test]
    fn pods_are_counted_by_the_budget_that_keeps_them() {
        let blocked = |namespace: &str, name: &str, budget: Option<&str>| BlockedPod {
            pod: PodRef { namespace: namespace.into(), name: name.into(), uid: name.into() },
            budget: budget.map(str::to_owned),
            webhook: None,
            message: String::new(),
            since: Timestamp::UNIX_EPOCH,
            next_try: Timestamp::UNIX_EPOCH,
        };
        let denied = BlockedPod { webhook: Some("keep".into()), ..blocked("ops", "d", None) };
        let blocked =
            vec![blocked("web", "a", Some("web")), blocked("db", "c", None), blocked("web", "b", Some("web")), denied];
        let progress = DrainProgress { blocked, ..DrainProgress::default() };
        let expected = [("db/?", 1), ("web/web", 2)].map(|(budget, pods)| (budget.to_owned(), pods));
        assert_eq!(waited_for(&progress), BTreeMap::from(expected));
    }
}
