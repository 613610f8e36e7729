//! The drain itself: one loop that owns the books, the watch and the calls in flight.

use std::{pin::pin, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::ListParams,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{
    DrainError, DrainOptions, DrainProgress, Drained, PodRef, RefusedPod, Remains, StayingPod,
    budget_watch::BudgetWatches,
    classify::{Verdict, grouped, verdict},
    daemon_sets::DaemonSets,
    evict::{Outcome, evict},
    ledger::Ledger,
    pace::Pace,
    patience::{Steady, is_passing, of_watch, patiently, watch_seconds, words},
    pods::PodFacts,
};

/// How often is asked whether somebody refills budgets, while pods wait for one.
const REFILL_TICK: Duration = Duration::from_secs(2);

/// How often is looked for pods whose kubelet is gone, if they are not to be waited for.
const OVERDUE_TICK: Duration = Duration::from_secs(1);

/// Drains nodes through one client, which need not be one after another: all share one bound on the calls in flight.
#[derive(Clone)]
pub struct Drainer<'a> {
    client: Client,
    pace: Pace,
    refill: Option<&'a Refill<'a>>,
}

/// Tells whether somebody leads kube-controller-manager, which alone gives budgets their room back; None if that is not known.
/// Called often, so it must not wait.
pub type Refill<'a> = dyn Fn() -> Option<bool> + Send + Sync + 'a;

impl<'a> Drainer<'a> {
    /// `client` must not retry by itself (`default_retry` off), or blocked pods are seen too late.
    pub fn new(client: Client) -> Self {
        Self { client, pace: Pace::default(), refill: None }
    }

    /// Lets the drains say when pods wait for no other reason than that nobody refills budgets.
    pub fn asking(self, refill: &'a Refill<'a>) -> Self {
        Self { refill: Some(refill), ..self }
    }

    /// Evicts every pod from the node that has to go, and waits until it has gone. Cordon the node first.
    ///
    /// `progress` is told each time that something has changed.
    ///
    /// # Errors
    ///
    /// [`DrainError::Refused`] before anything is evicted if pods forbid it; [`DrainError::Failed`] as soon as nothing else
    /// is left than pods that cannot be evicted and pods that wait for a budget; [`DrainError::TimedOut`] after
    /// [`DrainOptions::timeout`]; [`DrainError::Api`] if the API refuses what a drain needs to know.
    pub async fn drain(
        &self,
        node: &str,
        options: &DrainOptions,
        progress: &mut (dyn FnMut(DrainProgress) + Send),
    ) -> Result<Drained, DrainError> {
        let started = Instant::now();
        let mut drain = Drain {
            client: &self.client,
            node,
            options,
            pace: self.pace.clone(),
            refill: self.refill,
            ledger: Ledger::default(),
            daemon_sets: DaemonSets::default(),
        };
        // Everything that the drain waits for, calls in flight included, lives in this future and ends with it.
        match timeout_at(started + options.timeout, drain.empty_the_node(progress)).await {
            Ok(Ok(())) => Ok(drain.ledger.close(started.elapsed())),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(DrainError::TimedOut {
                node: node.to_owned(),
                waited: options.timeout,
                remains: Box::new(drain.ledger.remains()),
            }),
        }
    }
}

/// Drains one node: [`Drainer::drain`] with a pace of its own.
///
/// # Errors
///
/// As there.
pub async fn run(
    client: &Client,
    node: &str,
    options: &DrainOptions,
    progress: &mut (dyn FnMut(DrainProgress) + Send),
) -> Result<Drained, DrainError> {
    Drainer::new(client.clone()).drain(node, options, progress).await
}

/// The pods of a node that are subject to a drain, in one consistent list; of each no more than `keep` keeps.
pub(super) async fn list<T>(
    client: &Client,
    node: &str,
    options: &DrainOptions,
    keep: impl Fn(&Pod) -> T,
) -> Result<Vec<T>, kube::Error> {
    let mut params = ListParams::default().fields(&format!("spec.nodeName={node}"));
    params.label_selector.clone_from(&options.pod_selector);
    params.limit = options.page();
    let mut found = Vec::new();
    let pods = Api::<Pod>::all(client.clone());
    // A page whose token has expired is answered with 410, which passes: the whole list is read anew.
    loop {
        let page = pods.list(&params).await?;
        found.extend(page.items.iter().map(&keep));
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => return Ok(found),
        }
    }
}

struct Drain<'a> {
    client: &'a Client,
    node: &'a str,
    options: &'a DrainOptions,
    pace: Pace,
    refill: Option<&'a Refill<'a>>,
    ledger: Ledger,
    daemon_sets: DaemonSets,
}

impl Drain<'_> {
    async fn empty_the_node(&mut self, progress: &mut (dyn FnMut(DrainProgress) + Send)) -> Result<(), DrainError> {
        let mut config =
            watcher::Config::default().fields(&format!("spec.nodeName={}", self.node)).timeout(watch_seconds());
        config.page_size = self.options.page();
        config.label_selector.clone_from(&self.options.pod_selector);
        let mut watch = pin!(watcher(Api::<Pod>::all(self.client.clone()), config).backoff(Steady));
        let mut budgets = BudgetWatches::default();
        let mut calls = FuturesUnordered::new();
        let parallel = self.options.parallel.max(1);
        let mut told = None;
        // The pods of a list that is being read.
        let mut listing = Vec::new();
        let mut began = false;

        loop {
            if let Some(limit) = self.options.skip_wait_for_delete {
                self.ledger.skip_overdue(limit, Timestamp::now());
            }
            let now = Instant::now();
            while calls.len() < parallel
                && let Some(pod) = self.ledger.next_call(now)
            {
                calls.push(self.call(pod));
            }
            let blocked = self.ledger.namespaces_with_blocked();
            let waits = !blocked.is_empty();
            budgets.follow(self.client, blocked);
            let refilled = !waits || self.refill.and_then(|refill| refill()) != Some(false);
            self.ledger.refilled(refilled, Timestamp::now());
            let state = self.ledger.progress();
            if (began || state.trouble.is_some()) && told.as_ref() != Some(&state) {
                progress(state.clone());
                told = Some(state);
            }
            if began && self.ledger.is_empty() && self.is_really_empty().await? {
                return Ok(());
            }
            if calls.is_empty() && self.ledger.is_hopeless() {
                let remains = Box::new(self.ledger.remains());
                return Err(DrainError::Failed { node: self.node.to_owned(), remains });
            }

            let put_off = self.ledger.next_due().filter(|_| calls.len() < parallel);
            tokio::select! {
                Some((uid, outcome)) = calls.next() => {
                    self.ledger.answered(&uid, outcome, Instant::now(), Timestamp::now());
                }
                Some(news) = budgets.next() => self.ledger.heard(&news, Instant::now()),
                event = watch.try_next() => match event {
                    Ok(Some(watcher::Event::Init)) => listing = Vec::new(),
                    Ok(Some(watcher::Event::InitApply(pod))) => listing.push(PodFacts::of(&pod)),
                    Ok(Some(watcher::Event::InitDone)) => {
                        self.listed(std::mem::take(&mut listing)).await?;
                        began = true;
                    }
                    Ok(Some(watcher::Event::Apply(pod))) => self.seen(PodFacts::of(&pod)).await?,
                    Ok(Some(watcher::Event::Delete(pod))) => self.gone(&pod),
                    // A watch begins again without end.
                    Ok(None) => {}
                    Err(error) => self.watch_failed(error)?,
                },
                () = sleep_until(put_off.unwrap_or(now)), if put_off.is_some() => {}
                () = sleep(REFILL_TICK), if waits && self.refill.is_some() => {}
                () = sleep(OVERDUE_TICK), if self.options.skip_wait_for_delete.is_some() => {}
            }
        }
    }

    /// One call for a pod, as soon as the client's pace lets it begin.
    fn call(&self, pod: PodRef) -> impl Future<Output = (String, Outcome)> + use<> {
        let (client, pace, manner) = (self.client.clone(), self.pace.clone(), self.options.manner());
        async move {
            let permit = pace.permit().await;
            let outcome = evict(&client, &pod, manner).await;
            match &outcome {
                Outcome::Later { retry_after, .. } => permit.turned_away(*retry_after),
                _ => permit.answered(),
            }
            (pod.uid, outcome)
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

    fn gone(&mut self, pod: &Pod) {
        self.ledger.trouble(None);
        self.ledger.gone(pod.metadata.uid.as_deref().unwrap_or_default());
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
                    warned.extend(warning.map(|warning| (pod.clone(), warning)));
                    stay.push(StayingPod { pod, reason });
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
        stay.into_iter().for_each(|pod| self.ledger.leave_alone(pod));
        evict.sort_by(|a, b| a.pod.cmp(&b.pod));
        let policy = &self.options.policy;
        for facts in evict {
            let (group, awaited) = (policy.group(&facts), policy.awaits(&facts));
            self.ledger.take_so(facts, group, awaited, Instant::now());
        }
        Ok(())
    }

    /// Reads the list once more: a watch lags behind, and a pod may have been bound to the node since.
    async fn is_really_empty(&mut self) -> Result<bool, DrainError> {
        let listed = patiently(|| list(self.client, self.node, self.options, PodFacts::of)).await;
        let listed = listed.map_err(|error| self.refused_to_say(&error))?;
        self.listed(listed).await?;
        Ok(self.ledger.is_empty())
    }

    fn watch_failed(&mut self, error: watcher::Error) -> Result<(), DrainError> {
        let Some(error) = of_watch(error) else { return Ok(()) };
        // The end of a watch's connection is no trouble by itself: the next one begins at once. Only a server that
        // refuses for good ends the drain.
        match &error {
            kube::Error::Api(_) if !is_passing(&error) => Err(self.refused_to_say(&error)),
            _ => {
                self.ledger.trouble(Some(words(&error)));
                Ok(())
            }
        }
    }

    fn refused_to_say(&self, error: &kube::Error) -> DrainError {
        DrainError::Api {
            doing: format!("list the pods on {}", self.node),
            message: words(error),
            remains: Box::new(self.ledger.remains()),
        }
    }
}

impl DrainError {
    /// The API refused before anything was evicted.
    pub(super) fn before_anything(doing: String, error: &kube::Error) -> Self {
        Self::Api { doing, message: words(error), remains: Box::<Remains>::default() }
    }
}
