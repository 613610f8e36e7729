//! Watches: the store's history from a version on, as a stream of lines.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};
use tokio::{
    sync::watch as channel,
    time::{Instant, Interval, MissedTickBehavior},
};

use super::{
    Inner,
    answer::{Failure, Reply},
    call::Call,
    clock::Clock,
    form::Form,
    resource::Resource,
    selector::Selection,
    store::{Change, Event, Store},
};

/// The real server sends about one bookmark a minute.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How long a watch lives if the client does not say. The real server draws from 30 to 60 minutes.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// How all open watches came to their end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Cut {
    /// Their connections were lost.
    #[default]
    Broken,
    /// The server had enough of them.
    Ended,
}

/// What a watch lets through, and in what form.
struct Filter {
    resource: &'static Resource,
    namespace: Option<String>,
    selection: Selection,
    form: Form,
    clock: Clock,
}

struct Watch {
    server: Weak<Inner>,
    filter: Filter,
    cursor: u64,
    ready: VecDeque<Bytes>,
    ended: bool,
    versions: channel::Receiver<u64>,
    cuts: channel::Receiver<Cut>,
    end: Instant,
    bookmarks: Option<Interval>,
}

/// Opens a watch.
pub(super) fn open(
    server: &Arc<Inner>,
    resource: &'static Resource,
    namespace: Option<String>,
    call: &Call,
    form: Form,
) -> Result<Reply, Failure> {
    let filter =
        Filter { resource, namespace, selection: Selection::of(call, resource)?, form, clock: server.clock.clone() };
    let wants_bookmarks = call.flag("allowWatchBookmarks");
    let from = call.parameter("resourceVersion").unwrap_or("0");
    let from: u64 = from
        .parse()
        .map_err(|_| Failure::bad_request(format!("Invalid value: \"{from}\": resourceVersion must be a number")))?;
    let state = server.lock();
    let mut ready = VecDeque::new();
    let mut ended = false;
    let cursor = if call.flag("sendInitialEvents") || from == 0 {
        ready.extend(filter.all(&state.store));
        if wants_bookmarks {
            ready.push_back(filter.bookmark(state.store.version(), true));
        }
        state.store.version()
    } else {
        if from < state.store.compacted() {
            ready.push_back(too_old());
            ended = true;
        }
        from
    };
    drop(state);
    let timeout = call.parameter("timeoutSeconds").and_then(|seconds| seconds.parse().ok());
    let watch = Watch {
        server: Arc::downgrade(server),
        filter,
        cursor,
        ready,
        ended,
        versions: server.version.subscribe(),
        cuts: server.cuts.subscribe(),
        end: Instant::now() + timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs),
        bookmarks: wants_bookmarks.then(|| {
            let mut ticks = tokio::time::interval_at(Instant::now() + BOOKMARK_INTERVAL, BOOKMARK_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        }),
    };
    let lines = futures::stream::unfold(watch, |mut watch| async {
        let line = watch.next().await?;
        Some((line.map(Frame::data), watch))
    });
    let mut reply = Response::new(StreamBody::new(lines).boxed_unsync());
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(reply)
}

impl Watch {
    /// The next line, an error if the connection is cut, `None` at the orderly end.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            if self.ended {
                return None;
            }
            self.versions.mark_unchanged();
            self.read();
            if !self.ready.is_empty() {
                continue;
            }
            let bookmark = async {
                match &mut self.bookmarks {
                    Some(ticks) => ticks.tick().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = self.versions.changed() => changed.ok()?,
                cut = self.cuts.changed() => {
                    cut.ok()?;
                    self.ended = true;
                    let cut = *self.cuts.borrow_and_update();
                    if matches!(cut, Cut::Broken) {
                        return Some(Err(io::Error::new(io::ErrorKind::ConnectionReset, "the watch was cut by the test")));
                    }
                }
                () = tokio::time::sleep_until(self.end) => self.ended = true,
                _ = bookmark => self.ready.push_back(self.filter.bookmark(self.cursor, false)),
            }
        }
    }

    /// Takes over what has happened since the cursor.
    fn read(&mut self) {
        let Some(server) = self.server.upgrade() else {
            self.ended = true;
            return;
        };
        let state = server.lock();
        if self.cursor < state.store.compacted() {
            self.ready.push_back(too_old());
            self.ended = true;
            return;
        }
        let lines = state.store.since(self.cursor).filter_map(|event| self.filter.line(event));
        self.ready.extend(lines);
        self.cursor = self.cursor.max(state.store.version());
    }
}

impl Filter {
    fn lets_through(&self, object: &Value) -> bool {
        self.selection.matches(object)
    }

    /// The line for an event, if it concerns this watch. An object that begins or ceases to match the selectors is added
    /// or deleted as the watch sees it.
    fn line(&self, event: &Event) -> Option<Bytes> {
        let mine = event.key.resource == self.resource
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == event.key.namespace);
        if !mine {
            return None;
        }
        let before = event.before.as_deref().filter(|object| self.lets_through(object));
        let after = Some(&*event.object).filter(|object| event.change != Change::Deleted && self.lets_through(object));
        match (before, after) {
            (None, None) => None,
            (None, Some(after)) => Some(self.render("ADDED", after)),
            (Some(_), Some(after)) => Some(self.render("MODIFIED", after)),
            (Some(before), None) => {
                let mut last = before.clone();
                last["metadata"]["resourceVersion"] = event.version.to_string().into();
                Some(self.render("DELETED", &last))
            }
        }
    }

    fn all(&self, store: &Store) -> Vec<Bytes> {
        let objects = store.list(self.resource, self.namespace.as_deref()).map(|(_, object)| object);
        objects.filter(|object| self.lets_through(object)).map(|object| self.render("ADDED", object)).collect()
    }

    fn render(&self, kind: &str, object: &Value) -> Bytes {
        line(kind, &self.form.render(self.resource, object, self.clock.now()))
    }

    fn bookmark(&self, version: u64, initial_events_end: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let (api_version, kind) = (self.resource.api_version(), self.resource.kind);
        line("BOOKMARK", &json!({"kind": kind, "apiVersion": api_version, "metadata": metadata}))
    }
}

fn too_old() -> Bytes {
    line("ERROR", &Failure::new(410, "Expired", "The resourceVersion for the provided watch is too old.").status())
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut line = json!({"type": kind, "object": object}).to_string();
    line.push('\n');
    line.into()
}
