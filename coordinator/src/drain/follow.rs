//! The pods of a node, followed: one list, and watches of which each goes on where the last one ended.
//!
//! kube's own watcher begins the next watch at once. But an apiserver keeps no more than ten events for a watch of one node's pods
//! (`suggestedWatchChannelSize` in k8s.io/apiserver/pkg/storage/cacher) and ends the watch when a busy CPU lets that overflow,
//! as happens when hundreds of pods go at once: the next one fares no better. So watches that end early are begun again slowly
//! while evictions are under way, and then ever more slowly. Nothing is lost by that: the server keeps the events of the last
//! minutes for all.

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

use super::{
    DrainOptions, list,
    pods::PodFacts,
    watching::{PAUSE, watch_seconds},
};
use crate::cluster::retry::{is_expired, jittered};

/// A watch that lasts so long has not ended early.
const STEADY: Duration = Duration::from_secs(5);

/// After the first watch that ended early; doubled with each further one, up to [`PAUSE`].
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// How much longer than it was told to be a watch may last: then its connection is dead.
const OVERTIME: Duration = Duration::from_secs(5);

/// What has become of the pods of a node.
#[derive(Debug)]
pub(super) enum News {
    /// All that there are.
    Listed(Vec<PodFacts>),
    /// One has come, or has changed.
    Seen(Box<PodFacts>),
    /// The one with this UID has gone, or no longer is one that is asked for.
    Gone(String),
}

/// The pods that are subject to a drain, without end. After an error it goes on by itself.
///
/// `asking` tells whether calls for pods are in flight: until they have been answered, a drain can go without news.
pub(super) fn follow(
    client: &Client,
    node: &str,
    options: &DrainOptions,
    asking: watch::Receiver<bool>,
) -> impl Stream<Item = Result<News, kube::Error>> + use<> {
    let follower = Follower {
        client: client.clone(),
        node: node.to_owned(),
        options: options.clone(),
        asking,
        early: 0,
        rest: None,
    };
    stream::unfold((follower, State::Begin), async |(mut follower, mut state)| {
        loop {
            let news;
            (news, state) = follower.step(state).await;
            if let Some(news) = news {
                return Some((news, (follower, state)));
            }
        }
    })
}

struct Follower {
    client: Client,
    node: String,
    options: DrainOptions,
    asking: watch::Receiver<bool>,
    /// How many watches in a row have ended early.
    early: u32,
    /// Before the next request.
    rest: Option<Rest>,
}

enum Rest {
    /// The server is not there, or refuses.
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
        /// Then its connection is.
        dead: Instant,
        events: Events,
    },
}

type Events = BoxStream<'static, Result<WatchEvent<Pod>, kube::Error>>;

impl Follower {
    async fn step(&mut self, state: State) -> (Option<Result<News, kube::Error>>, State) {
        self.rest().await;
        match state {
            State::Begin => self.list().await,
            State::Known(version) => self.watch(version).await,
            State::Watching { version, begun, dead, mut events } => {
                let Ok(Some(event)) = timeout_at(dead, events.next()).await else {
                    return (None, self.ended(version, begun));
                };
                let going_on = |version| State::Watching { version, begun, dead, events };
                match event {
                    Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => {
                        let version = pod.resource_version().unwrap_or(version);
                        (Some(Ok(News::Seen(Box::new(PodFacts::of(&pod))))), going_on(version))
                    }
                    Ok(WatchEvent::Deleted(pod)) => {
                        let uid = pod.uid().unwrap_or_default();
                        (Some(Ok(News::Gone(uid))), going_on(pod.resource_version().unwrap_or(version)))
                    }
                    Ok(WatchEvent::Bookmark(mark)) => (None, going_on(mark.metadata.resource_version)),
                    Ok(WatchEvent::Error(status)) => self.failed(kube::Error::Api(status.boxed()), version),
                    Err(error) => self.failed(error, version),
                }
            }
        }
    }

    async fn rest(&mut self) {
        match self.rest.take() {
            Some(Rest::Trouble) => sleep(jittered(PAUSE)).await,
            Some(Rest::Early) if *self.asking.borrow() => {
                let answered = self.asking.wait_for(|asking| !asking);
                if timeout(jittered(PAUSE), answered).await.is_ok() {
                    self.early = 0;
                }
            }
            Some(Rest::Early) => sleep(jittered(pause_after(self.early))).await,
            None => {}
        }
    }

    async fn list(&mut self) -> (Option<Result<News, kube::Error>>, State) {
        match list::of_node(&self.client, &self.node, &self.options, Duration::ZERO, PodFacts::of).await {
            Ok((pods, version)) => (Some(Ok(News::Listed(pods))), State::Known(version)),
            Err(error) => {
                self.rest = Some(Rest::Trouble);
                (Some(Err(error)), State::Begin)
            }
        }
    }

    async fn watch(&mut self, version: String) -> (Option<Result<News, kube::Error>>, State) {
        let seconds = watch_seconds();
        let (field_selector, label_selector) = list::selectors(&self.node, &self.options);
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

    fn failed(&mut self, error: kube::Error, version: String) -> (Option<Result<News, kube::Error>>, State) {
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

/// Before the next watch, when so many in a row have ended early.
fn pause_after(early: u32) -> Duration {
    SHORTEST_PAUSE.saturating_mul(2_u32.saturating_pow(early.saturating_sub(1))).min(PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_that_end_early_are_begun_again_ever_more_slowly() {
        let pauses = [1, 2, 3, 4, 5, 40].map(|early| pause_after(early).as_millis());
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    }
}
