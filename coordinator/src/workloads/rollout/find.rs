//! Finds the workloads that an operator means. All are found before the first is touched.

use std::collections::BTreeSet;

use kube::{ResourceExt as _, api::ListParams};
use usher_common::config_file::nearest;

use super::{Kind, Places, Wanted, workload::Workload};
use crate::cluster::{Cluster, ClusterError, PATIENCE, list};

/// Workloads in the order in which they were named; those of a whole kind by namespace and name.
///
/// # Errors
///
/// [`FindError::Unknown`] if a named one does not exist.
pub async fn find(
    cluster: &Cluster,
    places: &Places,
    wanted: &[Wanted],
    selector: Option<&str>,
) -> Result<Vec<Workload>, FindError> {
    let (mut found, mut known) = (Vec::new(), BTreeSet::new());
    for Wanted { kind, name } in wanted {
        let more = match name {
            Some(name) => vec![one(cluster, places, *kind, name).await?],
            None => all(cluster, places, *kind, selector).await?,
        };
        found.extend(more.into_iter().filter(|workload| known.insert(workload.id.clone())));
    }
    Ok(found)
}

/// Why workloads could not be found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("there is no {kind} {name} in namespace {namespace}")]
    Unknown {
        kind: Kind,
        name: String,
        namespace: String,
        /// The name of another one that may have been meant.
        meant: Option<String>,
    },
}

async fn one(cluster: &Cluster, places: &Places, kind: Kind, name: &str) -> Result<Workload, FindError> {
    let (api, doing) = (places.api(cluster.client(), kind), format!("read {kind} {name}"));
    match cluster.patiently(&doing, || api.get(name)).await {
        Ok(object) => Workload::of(kind, object)
            .ok_or_else(|| ClusterError::Malformed { doing, problem: format!("the answer is no {kind}") }.into()),
        Err(error) if error.is_not_found() => {
            let namespace = places.named().unwrap_or_default().to_owned();
            let meant = nearest_name(cluster, places, kind, name).await;
            Err(FindError::Unknown { kind, name: name.to_owned(), namespace, meant })
        }
        Err(error) => Err(error.into()),
    }
}

/// None, too, where names may not be listed: a suggestion is not worth an error.
async fn nearest_name(cluster: &Cluster, places: &Places, kind: Kind, name: &str) -> Option<String> {
    let api = places.api(cluster.client(), kind);
    let listed = list::fold(&api, ListParams::default().limit(list::PAGE), PATIENCE, Vec::new(), |names, object| {
        names.push(object.name_any());
    });
    let (names, _) = listed.await.ok()?;
    nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
}

/// All workloads of a kind, by namespace and name.
///
/// # Errors
///
/// If the API does not answer or forbids it.
pub(in crate::workloads) async fn all(
    cluster: &Cluster,
    places: &Places,
    kind: Kind,
    selector: Option<&str>,
) -> Result<Vec<Workload>, ClusterError> {
    let mut first = ListParams::default().limit(list::PAGE);
    first.label_selector = selector.map(str::to_owned);
    let api = places.api(cluster.client(), kind);
    let listed = list::fold(&api, first, PATIENCE, Vec::new(), |found, object| {
        let workload = Workload::of(kind, object);
        found.extend(workload.filter(|workload| places.contains(&workload.id.namespace)));
    });
    let (mut found, _) =
        listed.await.map_err(|source| cluster.error(&format!("list the {}", kind.plural()), source))?;
    found.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}
