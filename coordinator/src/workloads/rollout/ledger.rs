//! The ledger of a run: where each workload stands, which begins next, and when to look closer. No I/O.
//!
//! ```text
//!  Waiting ─ begin → Beginning ─ changed → UnderWay ─ complete ──────────→ Ended
//!                        │                    └─ failed, timed out → Failing ┘
//!                        └─ refused ─────────────────────────────────────↗
//! ```

mod row;

use std::time::Duration;

use tokio::time::Instant;

use self::row::{Row, State};
use super::{
    Kind,
    change::Change,
    outcome::{Ended, Event, Outcome, Stop},
    standing::{Standing, standing},
    workload::{Workload, WorkloadId},
};

/// StatefulSets and DaemonSets have no progress deadline. This is the default of Deployments.
pub(super) const STALLED: Duration = Duration::from_secs(600);

/// A rollout that has stood still for this long is looked into: most pods are ready sooner.
const LOOK_AFTER: Duration = Duration::from_secs(10);
/// And again after as long, as its trouble may be another one by then.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How many may be under way, and when to give up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Rollouts under way at a time.
    pub concurrency: usize,
    /// Begin no more once more than this many have failed.
    pub max_failures: usize,
    /// For all together; None for no limit.
    pub timeout: Option<Duration>,
    /// Whether to wait for the rollouts at all.
    pub wait: bool,
}

pub(super) struct Ledger {
    settings: Settings,
    rows: Vec<Row>,
    stop: Option<Stop>,
    failures: usize,
    /// Kinds of which nothing more is heard, and why.
    lost: Vec<(Kind, String)>,
}

impl Ledger {
    pub(super) fn new(changes: Vec<Change>, settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            rows: changes.into_iter().map(|change| Row::new(change, now)).collect(),
            stop: None,
            failures: 0,
            lost: Vec::new(),
        }
    }

    /// The next workload to begin with, if one may.
    pub(super) fn begin(&mut self, now: Instant) -> Option<(usize, Change)> {
        let busy = self.rows.iter().filter(|row| row.is_busy()).count();
        if self.stop.is_some() || busy >= self.settings.concurrency {
            return None;
        }
        let (index, row) = self.rows.iter_mut().enumerate().find(|(_, row)| matches!(row.state, State::Waiting))?;
        (row.state, row.begun) = (State::Beginning, now);
        Some((index, row.change.clone()))
    }

    /// The server has taken the change, or not.
    pub(super) fn begun(&mut self, index: usize, result: Result<Workload, String>, now: Instant) -> Vec<Event> {
        let of = self.rows.len();
        let Some(row) = self.rows.get_mut(index) else { return Vec::new() };
        let workload = match result {
            Ok(workload) => workload,
            Err(why) => return self.end(index, Ended::Failed, vec![why], now),
        };
        (row.state, row.moved, row.look) = (State::UnderWay, now, now + LOOK_AFTER);
        if self.stop == Some(Stop::TimedOut) && self.settings.wait {
            row.state = State::Failing { ended: Ended::TimedOut, what: "not complete in time".to_owned() };
        }
        // From now on what was before the change does not count.
        row.change.workload = workload.clone();
        row.changed = !row.change.is_nothing();
        row.stale = row.changed && workload.status.deadline_exceeded.is_some();
        let gone = row.gone;
        let mut events = Vec::new();
        if row.changed {
            events.push(Event::Began { workload: row.named(), number: index + 1, of });
        }
        let lost = self.lost.iter().find(|(kind, _)| *kind == workload.id.kind).map(|(_, why)| why.clone());
        events.extend(match lost {
            _ if !self.settings.wait => self.end(index, Ended::Begun, Vec::new(), now),
            Some(why) => self.end(index, Ended::UnderWay, vec![why], now),
            None if gone => self.end(index, Ended::Failed, vec!["it was deleted meanwhile".to_owned()], now),
            None => self.seen(workload, now),
        });
        let early = self.rows.get_mut(index).and_then(|row| row.early.take());
        events.extend(early.into_iter().flat_map(|workload| self.seen(workload, now)));
        events
    }

    /// A workload as it is now. News from before the change says nothing about it; the watch may be quicker than the answer to the
    /// change, so what it says meanwhile is kept.
    pub(super) fn seen(&mut self, workload: Workload, now: Instant) -> Vec<Event> {
        let Some((index, row)) = self.under_way(&workload.id) else { return Vec::new() };
        if matches!(row.state, State::Beginning) {
            (row.early, row.gone) = (Some(workload), false);
            return Vec::new();
        }
        if workload.generation < row.change.workload.generation {
            return Vec::new();
        }
        if workload.uid != row.workload.uid {
            return self.end(index, Ended::Failed, vec!["it was deleted meanwhile, and made anew".to_owned()], now);
        }
        if workload.status != row.workload.status {
            (row.moved, row.look) = (now, now + LOOK_AFTER);
        }
        row.stale &= workload.status.deadline_exceeded.is_some();
        let standing = match standing(&workload) {
            _ if workload.paused && row.changed => Standing::Failed("it was paused meanwhile".to_owned()),
            Standing::Failed(_) if row.stale => Standing::Rolling("its last rollout had failed".to_owned()),
            standing => standing,
        };
        row.workload = workload;
        match standing {
            Standing::Complete => {
                let remarks = row.overtaken().map(str::to_owned).into_iter().collect();
                self.end(index, Ended::Complete, remarks, now)
            }
            Standing::ByHand(what) => self.end(index, Ended::Begun, vec![what], now),
            Standing::Failed(what) => self.fail(index, what),
            Standing::Rolling(what) if what != row.told => {
                row.told.clone_from(&what);
                // For the blink of an eye in which the controller has not seen it, that goes without saying.
                let seen = row.workload.status.observed >= row.workload.generation;
                seen.then(|| Event::Waiting { workload: row.named(), what, why: Vec::new() }).into_iter().collect()
            }
            Standing::Rolling(_) => Vec::new(),
        }
    }

    /// The workload was deleted. While its change is on its way to the server, the answer is waited for.
    pub(super) fn gone(&mut self, id: &WorkloadId, now: Instant) -> Vec<Event> {
        let Some((index, row)) = self.under_way(id) else { return Vec::new() };
        row.gone = true;
        match row.state {
            State::UnderWay => self.end(index, Ended::Failed, vec!["it was deleted meanwhile".to_owned()], now),
            _ => Vec::new(),
        }
    }

    /// Nothing more will be heard of this kind.
    pub(super) fn lost(&mut self, kind: Kind, why: &str, now: Instant) -> Vec<Event> {
        self.stop.get_or_insert(Stop::Failures);
        let why = format!("{} cannot be watched, so what became of it is not known: {why}", kind.plural());
        self.lost.push((kind, why.clone()));
        let under_way = |row: &Row| row.workload.id.kind == kind && matches!(row.state, State::UnderWay);
        let indices: Vec<_> =
            self.rows.iter().enumerate().filter(|(_, row)| under_way(row)).map(|(index, _)| index).collect();
        indices.into_iter().flat_map(|index| self.end(index, Ended::UnderWay, vec![why.clone()], now)).collect()
    }

    /// What is to be looked into now; true: for good, as it has failed.
    pub(super) fn looks(&mut self, now: Instant) -> Vec<(usize, Workload, bool)> {
        let mut looks = Vec::new();
        for (index, row) in self.rows.iter_mut().enumerate() {
            let deadline = row.workload.deadline.filter(|_| !row.stale);
            let limit = row.workload.deadline.unwrap_or(STALLED);
            match &mut row.state {
                State::UnderWay if deadline.is_none() && now >= row.moved + limit => {
                    let what = format!("no progress within {} s", limit.as_secs());
                    row.state = State::Failing { ended: Ended::Failed, what };
                    looks.push((index, row.workload.clone(), true));
                }
                State::UnderWay if now >= row.look => {
                    row.look = now + LOOK_AGAIN;
                    looks.push((index, row.workload.clone(), false));
                }
                _ => {}
            }
        }
        looks
    }

    /// When to ask [`Self::looks`] again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let under_way = self.rows.iter().filter(|row| matches!(row.state, State::UnderWay));
        under_way.map(|row| row.look).min()
    }

    /// What a look has found; `last` if it was one after the failure.
    pub(super) fn looked(&mut self, index: usize, (why, last): (Vec<String>, bool), now: Instant) -> Vec<Event> {
        let Some(row) = self.rows.get_mut(index) else { return Vec::new() };
        match &row.state {
            State::Failing { ended, what } if last => {
                let (ended, what) = (*ended, what.clone());
                let mut lines = vec![what];
                lines.extend(why);
                self.end(index, ended, lines, now)
            }
            State::UnderWay if !why.is_empty() && why != row.why => {
                row.why.clone_from(&why);
                vec![Event::Waiting { workload: row.named(), what: row.told.clone(), why }]
            }
            _ => Vec::new(),
        }
    }

    /// Begins no more. Once the time is over, those under way have failed, too.
    pub(super) fn stop(&mut self, stop: Stop) {
        self.stop.get_or_insert(stop);
        if stop != Stop::TimedOut {
            return;
        }
        self.stop = Some(stop);
        for row in &mut self.rows {
            if matches!(row.state, State::UnderWay) {
                row.state =
                    State::Failing { ended: Ended::TimedOut, what: format!("not complete in time: {}", row.told) };
            }
        }
    }

    /// Those that wait for a last look.
    pub(super) fn failing(&self) -> Vec<(usize, Workload, bool)> {
        let failing = self.rows.iter().enumerate().filter(|(_, row)| matches!(row.state, State::Failing { .. }));
        failing.map(|(index, row)| (index, row.workload.clone(), true)).collect()
    }

    pub(super) fn is_over(&self) -> bool {
        let waits = self.stop.is_none() && self.rows.iter().any(|row| matches!(row.state, State::Waiting));
        !waits && !self.rows.iter().any(Row::is_busy)
    }

    pub(super) fn close(self, now: Instant) -> Outcome {
        let entries = self.rows.into_iter().map(|row| row.close(now));
        Outcome { entries: entries.collect(), stop: self.stop }
    }

    fn under_way(&mut self, id: &WorkloadId) -> Option<(usize, &mut Row)> {
        let is_it = |row: &Row| row.workload.id == *id && matches!(row.state, State::Beginning | State::UnderWay);
        self.rows.iter_mut().enumerate().find(|(_, row)| is_it(row))
    }

    fn fail(&mut self, index: usize, what: String) -> Vec<Event> {
        if let Some(row) = self.rows.get_mut(index) {
            row.state = State::Failing { ended: Ended::Failed, what };
        }
        Vec::new()
    }

    fn end(&mut self, index: usize, ended: Ended, why: Vec<String>, now: Instant) -> Vec<Event> {
        let Some(row) = self.rows.get_mut(index) else { return Vec::new() };
        if ended == Ended::Failed {
            self.failures += 1;
            if self.failures > self.settings.max_failures {
                self.stop.get_or_insert(Stop::Failures);
            }
        }
        let took = now - row.begun;
        row.state = State::Ended { ended, why: why.clone(), took };
        vec![Event::Ended { workload: row.named(), ended, seconds: took.as_secs_f64(), why }]
    }
}

#[cfg(test)]
mod tests;
