//! The pods of a node.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};

use super::DrainOptions;

/// The pods of a node that are subject to a drain, in one consistent list; of each no more than `keep` keeps.
pub(super) async fn list<T>(
    client: &Client,
    node: &str,
    options: &DrainOptions,
    keep: impl Fn(&Pod) -> T,
) -> Result<Vec<T>, kube::Error> {
    let mut params = ListParams::default().fields(&format!("spec.nodeName={node}"));
    params.label_selector = options.pod_selector.as_ref().map(ToString::to_string);
    params.limit = options.page();
    let mut found = Vec::new();
    let pods = Api::<Pod>::all(client.clone());
    // A page whose token has expired is answered with 410, which passes: the whole list is read anew.
    loop {
        let page = pods.list(&params).await?;
        found.extend(page.items.iter().map(&keep));
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => return Ok(found),
        }
    }
}
