//! Lists, read page by page.

use std::{fmt::Debug, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, Resource, api::ListParams};
use serde::de::DeserializeOwned;
use usher_core::drain::DrainOptions;

pub(crate) use crate::cluster::list::PAGE;
use crate::{cluster::list, drain::report::DrainError};

/// How long to retry one request: an apiserver that was killed may be away for half a minute.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// Folds a whole list into one value: see [`list::fold`].
pub(crate) async fn fold<K, A>(
    api: Api<K>,
    params: ListParams,
    empty: A,
    add: impl Fn(&mut A, K),
) -> Result<A, kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    A: Clone,
{
    let (folded, _) = list::fold(&api, params, REQUEST_LIMIT, empty, add).await?;
    Ok(folded)
}

/// A list; None if listing it is forbidden.
pub(crate) fn if_allowed<A>(what: &str, list: Result<A, kube::Error>) -> Result<Option<A>, DrainError> {
    match list {
        Ok(list) => Ok(Some(list)),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(None),
        Err(error) => Err(DrainError::before_anything(format!("list the {what}"), &error)),
    }
}

/// The pods of a node that a drain is about, reduced to what `keep` makes of each, and the version of their list.
pub(crate) async fn of_node<T: Clone>(
    client: &Client,
    node: &str,
    options: &DrainOptions,
    limit: Duration,
    keep: impl Fn(&Pod) -> T,
) -> Result<(Vec<T>, String), kube::Error> {
    let (field_selector, label_selector) = selectors(node, options);
    let page = (options.chunk_size > 0).then_some(options.chunk_size);
    let params = ListParams { field_selector, label_selector, limit: page, ..ListParams::default() };
    list::fold(&Api::all(client.clone()), params, limit, Vec::new(), |pods, pod| pods.push(keep(&pod))).await
}

/// The field selector and the label selector for the pods of a node that a drain is about.
pub(crate) fn selectors(node: &str, options: &DrainOptions) -> (Option<String>, Option<String>) {
    (Some(format!("spec.nodeName={node}")), options.pod_selector.as_ref().map(ToString::to_string))
}
