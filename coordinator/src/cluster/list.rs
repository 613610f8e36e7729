//! Lists, read page by page.

use std::{fmt::Debug, time::Duration};

use kube::{Api, api::ListParams};
use serde::de::DeserializeOwned;

use crate::patience::{is_expired, patiently};

/// Objects to a page: a page of full Nodes or pods is some megabytes, whatever the size of the cluster.
const PAGE: u32 = 500;

/// Reads a whole list and gives `take` one object after the other, so that no more is kept than what it makes of them,
/// beginning with `empty`. Each page is tried again for as long as `patience` says; zero means one try.
///
/// A list whose continue token has expired is answered with 410, and read anew.
pub(super) async fn fold<K, A>(
    api: &Api<K>,
    params: ListParams,
    patience: Duration,
    empty: A,
    take: impl Fn(&mut A, K),
) -> kube::Result<A>
where
    K: Clone + Debug + DeserializeOwned,
    A: Clone,
{
    let first = params.limit(PAGE);
    let (mut made, mut params) = (empty.clone(), first.clone());
    loop {
        let page = match patiently(patience, || api.list(&params)).await {
            Err(error) if is_expired(&error) && params.continue_token.is_some() => {
                (made, params) = (empty.clone(), first.clone());
                continue;
            }
            page => page?,
        };
        page.items.into_iter().for_each(|object| take(&mut made, object));
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => return Ok(made),
        }
    }
}
