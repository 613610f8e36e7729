//! What becomes of a tenant's pods, as a watch of our own sees it.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use anyhow::Context;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};
use tokio::{task::JoinHandle, time::Instant};
use usher_testkit::bed::{CONTROL_PLANES, is_ready, until};

use super::tenant::Tenant;
use crate::observe::node_of;

/// usher has long evicted, or given up, by then.
const LIMIT: Duration = Duration::from_secs(120);

/// One pod, from when it was first seen.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    /// The pod as it was seen last.
    pub(crate) last: Pod,
    /// When it was told to go.
    pub(crate) told: Option<Instant>,
    /// When it had gone.
    pub(crate) gone: Option<Instant>,
}

impl Life {
    /// How long it lived after it was told to go.
    pub(crate) fn end(&self) -> anyhow::Result<Duration> {
        let (told, gone) = (self.told.context("never told to go")?, self.gone.context("never gone")?);
        Ok(gone - told)
    }

    /// What its container ended with.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        let status = self.last.status.as_ref()?.container_statuses.as_ref()?.first()?;
        Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
    }

    pub(crate) fn phase(&self) -> &str {
        self.last.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
    }

    fn is_available(&self) -> bool {
        self.told.is_none() && self.gone.is_none() && is_ready(&self.last)
    }
}

#[derive(Debug, Default)]
struct Book {
    lives: BTreeMap<String, Life>,
    /// The fewest that were available at any moment.
    fewest: Option<usize>,
}

/// The lives of all pods of a tenant; seen until this is dropped.
#[derive(Debug)]
pub(crate) struct Lives {
    book: Rc<RefCell<Book>>,
    task: JoinHandle<()>,
}

impl Lives {
    /// Begins to look, and has seen all that is there.
    pub(crate) async fn of(tenant: &Tenant<'_>) -> anyhow::Result<Self> {
        let book = Rc::<RefCell<Book>>::default();
        // Past the balancer, whose connections some tests break.
        let client = tenant.bed.client_at(&CONTROL_PLANES[0]).await?;
        let pods = watcher(Api::<Pod>::namespaced(client, &tenant.name), watcher::Config::default()).default_backoff();
        let seen = Rc::clone(&book);
        let task = tokio::task::spawn_local(async move {
            let mut listed = Vec::new();
            pods.for_each(|event| {
                // The servers may be away; the watch begins again.
                if let Ok(event) = event {
                    seen.borrow_mut().note(event, &mut listed);
                }
                std::future::ready(())
            })
            .await;
        });
        let lives = Self { book, task };
        until("a list of the tenant's pods", LIMIT, async || Ok(lives.book.borrow().fewest)).await?;
        Ok(lives)
    }

    /// Waits until so many pods were told to go.
    pub(crate) async fn await_told(&self, pods: usize) -> anyhow::Result<()> {
        until(&format!("{pods} pods on their way out"), LIMIT, async || {
            let told = self.book.borrow().lives.values().filter(|life| life.told.is_some()).count();
            Ok((told >= pods).then_some(()))
        })
        .await
    }

    /// Waits until so many pods of w1 have gone, and tells them, the ones first that were told first.
    ///
    /// usher may have seen it before: our own watch was cut, too.
    pub(crate) async fn gone(&self, pods: usize) -> anyhow::Result<Vec<Life>> {
        until(&format!("{pods} pods gone"), LIMIT, async || {
            let gone = self.on_w1().into_iter().filter(|life| life.gone.is_some()).collect::<Vec<_>>();
            Ok((gone.len() >= pods).then_some(gone))
        })
        .await
    }

    fn on_w1(&self) -> Vec<Life> {
        let book = self.book.borrow();
        let mut lives: Vec<_> = book.lives.values().filter(|life| node_of(&life.last) == Some("w1")).cloned().collect();
        lives.sort_by_key(|life| life.told);
        lives
    }

    /// How many pods elsewhere were told to go: successors, which nobody should touch.
    pub(crate) fn hit_elsewhere(&self) -> usize {
        let book = self.book.borrow();
        let elsewhere = book.lives.values().filter(|life| node_of(&life.last) != Some("w1"));
        elsewhere.filter(|life| life.told.is_some()).count()
    }

    /// The fewest pods that were ready and not told to go, at any moment.
    pub(crate) fn fewest_available(&self) -> usize {
        self.book.borrow().fewest.unwrap_or_default()
    }
}

impl Drop for Lives {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Book {
    fn note(&mut self, event: Event<Pod>, listed: &mut Vec<String>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(pod) => {
                listed.extend(pod.metadata.uid.clone());
                self.see(pod);
            }
            Event::InitDone => {
                let missing = self.lives.iter_mut().filter(|(uid, _)| !listed.contains(uid));
                missing.for_each(|(_, life)| life.go());
                self.count();
            }
            Event::Apply(pod) => {
                self.see(pod);
                self.count();
            }
            Event::Delete(pod) => {
                let uid = pod.metadata.uid.clone().unwrap_or_default();
                self.see(pod);
                self.lives.entry(uid).and_modify(Life::go);
                self.count();
            }
        }
    }

    fn see(&mut self, pod: Pod) {
        let told = pod.metadata.deletion_timestamp.is_some().then(Instant::now);
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let life = self.lives.entry(uid).or_insert_with(|| Life { last: pod.clone(), told: None, gone: None });
        life.told = life.told.or(told);
        life.last = pod;
    }

    fn count(&mut self) {
        let available = self.lives.values().filter(|life| life.is_available()).count();
        self.fewest = Some(self.fewest.map_or(available, |fewest| fewest.min(available)));
    }
}

impl Life {
    fn go(&mut self) {
        let now = Instant::now();
        self.told.get_or_insert(now);
        self.gone.get_or_insert(now);
    }
}
