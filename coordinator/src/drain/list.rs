//! Lists, read page by page.

use std::{fmt::Debug, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use serde::de::DeserializeOwned;

use super::DrainOptions;
use crate::cluster::retry::{is_expired, retry};

/// Objects to a page: a page of full pods is some megabytes, whatever the size of the cluster.
pub(super) const PAGE: u32 = 500;

/// For so long the API is waited for with each question: an apiserver that was killed may be away for half a minute.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a whole list. `take` is given one object after the other, so that no more is kept than what it makes of them,
/// beginning with `empty`.
///
/// A list whose token has expired is answered with 410, and read anew.
pub(super) async fn fold<K, A>(
    api: Api<K>,
    first: ListParams,
    empty: A,
    take: impl Fn(&mut A, K),
) -> Result<A, kube::Error>
where
    K: Clone + Debug + DeserializeOwned,
    A: Clone,
{
    let (made, _) = read(api, first, PATIENCE, empty, take).await?;
    Ok(made)
}

/// [`fold`], waiting for each page as long as it is told, and the version of the list, from which a watch can go on.
async fn read<K, A>(
    api: Api<K>,
    first: ListParams,
    patience: Duration,
    empty: A,
    take: impl Fn(&mut A, K),
) -> Result<(A, String), kube::Error>
where
    K: Clone + Debug + DeserializeOwned,
    A: Clone,
{
    let (mut made, mut params) = (empty.clone(), first.clone());
    loop {
        let page = match retry(patience, || api.list(&params)).await {
            Err(error) if is_expired(&error) && params.continue_token.is_some() => {
                (made, params) = (empty.clone(), first.clone());
                continue;
            }
            page => page?,
        };
        page.items.into_iter().for_each(|object| take(&mut made, object));
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => return Ok((made, page.metadata.resource_version.unwrap_or_default())),
        }
    }
}

/// The pods of a node that are subject to a drain, and the version of their list; of each pod no more than `keep` keeps.
pub(super) async fn of_node<T: Clone>(
    client: &Client,
    node: &str,
    options: &DrainOptions,
    patience: Duration,
    keep: impl Fn(&Pod) -> T,
) -> Result<(Vec<T>, String), kube::Error> {
    let (field_selector, label_selector) = selectors(node, options);
    let params = ListParams { field_selector, label_selector, limit: options.page(), ..ListParams::default() };
    read(Api::all(client.clone()), params, patience, Vec::new(), |pods, pod| pods.push(keep(&pod))).await
}

/// The selectors, of fields and of labels, of the pods of a node that are subject to a drain.
pub(super) fn selectors(node: &str, options: &DrainOptions) -> (Option<String>, Option<String>) {
    (Some(format!("spec.nodeName={node}")), options.pod_selector.as_ref().map(ToString::to_string))
}
