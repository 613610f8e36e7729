//! The history of operations by the names of its files, so that listing it and forgetting the oldest read none.

use jiff::{SignedDuration, Timestamp};

use super::super::record::{Change, Operation};
use crate::{config::Retention, disk::HIGHEST_NUMBER};

/// Operations that started within this time are not forgotten because there are too many of them: a flood of trivial calls must
/// not wipe out what led to it.
const NEVER_BY_NUMBER: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How many operations that did nothing are kept. They are remembered for callers that repeat a call, not for the history.
const KEPT_OF_NOTHING: usize = 100;

/// How much disk the history may take, in bytes. Above it the oldest operations go, whatever their age.
const HISTORY_LIMIT: u64 = 64 * 1024 * 1024;

/// How far the clock may be from the newest operation for ages to be believed.
const PLAUSIBLE: SignedDuration = SignedDuration::from_hours(24);

/// How many of the newest operations are kept whatever their age. One operation under a clock that is wrong makes it plausible and
/// all others old.
const NEVER_BY_AGE: usize = 100;

/// What a file name in `operations/` says: `SEQUENCE.TIME.KIND.ID.json`, or `TIME.KIND.ID.json` if it was written by an agent that
/// knew only the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    sequence: u64,
    started_ms: i64,
    kind: Kind,
    pub(super) id: String,
    /// The size of the file, which its name does not tell.
    pub(super) bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unit,
    Reboot,
    /// A start of a unit that was active.
    Nothing,
}

impl Kind {
    const ALL: [(Self, &str); 3] = [(Self::Unit, "unit"), (Self::Reboot, "reboot"), (Self::Nothing, "nothing")];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)
    }
}

impl Entry {
    pub(super) fn of(operation: &Operation, bytes: u64) -> Self {
        let kind = match operation.change {
            Change::RebootNode { .. } => Kind::Reboot,
            _ if operation.did_nothing() => Kind::Nothing,
            _ => Kind::Unit,
        };
        let started_ms = operation.started_at.as_millisecond();
        Self { sequence: operation.sequence, started_ms, kind, id: operation.id.clone(), bytes }
    }

    pub(super) fn file_name(&self) -> String {
        let Self { sequence, started_ms, kind, id, .. } = self;
        match sequence {
            0 => format!("{started_ms}.{}.{id}.json", kind.word()),
            _ => format!("{sequence:010}.{started_ms}.{}.{id}.json", kind.word()),
        }
    }

    pub(super) fn parse(file_name: &str, bytes: u64) -> Option<Self> {
        let name = file_name.strip_suffix(".json")?;
        let (first, rest) = name.split_once('.')?;
        let (second, id) = rest.split_once('.')?;
        if let Some(kind) = Kind::parse(second) {
            let started_ms = first.parse().ok()?;
            return Some(Self { sequence: 0, started_ms, kind, id: id.to_owned(), bytes });
        }
        let (kind, id) = id.split_once('.')?;
        let (sequence, started_ms) = (first.parse().ok()?, second.parse().ok()?);
        if sequence > HIGHEST_NUMBER {
            return None;
        }
        Some(Self { sequence, started_ms, kind: Kind::parse(kind)?, id: id.to_owned(), bytes })
    }

    pub(super) fn is_reboot(&self) -> bool {
        self.kind == Kind::Reboot
    }

    /// Whether it is the file of this operation.
    pub(super) fn is_of(&self, operation: &Operation) -> bool {
        self.id == operation.id && self.started_ms == operation.started_at.as_millisecond()
    }
}

/// Operations that have ended, oldest first.
#[derive(Debug, Default)]
pub(super) struct History(Vec<Entry>);

impl History {
    pub(super) fn new(mut entries: Vec<Entry>) -> Self {
        // By sequence, for the clock may have been wrong. Those without one are older than all others.
        entries.sort_by(|a, b| (a.sequence, a.started_ms, &a.id).cmp(&(b.sequence, b.started_ms, &b.id)));
        Self(entries)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    pub(super) fn last_sequence(&self) -> u64 {
        self.0.last().map_or(0, |entry| entry.sequence)
    }

    /// The newest operation with this id.
    pub(super) fn find(&self, id: &str) -> Option<&Entry> {
        self.0.iter().rev().find(|entry| entry.id == id)
    }

    /// Adds an operation, or takes note of the new size of its file.
    pub(super) fn insert(&mut self, entry: Entry) {
        let same = |known: &&mut Entry| {
            (known.sequence, known.started_ms, &known.id) == (entry.sequence, entry.started_ms, &entry.id)
        };
        match self.0.iter_mut().find(same) {
            Some(known) => *known = entry,
            None => {
                let mut entries = std::mem::take(&mut self.0);
                entries.push(entry);
                *self = Self::new(entries);
            }
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        self.0.retain(|kept| kept != entry);
    }

    /// What may be forgotten.
    pub(super) fn forgettable(&self, now: Timestamp, retention: Retention) -> Vec<Entry> {
        let before = |duration| now.checked_sub(duration).map_or(i64::MIN, Timestamp::as_millisecond);
        let keep = SignedDuration::try_from(retention.keep).unwrap_or(SignedDuration::MAX);
        let (oldest, young) = (before(keep), before(NEVER_BY_NUMBER));
        // A clock that is wrong must not make everything old. On a node without a recent operation nothing needs to go.
        let newest = self.0.last().and_then(|newest| Timestamp::from_millisecond(newest.started_ms).ok());
        let ages_count = newest.is_some_and(|newest| now.duration_since(newest).abs() <= PLAUSIBLE);
        let (mut number, mut of_nothing, mut bytes) = (0, 0, 0_u64);
        let forgettable = self.0.iter().rev().filter(|entry| {
            bytes = bytes.saturating_add(entry.bytes);
            let too_many = if entry.kind == Kind::Nothing {
                of_nothing += 1;
                of_nothing > KEPT_OF_NOTHING
            } else {
                number += 1;
                number > retention.keep_count && entry.started_ms < young
            };
            let too_old = ages_count && entry.started_ms < oldest && number + of_nothing > NEVER_BY_AGE;
            too_many || too_old || bytes > HISTORY_LIMIT
        });
        forgettable.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;
    const NOW: i64 = 1_760_000_000_000;

    fn entry(sequence: u64, days_ago: i64, kind: Kind) -> Entry {
        Entry { sequence, started_ms: NOW - days_ago * DAY, kind, id: format!("op{sequence}"), bytes: 1000 }
    }

    fn forgotten(entries: Vec<Entry>, now: i64, keep_days: u64, keep_count: usize) -> Vec<u64> {
        let retention = Retention { keep: Duration::from_secs(keep_days * 24 * 60 * 60), keep_count };
        let now = Timestamp::from_millisecond(now).unwrap();
        let mut forgotten: Vec<_> =
            History::new(entries).forgettable(now, retention).into_iter().map(|entry| entry.sequence).collect();
        forgotten.sort_unstable();
        forgotten
    }

    #[test]
    fn a_file_name_says_the_same_there_and_back_also_that_of_an_older_agent() {
        for kind in [Kind::Unit, Kind::Reboot, Kind::Nothing] {
            for sequence in [0, 1, HIGHEST_NUMBER] {
                let entry = Entry { id: "a.unit.b.1".to_owned(), ..entry(sequence, 3, kind) };
                assert_eq!(Entry::parse(&entry.file_name(), 1000), Some(entry));
            }
        }
        let old = Entry::parse("1700000000000.reboot.4f7k2.1.2.json", 5).unwrap();
        assert_eq!((old.sequence, old.kind, old.id.as_str()), (0, Kind::Reboot, "4f7k2.1.2"));
        for name in [
            "x",
            "1.json",
            "1.unit.json",
            "1.2.3.4.json",
            "a.unit.b.json",
            "1.unit.b",
            "18446744073709551615.2.unit.b.json",
        ] {
            assert_eq!(Entry::parse(name, 0), None, "{name}");
        }
    }

    #[test]
    fn the_sequence_orders_whatever_the_clock_said() {
        let history =
            History::new(vec![entry(3, 20_000, Kind::Unit), entry(0, 9, Kind::Unit), entry(2, -50, Kind::Unit)]);
        let order: Vec<_> = history.entries().iter().map(|entry| entry.sequence).collect();
        assert_eq!(order, [0, 2, 3]);
    }

    #[test]
    fn age_counts_only_while_the_clock_agrees_with_the_newest_operation() {
        let newest = (3..103).map(|sequence| entry(sequence, 0, Kind::Unit));
        let entries =
            || [entry(1, 100, Kind::Unit), entry(2, 99, Kind::Reboot)].into_iter().chain(newest.clone()).collect();
        assert_eq!(forgotten(entries(), NOW, 90, 1000), [1, 2]);
        assert!(forgotten(entries(), NOW + 100 * DAY, 90, 1000).is_empty(), "the clock is 100 days ahead");
        assert!(forgotten(entries(), 0, 90, 1000).is_empty(), "the clock is back in 1970");
    }

    #[test]
    fn one_operation_under_a_clock_that_is_wrong_does_not_make_all_others_old() {
        let mut entries: Vec<_> = (1..=50).map(|sequence| entry(sequence, 1, Kind::Unit)).collect();
        entries.push(entry(51, -100, Kind::Unit));
        assert!(forgotten(entries, NOW + 100 * DAY, 90, 1000).is_empty());
    }

    #[test]
    fn no_number_of_operations_pushes_out_those_of_the_last_week() {
        let week: Vec<_> = (1..=2000).map(|sequence| entry(sequence, 6, Kind::Unit)).collect();
        assert!(forgotten(week, NOW, 90, 1000).is_empty());
        let older: Vec<_> = (1..=5).map(|sequence| entry(sequence, 8, Kind::Unit)).collect();
        assert_eq!(forgotten(older, NOW, 90, 2), [1, 2, 3]);
    }

    #[test]
    fn operations_that_did_nothing_push_out_only_each_other() {
        let mut entries = vec![entry(1, 8, Kind::Unit), entry(2, 8, Kind::Unit)];
        entries.extend((3..=202).map(|sequence| entry(sequence, 0, Kind::Nothing)));
        assert_eq!(forgotten(entries, NOW, 90, 2), (3..=102).collect::<Vec<_>>());
    }

    #[test]
    fn the_history_is_bounded_by_bytes_whatever_its_age() {
        let big = |sequence| Entry { bytes: HISTORY_LIMIT / 2, ..entry(sequence, 0, Kind::Unit) };
        assert_eq!(forgotten(vec![big(1), big(2), big(3)], NOW, 90, 1000), [1]);
    }
}
