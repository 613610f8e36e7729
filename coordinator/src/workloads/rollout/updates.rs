//! Follows workloads: one watch for each kind, however many there are of it.

use std::collections::BTreeSet;

use futures::{
    StreamExt as _, future,
    stream::{self, BoxStream, SelectAll},
};
use kube::{
    Client, ResourceExt as _,
    api::DynamicObject,
    runtime::{WatchStreamExt as _, watcher},
};

use super::{
    Kind, Places,
    workload::{Workload, WorkloadId},
};
use crate::cluster::{
    retry::{error_message, is_transient},
    watch::{Steady, api_error, watch_seconds},
};

/// News of a workload.
#[derive(Debug)]
pub(super) enum Update {
    /// As it is now.
    Seen(Box<Workload>),
    /// It was deleted.
    Gone(WorkloadId),
    /// Nothing more will be heard of this kind, and why.
    Lost(Kind, String),
}

/// News of these workloads, the present state of each first. Ends only when everything is lost.
pub(super) fn updates(
    client: &Client,
    places: &Places,
    ids: &BTreeSet<WorkloadId>,
) -> SelectAll<BoxStream<'static, Update>> {
    let kinds = Kind::ALL.into_iter().map(|kind| (kind, of_kind(ids, kind))).filter(|(_, ids)| !ids.is_empty());
    kinds.map(|(kind, ids)| watch(client, places, kind, ids)).collect()
}

fn of_kind(ids: &BTreeSet<WorkloadId>, kind: Kind) -> BTreeSet<WorkloadId> {
    ids.iter().filter(|id| id.kind == kind).cloned().collect()
}

fn watch(client: &Client, places: &Places, kind: Kind, ids: BTreeSet<WorkloadId>) -> BoxStream<'static, Update> {
    let mut config = watcher::Config::default().timeout(watch_seconds());
    let mut api = places.api(client, kind);
    if ids.len() == 1
        && let Some(only) = ids.first()
    {
        // A watch of one costs the server, and the network, nothing for the others.
        api = places.api_in(client, kind, &only.namespace);
        config = config.fields(&format!("metadata.name={}", only.name));
    }
    let events = watcher(api, config).backoff(Steady).map(|event| event.map_err(api_error));
    let mut watched = Watched { kind, ids, listed: BTreeSet::new(), lost: false };
    let updates = events.map(move |event| watched.read(event)).take_while(|news| future::ready(news.is_some()));
    updates.flat_map(|news| stream::iter(news.unwrap_or_default())).boxed()
}

struct Watched {
    kind: Kind,
    ids: BTreeSet<WorkloadId>,
    /// What a list that is under way has shown.
    listed: BTreeSet<WorkloadId>,
    lost: bool,
}

impl Watched {
    /// None once the watch is lost and that was told.
    fn read(&mut self, event: Result<watcher::Event<DynamicObject>, Option<kube::Error>>) -> Option<Vec<Update>> {
        if self.lost {
            return None;
        }
        Some(match event {
            Ok(watcher::Event::Init) => {
                self.listed.clear();
                Vec::new()
            }
            Ok(watcher::Event::InitApply(object)) => {
                self.listed.extend(Some(self.id(&object)).filter(|id| self.ids.contains(id)));
                self.seen(object)
            }
            Ok(watcher::Event::InitDone) => {
                let gone = self.ids.difference(&self.listed).cloned().map(Update::Gone).collect();
                self.listed.clear();
                gone
            }
            Ok(watcher::Event::Apply(object)) => self.seen(object),
            Ok(watcher::Event::Delete(object)) => {
                let gone = Some(self.id(&object)).filter(|id| self.ids.contains(id));
                gone.map(Update::Gone).into_iter().collect()
            }
            Err(Some(error)) if !is_transient(&error) => {
                self.lost = true;
                vec![Update::Lost(self.kind, error_message(&error))]
            }
            Err(_) => Vec::new(),
        })
    }

    fn id(&self, object: &DynamicObject) -> WorkloadId {
        WorkloadId { namespace: object.namespace().unwrap_or_default(), kind: self.kind, name: object.name_any() }
    }

    fn seen(&self, object: DynamicObject) -> Vec<Update> {
        if !self.ids.contains(&self.id(&object)) {
            return Vec::new();
        }
        Workload::of(self.kind, object).map(|workload| Update::Seen(Box::new(workload))).into_iter().collect()
    }
}
