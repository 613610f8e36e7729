//! Lists, read page by page.

use std::{fmt::Debug, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use serde::de::DeserializeOwned;
use usher_core::drain::DrainOptions;

use crate::cluster::retry::{is_expired, retry};

/// Objects per page: a page of full pods is a few megabytes, whatever the size of the cluster.
pub(crate) const PAGE: u32 = 500;

/// How long to retry one request: an apiserver that was killed may be away for half a minute.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// Folds a whole list into one value, starting from `empty`. `add` consumes one object after another, so that memory holds no
/// more than a page and the result.
///
/// A list whose continue token has expired (410) starts over.
pub(crate) async fn fold<K, A>(
    api: Api<K>,
    params: ListParams,
    empty: A,
    add: impl Fn(&mut A, K),
) -> Result<A, kube::Error>
where
    K: Clone + Debug + DeserializeOwned,
    A: Clone,
{
    let (folded, _) = read(api, params, REQUEST_LIMIT, empty, add).await?;
    Ok(folded)
}

/// [`fold`] with a limit for each page, and the version of the list, from which a watch can continue.
async fn read<K, A>(
    api: Api<K>,
    first: ListParams,
    limit: Duration,
    empty: A,
    add: impl Fn(&mut A, K),
) -> Result<(A, String), kube::Error>
where
    K: Clone + Debug + DeserializeOwned,
    A: Clone,
{
    let (mut folded, mut params) = (empty.clone(), first.clone());
    loop {
        let page = match retry(limit, || api.list(&params)).await {
            Err(error) if is_expired(&error) && params.continue_token.is_some() => {
                (folded, params) = (empty.clone(), first.clone());
                continue;
            }
            page => page?,
        };
        page.items.into_iter().for_each(|object| add(&mut folded, object));
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => return Ok((folded, page.metadata.resource_version.unwrap_or_default())),
        }
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
    read(Api::all(client.clone()), params, limit, Vec::new(), |pods, pod| pods.push(keep(&pod))).await
}

/// The field selector and the label selector for the pods of a node that a drain is about.
pub(crate) fn selectors(node: &str, options: &DrainOptions) -> (Option<String>, Option<String>) {
    (Some(format!("spec.nodeName={node}")), options.pod_selector.as_ref().map(ToString::to_string))
}
