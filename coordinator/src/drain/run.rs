//! The drain itself: one loop that owns the books, the watch and the calls in flight.

use std::{pin::pin, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use kube::Client;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{
    DrainError, DrainOptions, DrainProgress, Refill, RefusedPod, Remains,
    budget_watch::BudgetWatches,
    classify::{Verdict, grouped, verdict},
    daemon_sets::DaemonSets,
    deadline::Deadline,
    evict::{Manner, Outcome, evict, outcome},
    follow::{News, follow},
    ledger::{Ask, Call, Ledger, Way},
    list,
    pace::Pace,
    pods::PodFacts,
    surge::{Fitness, surge},
    volumes,
};
use crate::cluster::retry::{UNLIMITED, error_message, is_transient};

/// How often is asked whether somebody refills budgets, while pods wait for one.
const REFILL_TICK: Duration = Duration::from_secs(2);

/// The shortest grace with which a kubelet still ends a pod in order. With none at all the API would forget the pod at once,
/// whether its containers have ended or not.
const KILL_GRACE_SECONDS: u32 = 1;

/// How often is looked for pods whose kubelet is gone, if they are not to be waited for.
const OVERDUE_TICK: Duration = Duration::from_secs(1);

/// One node's drain.
pub(super) struct Drain<'a> {
    pub(super) client: &'a Client,
    pub(super) node: &'a str,
    pub(super) options: &'a DrainOptions,
    pub(super) pace: Pace,
    pub(super) refill: Option<&'a Refill<'a>>,
    pub(super) ledger: Ledger,
    pub(super) daemon_sets: DaemonSets,
    pub(super) deadline: Deadline,
}

impl Drain<'_> {
    /// Runs until no pod that has to go is left on the node. Whoever calls sets the deadline.
    pub(super) async fn empty_the_node(
        &mut self,
        progress: &mut (dyn FnMut(DrainProgress) + Send),
    ) -> Result<(), DrainError> {
        let asking = watch::Sender::new(false);
        let mut pods = pin!(follow(self.client, self.node, self.options, asking.subscribe()));
        let mut budgets = BudgetWatches::default();
        let mut calls = FuturesUnordered::new();
        let parallel = self.options.parallel.max(1);
        let mut told = None;
        let mut began = false;

        loop {
            if let Some(limit) = self.options.skip_wait_for_delete {
                self.ledger.skip_overdue(limit, Timestamp::now());
            }
            let now = Instant::now();
            while calls.len() < parallel
                && let Some(call) = self.ledger.next_call(now)
            {
                calls.push(self.call(call));
            }
            asking.send_replace(!calls.is_empty());
            let blocked = self.ledger.namespaces_with_blocked();
            let waits = !blocked.is_empty();
            budgets.follow(self.client, blocked);
            let refilled = !waits || self.refill.and_then(|refill| refill()) != Some(false);
            self.ledger.refilled(refilled, Timestamp::now());
            self.deadline.refilled(refilled, now);
            let state = self.ledger.progress();
            if (began || state.trouble.is_some()) && told.as_ref() != Some(&state) {
                progress(state.clone());
                told = Some(state);
            }
            if began && self.ledger.is_empty() && self.is_really_empty().await? {
                return self.volumes_are_detached(progress).await;
            }
            if calls.is_empty() && self.ledger.is_hopeless() {
                let remains = Box::new(self.ledger.remains());
                return Err(DrainError::Failed { node: self.node.to_owned(), remains });
            }

            let put_off = self.ledger.next_due().filter(|_| calls.len() < parallel);
            tokio::select! {
                Some((uid, ask, outcome)) = calls.next() => {
                    self.ledger.answered(&uid, ask, outcome, Instant::now(), Timestamp::now());
                }
                Some(news) = budgets.next() => self.ledger.heard(&news, Instant::now()),
                Some(news) = pods.next() => match news {
                    Ok(News::Listed(pods)) => {
                        self.listed(pods).await?;
                        began = true;
                    }
                    Ok(News::Seen(pod)) => self.seen(*pod).await?,
                    Ok(News::Gone(uid)) => self.gone(&uid),
                    Err(error) => self.watch_failed(&error)?,
                },
                () = sleep_until(put_off.unwrap_or(now)), if put_off.is_some() => {}
                () = sleep(REFILL_TICK), if waits && self.refill.is_some() => {}
                () = sleep(OVERDUE_TICK), if self.options.skip_wait_for_delete.is_some() => {}
            }
        }
    }

    /// One call for a pod, as soon as the client's pace lets it begin.
    fn call(&self, call: Call) -> impl Future<Output = (String, Ask, Outcome)> + use<> {
        let (client, pace, manner) = (self.client.clone(), self.pace.clone(), self.options.manner());
        async move {
            let permit = pace.permit().await;
            let outcome = ask(&client, &call, manner).await;
            match &outcome {
                Outcome::Later { retry_after, .. } => permit.turned_away(*retry_after),
                _ => permit.answered(),
            }
            (call.pod.uid, call.ask, outcome)
        }
    }

    async fn listed(&mut self, pods: Vec<PodFacts>) -> Result<(), DrainError> {
        self.ledger.trouble(None);
        self.ledger.reconcile(pods.iter().cloned(), Instant::now());
        self.admit(pods).await
    }

    async fn seen(&mut self, pod: PodFacts) -> Result<(), DrainError> {
        self.ledger.trouble(None);
        self.ledger.seen(pod.clone(), Instant::now());
        self.admit(vec![pod]).await
    }

    fn gone(&mut self, uid: &str) {
        self.ledger.trouble(None);
        self.ledger.gone(uid);
    }

    /// Decides about pods that are new to the books. All of them or none: if one forbids the drain, none is taken.
    async fn admit(&mut self, pods: Vec<PodFacts>) -> Result<(), DrainError> {
        let (mut evict, mut stay, mut refused, mut warned) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for facts in pods {
            if self.ledger.knows(&facts.pod.uid) {
                continue;
            }
            let daemon_set = self.daemon_sets.of(self.client, &facts).await;
            let pod = facts.pod.clone();
            match verdict(&facts, daemon_set.as_ref(), self.options, Timestamp::now()) {
                Verdict::Evict { warning } => {
                    warned.extend(warning.map(|warning| (pod, warning)));
                    evict.push(facts);
                }
                Verdict::Stay { reason, warning } => {
                    warned.extend(warning.map(|warning| (pod, warning)));
                    stay.push((facts, reason));
                }
                Verdict::Refuse { message, .. } => refused.push(RefusedPod { pod, message }),
            }
        }
        if !refused.is_empty() {
            refused.sort_by(|a, b| a.pod.cmp(&b.pod));
            let remains = Box::new(self.ledger.remains());
            return Err(DrainError::Refused { node: self.node.to_owned(), pods: refused, remains });
        }
        self.ledger.warn(grouped(warned.iter().map(|(pod, warning)| (pod, warning.as_str()))));
        stay.into_iter().for_each(|(facts, reason)| self.ledger.leave_alone(facts, reason));
        evict.sort_by(|a, b| a.pod.cmp(&b.pod));
        let policy = &self.options.policy;
        for facts in evict {
            let group = policy.group(&facts);
            let way = match (policy.awaits(&facts), policy.surges(&facts)) {
                (true, _) => Way::Finish,
                (false, true) => Way::Replace,
                (false, false) => Way::Evict,
            };
            self.ledger.take(facts, group, way, Instant::now());
        }
        Ok(())
    }

    /// Waits for the volumes of the pods that have gone, if there were any.
    async fn volumes_are_detached(
        &mut self,
        progress: &mut (dyn FnMut(DrainProgress) + Send),
    ) -> Result<(), DrainError> {
        if !self.options.policy.wait_for_volumes || !self.ledger.moved_volumes() {
            return Ok(());
        }
        let spared = volumes::behind(self.client, self.ledger.claims_of_staying()).await;
        let mut refused = spared.as_ref().err().map(error_message);
        if let Ok(spared) = spared {
            let mut attached = pin!(volumes::attached(self.client, self.node, &spared));
            while let Some(volumes) = attached.next().await {
                match volumes {
                    Ok(volumes) if volumes.is_empty() => return Ok(()),
                    Ok(volumes) => {
                        self.ledger.attached(volumes);
                        progress(self.ledger.progress());
                    }
                    Err(error) => {
                        refused = Some(error_message(&error));
                        break;
                    }
                }
            }
        }
        // Whoever may not look cannot wait; the pods have gone all the same.
        let why = refused.unwrap_or_default();
        self.ledger.warn(vec![format!("whether volumes are still attached could not be seen: {why}")]);
        Ok(())
    }

    /// Reads the list once more: a watch lags behind, and a pod may have been bound to the node since.
    async fn is_really_empty(&mut self) -> Result<bool, DrainError> {
        let listed = list::of_node(self.client, self.node, self.options, UNLIMITED, PodFacts::of).await;
        let (listed, _) = listed.map_err(|error| self.refused_to_say(&error))?;
        self.listed(listed).await?;
        Ok(self.ledger.is_empty())
    }

    fn watch_failed(&mut self, error: &kube::Error) -> Result<(), DrainError> {
        // The end of a watch's connection is no trouble by itself: the next one goes on there. Only a server that
        // refuses for good ends the drain.
        match error {
            kube::Error::Api(_) if !is_transient(error) => Err(self.refused_to_say(error)),
            _ => {
                self.ledger.trouble(Some(error_message(error)));
                Ok(())
            }
        }
    }

    fn refused_to_say(&self, error: &kube::Error) -> DrainError {
        DrainError::Api {
            doing: format!("list the pods on {}", self.node),
            message: error_message(error),
            remains: Box::new(self.ledger.remains()),
        }
    }
}

/// Asks the server what the books want asked.
async fn ask(client: &Client, call: &Call, manner: Manner) -> Outcome {
    let manner = match call.ask {
        Ask::Evict => manner,
        Ask::Delete => Manner { delete: true, ..manner },
        Ask::Kill => Manner { delete: true, grace_seconds: Some(KILL_GRACE_SECONDS), ..manner },
        Ask::Replace => {
            let Some(owner) = &call.owner else { return evict(client, &call.pod, manner).await };
            match surge(client, &call.pod.namespace, owner).await {
                Ok(Fitness::Fit { deployment } | Fitness::UnderWay { deployment }) => {
                    return Outcome::Replacing { deployment };
                }
                Ok(Fitness::Unfit { .. }) => manner,
                Err(error) => return outcome(&error),
            }
        }
    };
    evict(client, &call.pod, manner).await
}

impl DrainError {
    /// The API refused before anything was evicted.
    pub(super) fn before_anything(doing: String, error: &kube::Error) -> Self {
        Self::Api { doing, message: error_message(error), remains: Box::<Remains>::default() }
    }
}
