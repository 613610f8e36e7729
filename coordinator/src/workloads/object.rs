//! What objects of all kinds have in common, as far as usher looks at it.

use jiff::Timestamp;
use serde::Deserialize;

/// An object of some kind, as far as usher looks at it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Object<Spec, Status> {
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
    pub(super) status: Status,
}

/// An object's metadata.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) creation_timestamp: Option<Timestamp>,
    /// When its grace period ends, once its deletion was asked for.
    pub(super) deletion_timestamp: Option<Timestamp>,
    pub(super) owner_references: Vec<Owner>,
}

/// An owner of an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) controller: bool,
}

/// An object of which only the name matters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) metadata: Metadata,
}

/// A condition in an object's status.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Metadata {
    /// The owner that manages the object, if it is of this kind.
    pub(super) fn controller(&self, kind: &str) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller && owner.kind == kind)
    }
}

/// The condition of this kind, whatever its status.
pub(super) fn condition<'c>(conditions: &'c [Condition], kind: &str) -> Option<&'c Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// `REASON: MESSAGE`, or what there is of both.
pub(super) fn words(reason: &str, message: &str) -> String {
    [reason, message].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(": ")
}
