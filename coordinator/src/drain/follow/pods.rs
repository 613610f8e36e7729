//! Follows the pods of a node: one list, then watches, each of which continues where the last one ended.
//!
//! kube's own watcher starts the next watch at once. But an apiserver buffers only ten events for a watch of one node's pods
//! (`suggestedWatchChannelSize` in k8s.io/apiserver/pkg/storage/cacher) and ends the watch when a busy CPU lets that overflow,
//! as happens when hundreds of pods go at once; the next watch would fare no better. So the watch after one that ended early
//! waits: while evictions are in flight until they are answered, else longer each time. Nothing is lost by that, as the server
//! keeps the events of the last minutes for all watches.

use std::time::Duration;

use futures::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{WatchEvent, WatchParams},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use usher_core::drain::DrainOptions;

use crate::{
    cluster::{
        retry::{is_expired, jittered},
        watch::{PAUSE, watch_seconds},
    },
    drain::select::{self, PodFacts},
};

/// A watch that lasts this long has not ended early.
const STEADY: Duration = Duration::from_secs(5);

/// The pause after a watch that ended early; doubles with each further one in a row, up to [`PAUSE`].
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// How much longer than requested a watch may last before its connection counts as dead.
const OVERTIME: Duration = Duration::from_secs(5);

/// A change of the pods of a node.
#[derive(Debug)]
pub(crate) enum PodUpdate {
    /// All pods that there are.
    Listed(Vec<PodFacts>),
    /// A pod is new or has changed.
    Changed(Box<PodFacts>),
    /// The pod with this UID has gone, or the selectors no longer match it.
    Gone(String),
}

/// An endless stream of updates about the pods that a drain is about. It recovers from errors by itself.
///
/// `evicting` says whether evictions are in flight: until they are answered, a drain can do without updates.
pub(crate) fn pod_updates(
    client: &Client,
    node: &str,
    options: &DrainOptions,
    evicting: watch::Receiver<bool>,
) -> impl Stream<Item = Result<PodUpdate, kube::Error>> + use<> {
    let follower = Follower {
        client: client.clone(),
        node: node.to_owned(),
        options: options.clone(),
        evicting,
        early: 0,
        rest: None,
    };
    stream::unfold((follower, State::Begin), async |(mut follower, mut state)| {
        loop {
            let update;
            (update, state) = follower.step(state).await;
            if let Some(update) = update {
                return Some((update, (follower, state)));
            }
        }
    })
}

struct Follower {
    client: Client,
    node: String,
    options: DrainOptions,
    evicting: watch::Receiver<bool>,
    /// How many watches in a row have ended early.
    early: u32,
    /// Whether to pause before the next request.
    rest: Option<Rest>,
}

enum Rest {
    /// The server is unreachable or refuses.
    Trouble,
    /// Watches ended early.
    Early,
}

enum State {
    Begin,
    /// Everything up to this version is known.
    Known(String),
    Watching {
        version: String,
        begun: Instant,
        /// From then on its connection counts as dead.
        dead: Instant,
        events: Events,
    },
}

type Events = BoxStream<'static, Result<WatchEvent<Pod>, kube::Error>>;

impl Follower {
    async fn step(&mut self, state: State) -> (Option<Result<PodUpdate, kube::Error>>, State) {
        self.rest().await;
        match state {
            State::Begin => self.list().await,
            State::Known(version) => self.watch(version).await,
            State::Watching { version, begun, dead, mut events } => {
                let Ok(Some(event)) = timeout_at(dead, events.next()).await else {
                    return (None, self.ended(version, begun));
                };
                let continued = |version| State::Watching { version, begun, dead, events };
                match event {
                    Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => {
                        let version = pod.resource_version().unwrap_or(version);
                        (Some(Ok(PodUpdate::Changed(Box::new(PodFacts::of(&pod))))), continued(version))
                    }
                    Ok(WatchEvent::Deleted(pod)) => {
                        let uid = pod.uid().unwrap_or_default();
                        (Some(Ok(PodUpdate::Gone(uid))), continued(pod.resource_version().unwrap_or(version)))
                    }
                    Ok(WatchEvent::Bookmark(mark)) => (None, continued(mark.metadata.resource_version)),
                    Ok(WatchEvent::Error(status)) => self.failed(kube::Error::Api(status.boxed()), version),
                    Err(error) => self.failed(error, version),
                }
            }
        }
    }

    async fn rest(&mut self) {
        match self.rest.take() {
            Some(Rest::Trouble) => sleep(jittered(PAUSE)).await,
            Some(Rest::Early) if *self.evicting.borrow() => {
                let answered = self.evicting.wait_for(|evicting| !evicting);
                if timeout(jittered(PAUSE), answered).await.is_ok() {
                    self.early = 0;
                }
            }
            Some(Rest::Early) => sleep(jittered(pause_after(self.early))).await,
            None => {}
        }
    }

    async fn list(&mut self) -> (Option<Result<PodUpdate, kube::Error>>, State) {
        match select::of_node(&self.client, &self.node, &self.options, Duration::ZERO, PodFacts::of).await {
            Ok((pods, version)) => (Some(Ok(PodUpdate::Listed(pods))), State::Known(version)),
            Err(error) => {
                self.rest = Some(Rest::Trouble);
                (Some(Err(error)), State::Begin)
            }
        }
    }

    async fn watch(&mut self, version: String) -> (Option<Result<PodUpdate, kube::Error>>, State) {
        let seconds = watch_seconds();
        let (field_selector, label_selector) = select::selectors(&self.node, &self.options);
        let params = WatchParams { field_selector, label_selector, ..WatchParams::default() }.timeout(seconds);
        let pods: Api<Pod> = Api::all(self.client.clone());
        match pods.watch(&params, &version).await {
            Ok(events) => {
                let begun = Instant::now();
                let dead = begun + Duration::from_secs(seconds.into()) + OVERTIME;
                (None, State::Watching { version, begun, dead, events: events.boxed() })
            }
            Err(error) => self.failed(error, version),
        }
    }

    fn failed(&mut self, error: kube::Error, version: String) -> (Option<Result<PodUpdate, kube::Error>>, State) {
        self.rest = Some(Rest::Trouble);
        match is_expired(&error) {
            true => (None, State::Begin),
            false => (Some(Err(error)), State::Known(version)),
        }
    }

    fn ended(&mut self, version: String, begun: Instant) -> State {
        let is_early = begun.elapsed() < STEADY;
        self.early = if is_early { self.early.saturating_add(1) } else { 0 };
        self.rest = is_early.then_some(Rest::Early);
        State::Known(version)
    }
}

/// The pause before the next watch when this many in a row have ended early.
fn pause_after(early: u32) -> Duration {
    SHORTEST_PAUSE.saturating_mul(2_u32.saturating_pow(early.saturating_sub(1))).min(PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_that_end_early_restart_ever_more_slowly() {
        let pauses = [1, 2, 3, 4, 5, 40].map(|early| pause_after(early).as_millis());
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    }
}
