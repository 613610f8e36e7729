//! Until when a series of releases is supported.

use std::{collections::BTreeMap, fmt};

use jiff::civil::Date;
use serde::Serialize;

use super::Number;

/// The last days of support by project and series, such as `kubernetes` and `1.37`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Support(pub BTreeMap<String, BTreeMap<String, Date>>);

/// When support ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The last day, or that of the oldest series which is listed.
    pub day: Date,
    /// The series is older than all that are listed: its support ended before that day.
    pub before: bool,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.before { write!(f, "before {}", self.day) } else { write!(f, "{}", self.day) }
    }
}

impl Support {
    /// When the project ends the support of this version's series. None if nobody knows: the project is not listed, or the
    /// series is newer than all that are.
    pub fn end(&self, project: &str, version: Number) -> Option<End> {
        let listed = self.0.get(project)?;
        if let Some(day) = listed.get(&version.series()) {
            return Some(End { day: *day, before: false });
        }
        let oldest = listed.iter().filter_map(|(series, day)| Some((Number::read(series)?, *day))).min()?;
        (version < oldest.0).then_some(End { day: oldest.1, before: true })
    }

    /// The same with the days of `other` in place of its own.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        for (project, days) in &other.0 {
            self.0.entry(project.clone()).or_default().extend(days.iter().map(|(series, day)| (series.clone(), *day)));
        }
        self
    }
}
