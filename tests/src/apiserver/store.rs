//! Objects, their versions, and the history that watches read.

mod index;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, VecDeque},
    ptr,
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use self::index::PodIndex;
use super::{
    clock::{Clock, seconds},
    resource::Resource,
};

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) resource: &'static Resource,
    /// Empty for cluster-wide resources.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(resource: &'static Resource, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        // Nearly always the same kind: its many fields are not compared then.
        let kinds =
            if ptr::eq(self.resource, other.resource) { Ordering::Equal } else { self.resource.cmp(other.resource) };
        kinds.then_with(|| self.namespace.cmp(&other.namespace)).then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) change: Change,
    pub(super) key: Key,
    /// After the change; for a deletion the last state, with the version of the deletion.
    pub(super) object: Arc<Value>,
    pub(super) before: Option<Arc<Value>>,
}

/// The namespaces in which something may have changed. `None` stands for all of them.
pub(super) struct Changed(Option<BTreeSet<String>>);

impl Changed {
    pub(super) fn has(&self, namespace: &str) -> bool {
        self.0.as_ref().is_none_or(|namespaces| namespaces.contains(namespace))
    }

    /// The objects of a kind in them, in the order of their keys.
    pub(super) fn list<'a>(
        &'a self,
        store: &'a Store,
        resource: &'static Resource,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let all = self.0.is_none().then(|| store.list(resource, None));
        let some = self.0.iter().flatten().flat_map(move |namespace| store.list(resource, Some(namespace)));
        all.into_iter().flatten().chain(some)
    }
}

/// More history than any test needs, so that only [`Store::compact`] forgets.
const HISTORY: usize = 100_000;

pub(super) struct Store {
    clock: Clock,
    version: u64,
    /// Events up to this version are forgotten.
    compacted: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    pods: PodIndex,
    history: VecDeque<Event>,
    uids: u64,
}

impl Store {
    pub(super) fn new(clock: Clock) -> Self {
        let (objects, pods, history) = (BTreeMap::new(), PodIndex::default(), VecDeque::new());
        Self { clock, version: 1, compacted: 0, objects, pods, history, uids: 0 }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.objects.get(key).cloned()
    }

    /// The objects of a kind in the order of their keys, in one namespace or everywhere.
    pub(super) fn list<'a>(
        &'a self,
        resource: &'static Resource,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        self.objects
            .range(Key::new(resource, namespace.unwrap_or_default(), "")..)
            .take_while(move |(key, _)| key.resource == resource && namespace.is_none_or(|it| it == key.namespace))
    }

    /// The pods that are bound to a node, in the order of their keys; those that are bound to none if the name is empty.
    pub(super) fn pods_on<'a>(&'a self, node: &str) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        self.found(self.pods.on(node))
    }

    /// How many these are.
    pub(super) fn count_pods_on(&self, node: &str) -> usize {
        self.pods.count_on(node)
    }

    /// The pods of a namespace whose controlling owner has this uid, in the order of their keys.
    pub(super) fn pods_owned_by<'a>(
        &'a self,
        namespace: &str,
        uid: &str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        self.found(self.pods.owned_by(uid)).filter(move |(key, _)| key.namespace == namespace)
    }

    /// The pods that are on their way out or not Ready, in the order of their keys.
    pub(super) fn restless_pods(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.found(self.pods.restless())
    }

    fn found<'a>(&'a self, keys: impl Iterator<Item = &'a Key>) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        keys.filter_map(|key| self.objects.get_key_value(key))
    }

    /// Whether anything but this kind of objects has changed since a version, as far as that is remembered.
    pub(super) fn has_news(&self, since: u64, but: &'static Resource) -> bool {
        since < self.compacted || self.since(since).any(|event| event.key.resource != but)
    }

    /// Where objects of these kinds have changed since a version; everywhere if there is none, or if that is not remembered.
    pub(super) fn changed_since(&self, since: Option<u64>, kinds: &[&'static Resource]) -> Changed {
        let events = since.filter(|since| *since >= self.compacted).map(|since| self.since(since));
        let mine = |event: &&Event| kinds.contains(&event.key.resource);
        Changed(events.map(|events| events.filter(mine).map(|event| event.key.namespace.clone()).collect()))
    }

    /// A new identity. They count up, so that snapshots of a test stay the same.
    pub(super) fn new_uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.uids)
    }

    /// Gives a new object its identity.
    pub(super) fn stamp(&mut self, key: &Key, object: &mut Value) {
        let uid = self.new_uid();
        let created = seconds(self.now());
        let metadata = &mut object["metadata"];
        metadata["name"] = key.name.as_str().into();
        if key.resource.namespaced {
            metadata["namespace"] = key.namespace.as_str().into();
        }
        metadata["uid"] = uid.into();
        metadata["creationTimestamp"] = created.into();
        if key.resource.generation {
            metadata["generation"] = 1.into();
        }
        object["apiVersion"] = key.resource.api_version().into();
        object["kind"] = key.resource.kind.into();
    }

    /// Stores an object under a new version. Storing what is there already changes nothing.
    pub(super) fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        let before = self.get(&key);
        if let Some(before) = &before {
            object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            if **before == object {
                return Arc::clone(before);
            }
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Arc::new(object);
        let change = if before.is_some() { Change::Modified } else { Change::Added };
        self.pods.note(&key, before.as_deref(), Some(&object));
        self.objects.insert(key.clone(), Arc::clone(&object));
        self.record(Event { version: self.version, change, key, object: Arc::clone(&object), before });
        object
    }

    /// Edits an object in place, if it is there.
    pub(super) fn edit(&mut self, key: &Key, edit: impl FnOnce(&mut Value)) -> Option<Arc<Value>> {
        let mut object = (*self.get(key)?).clone();
        edit(&mut object);
        Some(self.put(key.clone(), object))
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.pods.note(key, Some(&before), None);
        self.version += 1;
        let mut object = (*before).clone();
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Arc::new(object);
        self.record(Event {
            version: self.version,
            change: Change::Deleted,
            key: key.clone(),
            object: Arc::clone(&object),
            before: Some(before),
        });
        Some(object)
    }

    /// What happened after a version, oldest first.
    pub(super) fn since(&self, version: u64) -> impl Iterator<Item = &Event> {
        let start = self.history.partition_point(|event| event.version <= version);
        self.history.range(start..)
    }

    /// Forgets what was before the newest version, as etcd does when it compacts at that version.
    pub(super) fn compact(&mut self) {
        self.compacted = self.version.saturating_sub(1);
        let compacted = self.compacted;
        self.history.retain(|event| event.version > compacted);
    }

    fn record(&mut self, event: Event) {
        if self.history.len() == HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.compacted = oldest.version;
        }
        self.history.push_back(event);
    }
}

/// Found objects and their keys, so that the store may be changed.
pub(super) fn copied<'a>(found: impl Iterator<Item = (&'a Key, &'a Arc<Value>)>) -> Vec<(Key, Arc<Value>)> {
    found.map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
}

/// A field of the metadata as a string, empty if it is not there.
pub(super) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// Whether the object is on its way out.
pub(super) fn is_terminating(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// Whether the condition Ready is True.
pub(super) fn is_ready(object: &Value) -> bool {
    object["status"]["conditions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|it| it["type"] == "Ready" && it["status"] == "True"))
}

/// The owner that manages the object: kind, name, uid.
pub(super) fn controller(object: &Value) -> Option<&Value> {
    object["metadata"]["ownerReferences"].as_array()?.iter().find(|owner| owner["controller"] == true)
}

/// An owner reference of the controlling kind.
pub(super) fn owner_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    })
}
