//! What a test does to the world beside the API: put things there, look at them, pull the plug.
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    ApiServer, Kubelet,
    controllers::recount_budgets,
    fixtures::Fixture,
    managed::Writer,
    patch,
    resource::{ALL, NAMESPACES, Resource},
    store::{Key, controller},
    verbs,
};

impl ApiServer {
    /// Puts something there, at once and past all checks. Budgets are right about it when this returns.
    pub fn add(&self, fixture: impl Fixture) -> &Self {
        fixture.add_to(self);
        self.recount_budgets();
        self
    }

    /// Puts many of a kind there, as [`ApiServer::add`] does with one. Budgets are counted once, when all are there.
    pub fn add_all<F: Fixture>(&self, fixtures: impl IntoIterator<Item = F>) -> &Self {
        fixtures.into_iter().for_each(|fixture| fixture.add_to(self));
        self.recount_budgets();
        self
    }

    fn recount_budgets(&self) {
        self.inner.write(|state| {
            if state.settings.controller_manager {
                let now = state.store.now();
                recount_budgets(&mut state.store, now);
            }
        });
    }

    /// An object as it is now. The name is `NAME` or `NAMESPACE/NAME`.
    pub fn get<K>(&self, name: &str) -> Option<K>
    where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.inner.lock().store.get(&key::<K>(name)).map(|object| typed(&object))
    }

    /// All objects of a kind, everywhere, by namespace and name.
    pub fn list<K>(&self) -> Vec<K>
    where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.inner.lock().store.list(resource::<K>(), None).map(|(_, object)| typed(object)).collect()
    }

    /// Changes an object by a merge patch, status and all, past all checks.
    pub fn edit<K: kube::Resource<DynamicType = ()>>(&self, name: &str, merge_patch: Value) -> &Self {
        let key = key::<K>(name);
        let edited = self.inner.write(|state| state.store.edit(&key, |object| patch::merge(object, &merge_patch)));
        assert!(edited.is_some(), "there is no {} {name} to edit", key.resource.kind);
        self
    }

    /// Takes an object away, at once.
    pub fn remove<K: kube::Resource<DynamicType = ()>>(&self, name: &str) -> &Self {
        self.inner.write(|state| state.store.remove(&key::<K>(name)));
        self
    }

    /// Changes how the kubelet of a node behaves.
    pub fn kubelet(&self, node: &str, edit: impl FnOnce(&mut Kubelet)) -> &Self {
        self.inner.write(|state| {
            let now = state.store.now();
            state.kubelets.edit(node, edit, now);
            state.seen.stir();
        });
        self
    }

    /// The node loses power: no heartbeat, no pod ends, until [`ApiServer::boot`].
    pub fn power_off(&self, node: &str) -> &Self {
        self.kubelet(node, |kubelet| kubelet.alive = false)
    }

    /// The node comes up with this boot id; pods still bound to it restart.
    pub fn boot(&self, node: &str, boot_id: &str) -> &Self {
        self.inner.write(|state| {
            let now = state.store.now();
            state.kubelets.boot(&mut state.store, node, boot_id, now);
            state.seen.stir();
        });
        self
    }

    pub(super) fn run_kubelet(&self, node: &str, kubelet: Kubelet) {
        self.inner.write(|state| {
            let now = state.store.now();
            state.kubelets.run(node, kubelet, now);
            state.seen.stir();
        });
    }

    /// Stores an object as it is. What it lacks of identity it gets; an owner that exists is linked by its uid.
    pub(super) fn put(&self, resource: &'static Resource, namespace: &str, name: &str, mut object: Value) {
        let key = Key::new(resource, namespace, name);
        self.inner.write(|state| {
            if resource.namespaced && state.store.get(&Key::new(NAMESPACES, "", namespace)).is_none() {
                let home = json!({"metadata": {"name": namespace}});
                // A namespace has no way to be refused but to be there already.
                let _ = verbs::create(&mut state.store, NAMESPACES, "", home, Writer::TESTKIT);
            }
            if let Some(owner) = controller(&object)
                && let Some(uid) = uid_of(state, owner, namespace)
            {
                object["metadata"]["ownerReferences"][0]["uid"] = uid;
            }
            state.store.stamp(&key, &mut object);
            state.store.put(key, object);
        });
    }
}

impl ApiServer {
    /// Changes an object that was put there.
    pub(super) fn change(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) {
        self.inner.write(|state| drop(state.store.edit(&Key::new(resource, namespace, name), change)));
    }
}

fn uid_of(state: &super::State, owner: &Value, namespace: &str) -> Option<Value> {
    let (group, version) = owner["apiVersion"].as_str()?.split_once('/').unwrap_or(("", "v1"));
    let resource = ALL
        .iter()
        .copied()
        .find(|it| it.group == group && it.version == version && Some(it.kind) == owner["kind"].as_str())?;
    let namespace = if resource.namespaced { namespace } else { "" };
    let owner = state.store.get(&Key::new(resource, namespace, owner["name"].as_str()?))?;
    Some(owner["metadata"]["uid"].clone())
}

fn resource<K: kube::Resource<DynamicType = ()>>() -> &'static Resource {
    let (group, version, plural) = (K::group(&()), K::version(&()), K::plural(&()));
    Resource::find(&group, &version, &plural).unwrap_or_else(|| panic!("this server has no {group}/{version} {plural}"))
}

fn key<K: kube::Resource<DynamicType = ()>>(name: &str) -> Key {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    Key::new(resource::<K>(), namespace, name)
}

fn typed<K: DeserializeOwned>(object: &Value) -> K {
    serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{object} is not of its kind: {error}"))
}
