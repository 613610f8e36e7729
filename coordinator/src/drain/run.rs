//! The drain itself: one loop that owns the ledger, the watches and the requests in flight.

use std::{pin::pin, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use usher_common::clock;
use usher_core::drain::DrainOptions;

use super::{
    evict::{
        EvictionOptions, Outcome, Pace, evict, outcome,
        surge::{self, Surge},
    },
    follow::{self, Action, BudgetWatches, Deadline, Ledger, PodUpdate, Request, Strategy},
    report::{DrainError, DrainProgress, RefusedPod, grouped},
    select::{self, DaemonSets, Filtered, PodFacts, filter},
};
use crate::cluster::retry::{UNLIMITED, error_message, is_transient};

/// How often to credit the deadline with leaderless time while pods wait for a budget.
const LEADERLESS_TICK: Duration = Duration::from_secs(2);

/// The shortest grace period with which a kubelet still ends a pod in order. With none the API would forget the pod at once,
/// whether or not its containers have ended.
const KILL_GRACE_SECONDS: u32 = 1;

/// How long a drain that is stopped awaits the answers to requests that it has sent.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// How often to look for pods whose kubelet is gone (`--skip-wait-for-delete-timeout`).
const OVERDUE_TICK: Duration = Duration::from_secs(1);

/// One node's drain.
pub(super) struct Drain<'a> {
    pub(super) client: &'a Client,
    pub(super) node: &'a str,
    pub(super) options: &'a DrainOptions,
    pub(super) pace: Pace,
    /// Whether a kube-controller-manager leads; None if unknown.
    pub(super) budget_leader: watch::Receiver<Option<bool>>,
    /// Whether to begin nothing more.
    pub(super) stop: watch::Receiver<bool>,
    /// How far the server's clock is ahead of this machine's.
    pub(super) clock_offset: SignedDuration,
    pub(super) ledger: Ledger,
    pub(super) daemon_sets: DaemonSets,
    pub(super) deadline: Deadline,
}

impl Drain<'_> {
    /// Runs until no pod that has to go is left on the node. The caller sets the deadline.
    pub(super) async fn empty_the_node(
        &mut self,
        progress: &mut (dyn FnMut(DrainProgress) + Send),
    ) -> Result<(), DrainError> {
        let evicting = watch::Sender::new(false);
        let mut pods = pin!(follow::pod_updates(self.client, self.node, self.options, evicting.subscribe()));
        let mut budgets = BudgetWatches::default();
        let mut requests = FuturesUnordered::new();
        let parallel = self.options.parallel.max(1);
        let mut reported = None;
        let mut listed = false;

        loop {
            if let Some(limit) = self.options.skip_wait_for_delete {
                self.ledger.skip_overdue(limit, server_now(self.clock_offset));
            }
            let now = Instant::now();
            while requests.len() < parallel
                && let Some(request) = self.ledger.next_request(now)
            {
                requests.push(self.send(request));
            }
            evicting.send_replace(!requests.is_empty());
            let blocked = self.ledger.namespaces_with_blocked();
            let waits = !blocked.is_empty();
            budgets.follow(self.client, blocked);
            let replenished = !waits || *self.budget_leader.borrow_and_update() != Some(false);
            self.ledger.set_replenished(replenished, clock::now());
            self.deadline.set_replenished(replenished, now);
            let state = self.ledger.progress();
            if (listed || state.trouble.is_some()) && reported.as_ref() != Some(&state) {
                progress(state.clone());
                reported = Some(state);
            }
            if listed && self.ledger.is_empty() && self.is_really_empty().await? {
                self.volumes_are_detached(progress).await;
                return Ok(());
            }
            if requests.is_empty() && self.ledger.is_hopeless() {
                let remains = Box::new(self.ledger.remains());
                return Err(DrainError::Failed { node: self.node.to_owned(), remains });
            }

            let put_off = self.ledger.next_due().filter(|_| requests.len() < parallel);
            // Outcomes first: they free room for the next requests, and a watch lags behind them anyway. Clocks last, so that a
            // pod is not tried again although an update says that it need not be.
            tokio::select! {
                biased;
                true = is_true(&mut self.stop) => {
                    let answers = async {
                        while let Some(answer) = requests.next().await {
                            self.answered(answer);
                        }
                    };
                    // What is cut off may have been done all the same.
                    let _ = timeout(ANSWERS_WITHIN, answers).await;
                    return Err(DrainError::Stopped { node: self.node.to_owned(), remains: Box::new(self.ledger.remains()) });
                }
                Some(answer) = requests.next() => self.answered(answer),
                Some(update) = pods.next() => match update {
                    Ok(PodUpdate::Listed(pods)) => {
                        self.listed(pods).await?;
                        listed = true;
                    }
                    Ok(PodUpdate::Changed(pod)) => self.changed(*pod).await?,
                    Ok(PodUpdate::Gone(uid)) => self.gone(&uid),
                    Err(error) => self.watch_failed(&error)?,
                },
                Some(update) = budgets.next() => self.ledger.budget_changed(&update, Instant::now()),
                Ok(()) = self.budget_leader.changed(), if waits => {}
                () = sleep_until(put_off.unwrap_or(now)), if put_off.is_some() => {}
                () = sleep(LEADERLESS_TICK), if !replenished => {}
                () = sleep(OVERDUE_TICK), if self.options.skip_wait_for_delete.is_some() => {}
            }
        }
    }

    /// Sends a request as soon as the client's pace admits it. One that still waits for that when the drain is told to stop is not sent.
    fn send(&self, request: Request) -> impl Future<Output = Option<Answer>> + use<> {
        let (client, pace, options) = (self.client.clone(), self.pace.clone(), self.options.into());
        let mut stop = self.stop.clone();
        async move {
            let permit = tokio::select! {
                biased;
                true = is_true(&mut stop) => return None,
                permit = pace.permit() => permit,
            };
            let outcome = permit.with(send(&client, &request, options)).await;
            Some((request.pod.uid, request.action, outcome))
        }
    }

    fn answered(&mut self, answer: Option<Answer>) {
        if let Some((uid, action, outcome)) = answer {
            self.ledger.answered(&uid, action, outcome, Instant::now(), clock::now());
        }
    }

    async fn listed(&mut self, pods: Vec<PodFacts>) -> Result<(), DrainError> {
        self.ledger.set_trouble(None);
        self.ledger.reconcile(pods.iter().cloned(), Instant::now());
        self.admit(pods).await
    }

    async fn changed(&mut self, pod: PodFacts) -> Result<(), DrainError> {
        self.ledger.set_trouble(None);
        self.ledger.update(pod.clone(), Instant::now());
        self.admit(vec![pod]).await
    }

    fn gone(&mut self, uid: &str) {
        self.ledger.set_trouble(None);
        self.ledger.gone(uid);
    }

    /// Adds the pods that are new to the ledger. All or none: if one forbids the drain, none is added.
    async fn admit(&mut self, pods: Vec<PodFacts>) -> Result<(), DrainError> {
        let (mut evict, mut stay, mut refused, mut warnings) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for facts in pods {
            if self.ledger.knows(&facts.pod.uid) {
                continue;
            }
            let daemon_set = self.daemon_sets.of(self.client, &facts, UNLIMITED).await;
            let pod = facts.pod.clone();
            match filter(&facts, daemon_set.as_ref(), self.options, server_now(self.clock_offset)) {
                Filtered::Evict { warning } => {
                    warnings.extend(warning.map(|warning| (pod, warning)));
                    evict.push(facts);
                }
                Filtered::Stay { reason, warning } => {
                    warnings.extend(warning.map(|warning| (pod, warning)));
                    stay.push((facts, reason));
                }
                Filtered::Refuse { message, .. } => refused.push(RefusedPod { pod, message }),
            }
        }
        if !refused.is_empty() {
            refused.sort_by(|a, b| a.pod.cmp(&b.pod));
            let remains = Box::new(self.ledger.remains());
            return Err(DrainError::Refused { node: self.node.to_owned(), pods: refused, remains });
        }
        self.ledger.warn(grouped(warnings.iter().map(|(pod, warning)| (pod, warning.as_str()))));
        stay.into_iter().for_each(|(facts, reason)| self.ledger.add_staying(facts, reason));
        evict.sort_by(|a, b| a.pod.cmp(&b.pod));
        let policy = &self.options.policy;
        for facts in evict {
            let group = select::group(policy, &facts);
            let strategy = match (select::awaits_completion(policy, &facts), select::surges(policy, &facts)) {
                (true, _) => Strategy::AwaitCompletion,
                (false, true) => Strategy::ReplaceFirst,
                (false, false) => Strategy::Evict,
            };
            self.ledger.add(facts, group, strategy, Instant::now());
        }
        Ok(())
    }

    /// Waits until the volumes of the moved pods are detached, if they had any.
    async fn volumes_are_detached(&mut self, progress: &mut (dyn FnMut(DrainProgress) + Send)) {
        if !self.options.policy.wait_for_volumes {
            return;
        }
        let ledger = &mut self.ledger;
        let detached = follow::detached(self.client, self.node, ledger.moved_volumes(), |volumes| {
            ledger.set_attached(volumes);
            progress(ledger.progress());
        });
        let unseen = detached.await;
        self.ledger.set_attached(Vec::new());
        self.ledger.warn(Vec::from_iter(unseen));
    }

    /// Lists the node once more: a watch lags behind, and a scheduler may have bound another pod to the node.
    async fn is_really_empty(&mut self) -> Result<bool, DrainError> {
        let listed = select::of_node(self.client, self.node, self.options, UNLIMITED, PodFacts::of).await;
        let (listed, _) = listed.map_err(|error| self.cannot_list(&error))?;
        self.listed(listed).await?;
        Ok(self.ledger.is_empty())
    }

    fn watch_failed(&mut self, error: &kube::Error) -> Result<(), DrainError> {
        // A broken connection is no failure: the next watch continues there. Only a permanent refusal ends the drain.
        match error {
            kube::Error::Api(_) if !is_transient(error) => Err(self.cannot_list(error)),
            _ => {
                self.ledger.set_trouble(Some(error_message(error)));
                Ok(())
            }
        }
    }

    fn cannot_list(&self, error: &kube::Error) -> DrainError {
        DrainError::Api {
            doing: format!("list the pods on {}", self.node),
            message: error_message(error),
            remains: Box::new(self.ledger.remains()),
        }
    }
}

/// The pod's UID, what was asked for, and what came of it.
type Answer = (String, Action, Outcome);

/// Completes when the value is true; with false if it can become so no more.
async fn is_true(value: &mut watch::Receiver<bool>) -> bool {
    value.wait_for(|value| *value).await.is_ok()
}

/// The server's clock, whose times the deletions and conditions of pods bear.
pub(super) fn server_now(offset: SignedDuration) -> Timestamp {
    let now = clock::now();
    now.checked_add(offset).unwrap_or(now)
}

async fn send(client: &Client, request: &Request, options: EvictionOptions) -> Outcome {
    let options = match request.action {
        Action::Evict => options,
        Action::Delete => EvictionOptions { delete: true, ..options },
        Action::Kill => EvictionOptions { delete: true, grace_seconds: Some(KILL_GRACE_SECONDS), ..options },
        Action::Replace => {
            let Some(owner) = &request.owner else { return evict(client, &request.pod, options).await };
            match surge::start(client, &request.pod.namespace, owner).await {
                Ok(Surge::Possible { deployment } | Surge::InProgress { deployment }) => {
                    return Outcome::Replacing { deployment };
                }
                Ok(Surge::Impossible { .. }) => options,
                Err(error) => return outcome(&error),
            }
        }
    };
    evict(client, &request.pod, options).await
}
