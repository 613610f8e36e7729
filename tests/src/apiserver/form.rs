//! In which form objects are answered: whole, their metadata alone, or as `kubectl get` shows them.

use std::borrow::Cow;

use http::header;
use jiff::Timestamp;
use serde_json::Value;

use super::{call::Call, resource::Resource, table::as_table, verbs::as_partial_metadata};

/// In which form a client wants objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    Metadata,
    Table,
}

impl Form {
    pub(super) fn of(call: &Call) -> Self {
        let accepted = call.header(header::ACCEPT);
        if accepted.contains("as=PartialObjectMetadata") {
            Self::Metadata
        } else if accepted.contains("as=Table") {
            Self::Table
        } else {
            Self::Whole
        }
    }

    pub(super) fn render<'a>(self, resource: &'static Resource, value: &'a Value, now: Timestamp) -> Cow<'a, Value> {
        match self {
            Self::Whole => Cow::Borrowed(value),
            Self::Metadata => Cow::Owned(as_partial_metadata(value)),
            Self::Table => Cow::Owned(as_table(resource, value, now)),
        }
    }
}
