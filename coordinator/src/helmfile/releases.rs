//! The releases of a service: what its helmfile lists, and what Helm has recorded of them.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::Serialize;
use usher_core::{
    helmfile::{Listed, Obstacle, Record, obstacle},
    text,
};

use crate::{
    cluster::{Cluster, ClusterError},
    problem::Problem,
};

/// A release and where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ReleaseId {
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A release as a plan shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePlan {
    #[serde(flatten)]
    pub id: ReleaseId,
    /// Its newest revision.
    pub revision: u64,
    /// Its status, in Helm's words.
    pub status: String,
    /// When that revision was begun.
    pub since: Option<Timestamp>,
}

/// The releases that a sync of a service touches, and their records.
#[derive(Debug)]
pub(super) struct Releases {
    listed: Vec<(ReleaseId, Listed)>,
}

/// Helm's records of some releases.
pub(super) type Records = BTreeMap<ReleaseId, Record>;

/// The workloads of releases, as `deployment/web`, with the generation of each.
pub(super) type Made = BTreeMap<ReleaseId, BTreeMap<String, i64>>;

impl Releases {
    /// `all` is the namespace of all of them, if the command line says so, `default` that of a release that names none.
    pub(super) fn of(listed: Vec<Listed>, all: Option<&str>, default: &str) -> Self {
        let with_id = |listed: Listed| {
            let own = Some(listed.namespace.as_str()).filter(|namespace| !namespace.is_empty());
            let namespace = all.or(own).unwrap_or(default);
            (ReleaseId { namespace: namespace.to_owned(), name: listed.name.clone() }, listed)
        };
        Self { listed: listed.into_iter().filter(|listed| listed.enabled).map(with_id).collect() }
    }

    /// Those that a sync upgrades.
    pub(super) fn ids(&self) -> impl Iterator<Item = &ReleaseId> {
        self.listed.iter().filter(|(_, listed)| listed.installed).map(|(id, _)| id)
    }

    /// Where they are, each namespace once.
    pub(super) fn namespaces(&self) -> Vec<&str> {
        let mut namespaces: Vec<_> = self.ids().map(|id| id.namespace.as_str()).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        namespaces
    }

    /// What Helm has recorded of them, a request for each namespace.
    pub(super) async fn records(&self, cluster: &Cluster) -> Result<Records, ClusterError> {
        let mut places: Vec<&str> = self.listed.iter().map(|(id, _)| id.namespace.as_str()).collect();
        places.sort_unstable();
        places.dedup();
        let mut records = Records::new();
        for namespace in places {
            for (name, record) in cluster.helm_releases(namespace).await? {
                records.insert(ReleaseId { namespace: namespace.to_owned(), name }, record);
            }
        }
        records.retain(|id, _| self.listed.iter().any(|(listed, _)| listed == id));
        Ok(records)
    }

    /// What Helm has made of them, with generations. None if that cannot be read: who may deploy need not be allowed to list.
    pub(super) async fn made(&self, cluster: &Cluster) -> Option<Made> {
        let mut made = Made::new();
        for namespace in self.namespaces() {
            for (name, workloads) in cluster.helm_workloads(namespace).await.ok()? {
                made.insert(ReleaseId { namespace: namespace.to_owned(), name }, workloads);
            }
        }
        Some(made)
    }

    /// Refuses if one of them must not be synced now. `flags` lead helm to the cluster, each quoted; `deploy` shows what a deploy would
    /// change.
    pub(super) fn expect_syncable(
        &self,
        service: &str,
        records: &Records,
        (flags, deploy): (&str, &str),
        now: Timestamp,
    ) -> Result<(), Problem> {
        let found = self.listed.iter().filter_map(|(id, listed)| Some((id, obstacle(listed, records.get(id))?)));
        let problems: Vec<_> = found.map(|(id, obstacle)| refusal(id, &obstacle, (flags, deploy), now)).collect();
        let mut problems = problems.into_iter();
        let Some(first) = problems.next() else { return Ok(()) };
        let all = problems.fold(first, |mut all, next| {
            all.details.push(next.message);
            all.hints.extend(next.hints);
            all
        });
        Err(Problem { message: format!("{service}: {}", all.message), ..all })
    }
}

fn refusal(id: &ReleaseId, obstacle: &Obstacle, (flags, deploy): (&str, &str), now: Timestamp) -> Problem {
    let ReleaseId { namespace, name } = id;
    match obstacle {
        Obstacle::Pending(record) => {
            let newest = &record.newest;
            let age = newest.since.map(|since| format!(" for {}", text::age(since, now))).unwrap_or_default();
            let status = &newest.status;
            let helm = |verb: &str| format!("helm {verb} -n {namespace}{flags}");
            let problem =
                Problem::refused(format!("the release {id} has been {status}{age} (revision {})", newest.number))
                    .hint(format!("if somebody deploys it now, wait; see: {}", helm(&format!("history {name}"))));
            match record.last_good() {
                Some(good) => problem.hint(format!(
                    "if that helm is dead, go back to the last good revision: {}",
                    helm(&format!("rollback {name} {good}"))
                )),
                None => problem.hint(format!(
                    "if that helm is dead, there is nothing to go back to: {}; then deploy it again",
                    helm(&format!("uninstall {name}"))
                )),
            }
        }
        Obstacle::Missing => Problem::refused(format!("the release {id} is not there, so a roll would install it"))
            .hint(format!("a roll restarts what runs; deploy the service first; to see what that changes: {deploy}")),
        Obstacle::Unwanted => Problem::refused(format!(
            "the helmfile has {id} as not installed, but it is there, so a roll would remove it"
        ))
        .hint(format!("a roll removes nothing; deploy the service first; to see what that changes: {deploy}")),
    }
}

#[cfg(test)]
mod tests {
    use usher_core::helmfile::Revision;

    use super::*;

    fn listed(name: &str, namespace: &str, enabled: bool, installed: bool) -> Listed {
        Listed { name: name.to_owned(), namespace: namespace.to_owned(), enabled, installed }
    }

    #[test]
    fn a_refusal_names_every_release_its_age_and_the_way_out() {
        let releases = Releases::of(
            vec![
                listed("web", "", true, true),
                listed("new", "shop", true, true),
                listed("first", "shop", true, true),
                listed("off", "shop", false, true),
            ],
            None,
            "shop",
        );
        let elsewhere = Releases::of(vec![listed("web", "shop", true, true)], Some("other"), "shop");
        assert_eq!(elsewhere.namespaces(), ["other"]);
        assert_eq!(releases.ids().map(ToString::to_string).collect::<Vec<_>>(), ["shop/web", "shop/new", "shop/first"]);
        assert_eq!(releases.namespaces(), ["shop"]);
        let now = Timestamp::from_second(1_000_000).unwrap();
        let revision = |number, status: &str| Revision {
            number,
            status: status.to_owned(),
            since: Some(Timestamp::from_second(1_000_000 - 10_800).unwrap()),
        };
        let first = Record::add(None, revision(14, "pending-install"));
        let upgrade = Record::add(Some(Record::add(None, revision(13, "deployed"))), revision(14, "pending-upgrade"));
        let id = |name: &str| ReleaseId { namespace: "shop".to_owned(), name: name.to_owned() };
        let records = Records::from([(id("web"), upgrade), (id("first"), first)]);
        let lead = (" --kubeconfig /k", "helmfile -e x diff");
        let refused = releases.expect_syncable("web", &records, lead, now).unwrap_err();
        assert_eq!(refused.message, "web: the release shop/web has been pending-upgrade for 3h (revision 14)");
        assert_eq!(
            refused.details,
            [
                "the release shop/new is not there, so a roll would install it",
                "the release shop/first has been pending-install for 3h (revision 14)"
            ]
        );
        assert!(refused.hints[1].ends_with("helm rollback web 13 -n shop --kubeconfig /k"), "{refused:#?}");
        assert!(refused.hints[2].ends_with("helmfile -e x diff"), "{refused:#?}");
        assert!(refused.hints[4].contains("helm uninstall first -n shop --kubeconfig /k"), "{refused:#?}");
    }
}
