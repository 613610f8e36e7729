//! Reading objects as slim types of our own: a page of pods is megabytes, of which a table needs a few hundred bytes a pod. What
//! the types do not name, such as managed fields, is skipped while the answer is read.

use kube::{
    Resource,
    api::ListParams,
    core::{NamespaceResourceScope, Request},
};
use serde::de::DeserializeOwned;

use super::namespaces::Namespaces;
use crate::cluster::{Cluster, ClusterError, PATIENCE, list};

/// Folds all objects of kind `K` that the selectors match into one value, page by page: see [`list::fold_pages`].
pub(super) async fn fold<K, T, A>(
    (cluster, namespaces): (&Cluster, &Namespaces),
    params: ListParams,
    doing: &str,
    empty: A,
    add: impl Fn(&mut A, T),
) -> Result<A, ClusterError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    T: DeserializeOwned + Send + 'static,
    A: Clone,
{
    let request = Request::new(K::url_path(&(), namespaces.name()));
    let page = |params: &ListParams| request.list(params);
    let folded = list::fold_pages(cluster.client(), page, params.limit(list::PAGE), PATIENCE, empty, add).await;
    folded.map(|(folded, _)| folded).map_err(|source| cluster.error(doing, source))
}

/// One object of kind `K`.
pub(super) async fn get<K, T>(cluster: &Cluster, namespace: &str, name: &str, doing: &str) -> Result<T, ClusterError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    T: DeserializeOwned,
{
    let url = K::url_path(&(), Some(namespace));
    let get = || {
        let request = Request::new(&url).get(name, &kube::api::GetParams::default()).map_err(kube::Error::BuildRequest);
        async move { cluster.client().request::<T>(request?).await }
    };
    cluster.patiently(doing, get).await
}

/// The names of all objects of kind `K` in a namespace: to say which one was meant.
pub(super) async fn names<K>(cluster: &Cluster, namespace: &str) -> Result<Vec<String>, ClusterError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    let there = Namespaces::One(namespace.to_owned());
    let add = |names: &mut Vec<String>, object: super::object::Named| names.push(object.metadata.name);
    fold::<K, _, _>((cluster, &there), ListParams::default(), "list the names", Vec::new(), add).await
}
