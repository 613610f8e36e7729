//! Leases as locks.

use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    Server,
    seen::{Seen, field, make},
};

fn lease(holder: Value) -> Lease {
    make(json!({
        "metadata": {"name": "lock"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"},
    }))
}

pub(crate) async fn lock(_: &impl Server, seen: &mut Seen) {
    let leases: Api<Lease> = seen.api();
    let post = PostParams::default();
    let mine = seen.call("take", leases.create(&post, &lease("me".into())).await).unwrap();
    seen.note("generation", field(&mine, "/metadata/generation"));
    seen.call("take by another", leases.create(&post, &lease("you".into())).await);
    let mut renewed = mine.clone();
    renewed.spec.as_mut().unwrap().lease_transitions = Some(1);
    let renewed = seen.call("renew", leases.replace("lock", &post, &renewed).await).unwrap();
    seen.call("renew from an old version", leases.replace("lock", &post, &mine).await);
    seen.call("replace without a version", leases.replace("lock", &post, &lease("you".into())).await);
    seen.call(
        "free",
        leases
            .replace("lock", &post, &{
                let mut free = renewed.clone();
                free.spec = lease(Value::Null).spec;
                free
            })
            .await,
    );
    seen.note("holder", field(&leases.get("lock").await.unwrap(), "/spec/holderIdentity"));
    let mut other = lease("me".into());
    other.metadata.name = Some("other".to_owned());
    seen.call("put what is not there", leases.replace("other", &post, &other).await);
}

pub(crate) async fn takeover(_: &impl Server, seen: &mut Seen) {
    let leases: Api<Lease> = seen.api();
    let stored = leases.create(&PostParams::default(), &lease("me".into())).await.unwrap();
    let version = stored.metadata.resource_version.unwrap();
    let free = |version: &str| {
        Patch::Merge(json!({
            "metadata": {"resourceVersion": version}, "spec": {"holderIdentity": "", "leaseDurationSeconds": 1},
        }))
    };
    let params = PatchParams::default();
    let freed = seen.call("free by patch", leases.patch("lock", &params, &free(&version)).await).unwrap();
    seen.note("holder", field(&freed, "/spec/holderIdentity"));
    seen.call("free by an old patch", leases.patch("lock", &params, &free(&version)).await);
    let null = Patch::Merge(json!({"spec": {"holderIdentity": null}}));
    let none = seen.call("no holder", leases.patch("lock", &params, &null).await).unwrap();
    seen.note("holder", field(&none, "/spec/holderIdentity"));
}
