//! Whether the caller may do something: asked of the server beforehand, by SelfSubjectAccessReviews.
//!
//! A review is the server's own answer, whatever decides there, and needs no right beyond being known to it.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};
use tokio::time::timeout;
use usher_core::rights::Right;

use super::{Cluster, ClusterError};

/// What a server says of a right.
#[derive(Debug)]
pub struct Review {
    pub right: Right,
    /// Whether the caller has it, or why the server does not say.
    pub granted: Result<bool, ClusterError>,
}

impl Cluster {
    /// Asks of each right whether the caller has it: all at once, each for at most `limit`, and each once.
    pub async fn review(&self, rights: impl IntoIterator<Item = Right>, limit: Duration) -> Vec<Review> {
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let ask = |right: Right| {
            let api = api.clone();
            async move {
                let doing = || format!("ask whether the caller may {right}");
                let asked = SelfSubjectAccessReview { spec: spec(&right), ..SelfSubjectAccessReview::default() };
                let granted = match timeout(limit, api.create(&PostParams::default(), &asked)).await {
                    Ok(Ok(review)) => Ok(review.status.is_some_and(|status| status.allowed)),
                    Ok(Err(source)) => Err(self.error(&doing(), source)),
                    Err(_) => {
                        Err(ClusterError::TimedOut { doing: doing(), within: limit, problem: "no answer".into() })
                    }
                };
                Review { right, granted }
            }
        };
        join_all(rights.into_iter().map(ask)).await
    }
}

fn spec(right: &Right) -> SelfSubjectAccessReviewSpec {
    let verb = Some(right.verb.to_owned());
    if right.is_path() {
        let path = NonResourceAttributes { path: Some(right.resource.to_owned()), verb };
        return SelfSubjectAccessReviewSpec { non_resource_attributes: Some(path), ..Default::default() };
    }
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (right.resource, None),
    };
    let attributes = ResourceAttributes {
        verb,
        group: Some(right.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        namespace: right.namespace.clone(),
        name: right.name.clone(),
        ..ResourceAttributes::default()
    };
    SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() }
}
