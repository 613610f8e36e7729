//! Lists, read page by page.

use std::{fmt::Debug, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::{Api, api::ListParams};
use serde::{Deserialize, de::DeserializeOwned};

use super::retry::{is_expired, retry};

/// Objects per page: a page of full Nodes or pods is a few megabytes, whatever the size of the cluster.
pub(crate) const PAGE: u32 = 500;

/// A part of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) metadata: ListMeta,
    pub(crate) items: Vec<T>,
}

/// Folds a whole list into one value, starting from `empty`, and gives back the list's version, from which a watch can
/// continue. `add` consumes one object after another, so that memory holds no more than a page and the result. Each page is
/// retried for `limit`; zero means one try.
///
/// A list whose continue token has expired (410) starts over.
pub(crate) async fn fold<K, A>(
    api: &Api<K>,
    first: ListParams,
    limit: Duration,
    empty: A,
    add: impl Fn(&mut A, K),
) -> kube::Result<(A, String)>
where
    K: Clone + Debug + DeserializeOwned,
    A: Clone,
{
    let page = |params: ListParams| async move {
        let page = api.list(&params).await?;
        Ok(Page { metadata: page.metadata, items: page.items })
    };
    fold_pages(page, first, limit, empty, add).await
}

/// The same for objects of any type, whose pages `page` fetches.
pub(crate) async fn fold_pages<T, A, F>(
    page: impl Fn(ListParams) -> F,
    first: ListParams,
    limit: Duration,
    empty: A,
    add: impl Fn(&mut A, T),
) -> kube::Result<(A, String)>
where
    A: Clone,
    F: Future<Output = kube::Result<Page<T>>>,
{
    let (mut folded, mut params) = (empty.clone(), first.clone());
    loop {
        let page = match retry(limit, || page(params.clone())).await {
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
