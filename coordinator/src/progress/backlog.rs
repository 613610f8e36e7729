//! Events on their way to a screen that may stand still: a terminal takes nothing after ^S, for hours.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::event::{Event, Kind};

/// A screen that keeps up sees every event; only behind as many as this do newer words replace older ones.
const BEHIND: usize = 64;

/// A queue whose length does not grow with the time that its reader stands still: what a turn waits for, told twice a second, is kept
/// once. Everything else is told once, and kept.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    is_closed: bool,
}

impl Backlog {
    pub(super) fn push(&self, event: Event) {
        let mut queue = self.lock();
        if queue.events.len() >= BEHIND
            && let Some(older) = queue.replaced_by(&event)
        {
            *older = event;
        } else {
            queue.events.push_back(event);
        }
        self.changed.notify_one();
    }

    /// The next event, as soon as there is one; None once the queue is closed and empty. Blocks its thread.
    pub(super) fn pop(&self) -> Option<Event> {
        let mut queue = self.lock();
        loop {
            if let Some(event) = queue.events.pop_front() {
                return Some(event);
            }
            if queue.is_closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more events come, or nobody reads them any more.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The event that says nothing any more after this one.
    fn replaced_by(&mut self, event: &Event) -> Option<&mut Event> {
        let Kind::Waiting { turn, .. } = &event.kind else { return None };
        let last = self.events.iter_mut().rev().find(|older| turn_of(&older.kind) == Some(*turn))?;
        matches!(last.kind, Kind::Waiting { .. }).then_some(last)
    }
}

fn turn_of(kind: &Kind) -> Option<usize> {
    match kind {
        Kind::TurnBegan { turn, .. }
        | Kind::StepBegan { turn, .. }
        | Kind::Waiting { turn, .. }
        | Kind::Blocked { turn, .. }
        | Kind::Fact { turn, .. }
        | Kind::StepFailed { turn, .. }
        | Kind::Undone { turn, .. }
        | Kind::TurnEnded { turn, .. } => Some(*turn),
        Kind::Notice { .. }
        | Kind::Planned { .. }
        | Kind::Asked { .. }
        | Kind::Logged { .. }
        | Kind::Began { .. }
        | Kind::ControlPlane { .. }
        | Kind::Warned { .. }
        | Kind::Ended { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn event(kind: Kind) -> Event {
        Event { at: Timestamp::UNIX_EPOCH, kind }
    }

    fn waiting(turn: usize, what: &str) -> Event {
        event(Kind::Waiting { turn, step: "drain".into(), what: what.into() })
    }

    fn fact(turn: usize, what: &str) -> Event {
        event(Kind::Fact { turn, step: "drain".into(), what: what.into() })
    }

    fn rest(backlog: &Backlog) -> Vec<Event> {
        backlog.close();
        std::iter::from_fn(|| backlog.pop()).collect()
    }

    #[test]
    fn a_night_of_waiting_behind_a_terminal_that_stands_still_is_kept_once_for_each_turn() {
        let backlog = Backlog::default();
        for number in 0..BEHIND {
            backlog.push(fact(1, &number.to_string()));
        }
        for second in 0..30_000 {
            backlog.push(waiting(1 + second % 2, &format!("{second} s")));
        }
        backlog.push(fact(1, "gone"));
        backlog.push(waiting(1, "next"));
        let events = rest(&backlog);
        let expected = [waiting(1, "29998 s"), waiting(2, "29999 s"), fact(1, "gone"), waiting(1, "next")];
        assert_eq!(events[BEHIND..], expected);
    }

    #[test]
    fn a_screen_that_keeps_up_sees_every_event_in_its_order() {
        let backlog = Backlog::default();
        for second in 0..3 {
            backlog.push(waiting(1, &second.to_string()));
        }
        assert_eq!(rest(&backlog), [waiting(1, "0"), waiting(1, "1"), waiting(1, "2")]);
    }
}
