//! Takes a workload back to the revision before, as `kubectl rollout undo` does.
//!
//! Source: `kubectl/pkg/polymorphichelpers/rollback.go`. A Deployment's revisions are its ReplicaSets, those of the others are
//! ControllerRevisions. Unlike kubectl's, the patch names the version that was looked at, and touches no annotation but the cause
//! of the change.

mod template;

use jiff::Timestamp;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde_json::Value;

use self::template::{differences, is_same, same_but_for_the_restart};
use super::{
    Kind, Places,
    change::Change,
    plan::{Action, Row},
    workload::Workload,
};
use crate::cluster::{Cluster, ClusterError, PATIENCE, list, names::REVISION};

/// Plans to take a workload back: its line of the plan, and the change unless it is refused. With `restarted_at` only if its last
/// change is that very restart and nothing else would be taken back with it.
///
/// # Errors
///
/// If the API does not answer or forbids it.
pub async fn undo(
    cluster: &Cluster,
    places: &Places,
    workload: &Workload,
    restarted_at: Option<Timestamp>,
    reason: Option<&str>,
) -> Result<(Row, Option<Change>), ClusterError> {
    let id = &workload.id;
    let refused = |why: String| Ok((Row::of(workload, Action::Refuse, vec![why]), None));
    if workload.paused {
        let resume = format!("kubectl rollout resume {}/{} -n {}", id.kind, id.name, id.namespace);
        return refused(format!("it is paused, so nothing would be taken back; to go on with it: {resume}"));
    }
    if restarted_at.is_some_and(|at| !workload.was_restarted_at(at)) {
        return refused(match &workload.restarted_at {
            Some(other) => format!("its last restart is another one, of {other}"),
            None => "it has no restart to take back".to_owned(),
        });
    }
    if workload.status.observed < workload.generation {
        return refused("its controller has not seen its last change yet; try again in a moment".to_owned());
    }
    let doing = format!("read the revisions of {}/{} in {}", id.kind, id.name, id.namespace);
    let api = places.api_in(cluster.client(), id.kind, &id.namespace);
    let object = cluster.patiently(&doing, || api.get(&id.name)).await?;
    if object.metadata.generation != Some(workload.generation) {
        return refused("it was changed this moment; look again".to_owned());
    }
    let present = &object.data["spec"]["template"];
    let revisions = revisions(cluster, workload, &doing).await?;
    let [.., previous, _] = revisions.as_slice() else {
        return refused("it has no earlier revision (revisionHistoryLimit, or it was never changed)".to_owned());
    };
    if is_same(&previous.template, present) {
        return refused(format!("it is that of revision {} already, so nothing would change", previous.number));
    }
    if restarted_at.is_some() && !same_but_for_the_restart(&previous.template, present) {
        let (kind, name, namespace) = (id.kind, &id.name, &id.namespace);
        let way = format!("usher rollout undo {kind}/{name} -n {namespace} --dry-run");
        return refused(format!(
            "more than the restart would be taken back with revision {}; see it: {way}",
            previous.number
        ));
    }
    let mut remarks = vec![format!("back to revision {}", previous.number)];
    remarks.extend(differences(present, &previous.template));
    let row = Row::of(workload, Action::Undo, remarks);
    Ok((row, Some(Change::template(workload.clone(), previous.template.clone(), reason))))
}

/// An earlier template, or the present one.
#[derive(Debug, Clone)]
struct Revision {
    number: i64,
    template: Value,
}

/// All revisions of a workload by number; the last one is the present one.
async fn revisions(cluster: &Cluster, workload: &Workload, doing: &str) -> Result<Vec<Revision>, ClusterError> {
    let kind = if workload.id.kind == Kind::Deployment { "ReplicaSet" } else { "ControllerRevision" };
    let resource = ApiResource {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        api_version: "apps/v1".to_owned(),
        kind: kind.to_owned(),
        plural: format!("{}s", kind.to_ascii_lowercase()),
    };
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client().clone(), &workload.id.namespace, &resource);
    let first = ListParams::default().labels(&workload.selector).limit(list::PAGE);
    let listed = list::fold(&api, first, PATIENCE, Vec::new(), |found, object: DynamicObject| {
        let owners = object.owner_references();
        if owners.iter().any(|owner| owner.uid == workload.uid && owner.controller == Some(true)) {
            found.extend(revision(workload.id.kind, object));
        }
    });
    let (mut found, _) = listed.await.map_err(|source| cluster.error(doing, source))?;
    found.sort_by_key(|revision| revision.number);
    Ok(found)
}

fn revision(kind: Kind, mut object: DynamicObject) -> Option<Revision> {
    let (number, mut template) = match kind {
        Kind::Deployment => {
            let number = object.annotations().get(REVISION)?.parse().ok()?;
            (number, object.data["spec"]["template"].take())
        }
        Kind::StatefulSet | Kind::DaemonSet => {
            (object.data["revision"].as_i64()?, object.data["data"]["spec"]["template"].take())
        }
    };
    template::without_marks(&mut template);
    Some(Revision { number, template })
}
