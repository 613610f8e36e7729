//! What Helm records of a release: a Secret for each revision, with the labels `owner=helm`, `name`, `version` and `status`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::Listed;

/// Statuses in which Helm refuses every other operation on the release (`IsPending` of its release package).
const PENDING: [&str; 3] = ["pending-install", "pending-upgrade", "pending-rollback"];

/// One revision of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    pub number: u64,
    /// In Helm's words: `deployed`, `superseded`, `failed`, `pending-upgrade`, …
    pub status: String,
    /// When it was begun.
    pub since: Option<Timestamp>,
}

impl Revision {
    /// The release that a record is of, and its revision. None if the labels are not Helm's.
    pub fn of_labels(labels: &BTreeMap<String, String>, created: Option<Timestamp>) -> Option<(String, Self)> {
        let label = |name: &str| labels.get(name).map(String::as_str);
        if label("owner") != Some("helm") {
            return None;
        }
        let number = label("version")?.parse().ok()?;
        let status = label("status").unwrap_or("unknown").to_owned();
        Some((label("name")?.to_owned(), Self { number, status, since: created }))
    }

    /// Whether Helm has begun an operation on the release and not finished it.
    pub fn is_pending(&self) -> bool {
        PENDING.contains(&self.status.as_str())
    }
}

/// A release as Helm has recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its newest revision.
    pub newest: Revision,
    /// The newest revision that is deployed, if one is.
    deployed: Option<u64>,
    /// The newest of those that were.
    superseded: Option<u64>,
}

impl Record {
    /// The record of revision after revision, in any order.
    pub fn add(known: Option<Self>, revision: Revision) -> Self {
        let with_status = |status: &str| (revision.status == status).then_some(revision.number);
        let (deployed, superseded) = (with_status("deployed"), with_status("superseded"));
        match known {
            None => Self { newest: revision, deployed, superseded },
            Some(known) => Self {
                deployed: known.deployed.max(deployed),
                superseded: known.superseded.max(superseded),
                newest: if revision.number > known.newest.number { revision } else { known.newest },
            },
        }
    }

    /// The revision to which a rollback should lead: the newest that is deployed, else the newest that was. None if none ever was.
    pub fn last_good(&self) -> Option<u64> {
        self.deployed.or(self.superseded)
    }

    /// Whether the release is there. A revision that was uninstalled may be kept as history.
    fn is_installed(&self) -> bool {
        self.newest.status != "uninstalled"
    }
}

/// Why a release must not be synced now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Helm has not finished an operation on it, or was killed in the middle of one.
    Pending(Record),
    /// It is not there, so that a sync would install it.
    Missing,
    /// The helmfile has it as not installed, but it is there, so that a sync would remove it.
    Unwanted,
}

/// What stands against a sync of the release, if anything does. A release that its helmfile disables is left alone by a sync.
pub fn obstacle(listed: &Listed, record: Option<&Record>) -> Option<Obstacle> {
    let record = record.filter(|record| record.is_installed());
    match record {
        _ if !listed.enabled => None,
        Some(record) if record.newest.is_pending() => Some(Obstacle::Pending(record.clone())),
        Some(_) if !listed.installed => Some(Obstacle::Unwanted),
        None if listed.installed => Some(Obstacle::Missing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(number: u64, status: &str) -> Revision {
        Revision { number, status: status.to_owned(), since: None }
    }

    fn record(revisions: &[(u64, &str)]) -> Option<Record> {
        let revisions = revisions.iter().map(|(number, status)| revision(*number, status));
        revisions.fold(None, |known, revision| Some(Record::add(known, revision)))
    }

    fn listed(enabled: bool, installed: bool) -> Listed {
        Listed { name: "web".to_owned(), namespace: "shop".to_owned(), enabled, installed }
    }

    #[test]
    fn a_revision_is_read_from_the_labels_of_its_secret() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let helms = labels(&[("owner", "helm"), ("name", "web"), ("version", "12"), ("status", "deployed")]);
        assert_eq!(Revision::of_labels(&helms, None), Some(("web".to_owned(), revision(12, "deployed"))));
        for others in [
            labels(&[("owner", "me"), ("name", "web"), ("version", "12")]),
            labels(&[("owner", "helm"), ("version", "12")]),
            labels(&[("owner", "helm"), ("name", "web"), ("version", "new")]),
        ] {
            assert_eq!(Revision::of_labels(&others, None), None);
        }
    }

    #[test]
    fn the_newest_revision_counts_and_the_last_deployed_one_is_where_a_rollback_leads() {
        let found = record(&[(12, "superseded"), (14, "pending-upgrade"), (13, "deployed")]).unwrap();
        assert_eq!((found.newest.number, found.newest.is_pending(), found.last_good()), (14, true, Some(13)));
        assert_eq!(record(&[(12, "superseded"), (13, "pending-rollback")]).unwrap().last_good(), Some(12));
        assert_eq!(record(&[(1, "failed"), (2, "pending-upgrade")]).unwrap().last_good(), None);
        // A revision that was left pending long ago and that others have followed holds up nothing.
        let found = record(&[(12, "pending-upgrade"), (13, "deployed")]).unwrap();
        assert_eq!((found.newest.number, found.newest.is_pending()), (13, false));
    }

    #[test]
    fn a_release_is_synced_only_if_it_is_there_should_be_there_and_is_not_being_changed() {
        let deployed = record(&[(3, "deployed")]);
        let failed = record(&[(2, "deployed"), (3, "failed")]);
        let uninstalled = record(&[(3, "uninstalled")]);
        for (listed, record, expected) in [
            (listed(true, true), &deployed, None),
            // Helm upgrades a failed release, and a roll may be what mends it.
            (listed(true, true), &failed, None),
            (listed(true, true), &None, Some(Obstacle::Missing)),
            (listed(true, true), &uninstalled, Some(Obstacle::Missing)),
            (listed(true, false), &deployed, Some(Obstacle::Unwanted)),
            (listed(true, false), &None, None),
            (listed(true, false), &uninstalled, None),
            (listed(false, true), &None, None),
            (listed(false, false), &deployed, None),
        ] {
            assert_eq!(obstacle(&listed, record.as_ref()), expected, "{listed:?} {record:?}");
        }
        for status in PENDING {
            let pending = record(&[(2, "deployed"), (3, status)]).unwrap();
            assert_eq!(obstacle(&listed(true, true), Some(&pending)), Some(Obstacle::Pending(pending.clone())));
        }
    }
}
