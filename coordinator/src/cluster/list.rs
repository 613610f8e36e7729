//! Lists, read page by page: while one page is decoded, the server makes the next one.

use std::{fmt::Debug, io, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::{Api, Client, Resource, api::ListParams, core::Request};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::retry::{is_expired, retry};

/// Objects per page: a page of full Nodes or pods is a few megabytes, whatever the size of the cluster.
pub(crate) const PAGE: u32 = 500;

/// A request for a page of a list, as [`Request`] makes them.
pub(crate) type PageRequest = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

/// A part of a list. Some servers write an empty one as null.
#[derive(Debug, Deserialize)]
struct Page<T> {
    metadata: ListMeta,
    items: Option<T>,
}

/// Folds a whole list into one value, starting from `empty`, and gives back the list's version, from which a watch can
/// continue. `add` consumes one object after another, so that memory holds no more than two pages and the result. Each page is
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
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    A: Clone,
{
    let request = Request::new(api.resource_url());
    fold_pages(&api.clone().into_client(), |params| request.list(params), first, limit, empty, add).await
}

/// The same for objects of any type, of which `request` asks for a page.
pub(crate) async fn fold_pages<T, A>(
    client: &Client,
    request: impl Fn(&ListParams) -> PageRequest,
    first: ListParams,
    limit: Duration,
    empty: A,
    add: impl Fn(&mut A, T),
) -> kube::Result<(A, String)>
where
    T: DeserializeOwned + Send + 'static,
    A: Clone,
{
    let read = async |params: &ListParams| retry(limit, || page(client, request(params))).await;
    'over: loop {
        let (mut folded, mut params) = (empty.clone(), first.clone());
        let (mut text, mut metadata) = read(&params).await?;
        while let Some(token) = metadata.continue_.filter(|token| !token.is_empty()) {
            params = params.continue_token(&token);
            let add_all = async {
                let objects = tokio::task::spawn_blocking(move || objects(&text)).await;
                objects.map_err(stopped)??.into_iter().for_each(|object| add(&mut folded, object));
                Ok(())
            };
            let (added, next): (kube::Result<()>, _) = futures::join!(add_all, read(&params));
            added?;
            (text, metadata) = match next {
                Err(error) if is_expired(&error) => continue 'over,
                next => next?,
            };
        }
        // Most lists end with their first page: that is not worth a thread.
        objects(&text)?.into_iter().for_each(|object| add(&mut folded, object));
        return Ok((folded, metadata.resource_version.unwrap_or_default()));
    }
}

/// A page as the server has written it, and what it says of the list.
async fn page(client: &Client, request: PageRequest) -> kube::Result<(String, ListMeta)> {
    let text = client.request_text(request.map_err(kube::Error::BuildRequest)?).await?;
    let page: Page<IgnoredAny> = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
    Ok((text, page.metadata))
}

fn objects<T: DeserializeOwned>(text: &str) -> kube::Result<Vec<T>> {
    let page: Page<Vec<T>> = serde_json::from_str(text).map_err(kube::Error::SerdeError)?;
    Ok(page.items.unwrap_or_default())
}

/// The thread has panicked, or the program is ending.
fn stopped(error: tokio::task::JoinError) -> kube::Error {
    kube::Error::Service(io::Error::other(error).into())
}
