//! Pods that do not simply go when they are evicted: deleted, killed, replaced.

use super::*;

#[test]
fn a_pod_that_a_budget_keeps_too_long_is_deleted_only_if_that_was_asked_for() {
    let now = Instant::now();
    let minute = Duration::from_secs(60);
    for (delete_after, expected) in [(None, Ask::Evict), (Some(minute), Ask::Delete)] {
        let mut ledger = Ledger::escalating(Escalation { delete_after, ..Escalation::default() });
        ledger.take(facts("a"), 0, Way::Evict, now);
        for second in [0, 30, 59] {
            let now = now + Duration::from_secs(second);
            assert_eq!(ledger.next_call(now).unwrap().ask, Ask::Evict, "{second} s");
            ledger.answered("a", Ask::Evict, blocked("needs 8, has 8"), now, clock(0));
        }
        // Not put off to the next try of its eviction.
        let due = ledger.next_due().unwrap();
        assert_eq!(due - now, if expected == Ask::Delete { minute } else { minute + Duration::from_secs(4) });
        assert_eq!(ledger.next_call(due).unwrap().ask, expected);
        ledger.answered("a", expected, Outcome::Accepted, due, clock(60));
        let escalated: Vec<_> = ledger.progress().escalated.into_iter().map(|it| it.what).collect();
        let said = (expected == Ask::Delete).then(|| "deleted after 1m0s: needs 8, has 8".to_owned());
        assert_eq!(escalated, Vec::from_iter(said));
    }
}

#[test]
fn a_pod_that_does_not_end_is_told_once_more_only_if_that_was_asked_for() {
    let now = Instant::now();
    let minute = Duration::from_secs(60);
    for kill_after in [None, Some(minute)] {
        let mut ledger = Ledger::escalating(Escalation { kill_after, ..Escalation::default() });
        ledger.take(facts("a"), 0, Way::Evict, now);
        ledger.next_call(now).unwrap();
        ledger.answered("a", Ask::Evict, Outcome::Accepted, now, clock(0));
        assert_eq!(ledger.next_due(), kill_after.map(|after| now + after));
        let Some(due) = ledger.next_due() else { continue };
        assert_eq!(ledger.next_call(due).unwrap().ask, Ask::Kill);
        assert_eq!(ledger.next_call(due + minute), None, "while the call is in flight");
        // A busy server is asked again.
        ledger.answered("a", Ask::Kill, later(2), due, clock(60));
        assert_eq!(after(&ledger, due), Some(Duration::from_secs(2)));
        assert_eq!(ledger.next_call(due + 2 * minute).unwrap().ask, Ask::Kill);
        ledger.answered("a", Ask::Kill, Outcome::Accepted, due, clock(62));
        assert_eq!(ledger.next_due(), None, "once is enough");
        assert_eq!(ledger.progress().leaving, 1);
        let [escalated] = &ledger.progress().escalated[..] else { panic!() };
        assert!(escalated.what.starts_with("killed ") && escalated.what.ends_with(" after it was told to go"));
    }
}

#[test]
fn a_pod_that_is_replaced_goes_by_its_controllers_hand() {
    let now = Instant::now();
    let mut ledger = Ledger::default();
    ledger.take(facts("a"), 0, Way::Replace, now);
    ledger.take(facts("z"), 1, Way::Evict, now);
    assert_eq!(ledger.next_call(now).unwrap().ask, Ask::Replace);
    ledger.answered("a", Ask::Replace, Outcome::Replacing { deployment: "web".into() }, now, clock(0));
    assert_eq!((ledger.progress().replacing, ledger.next_call(now)), (1, None), "later groups wait for it");
    assert_eq!(ledger.remains().replacing, [(facts("a").pod, "web".to_owned())]);
    ledger.seen(leaving("a", 9), now);
    assert_eq!((ledger.progress().replacing, ledger.progress().leaving), (0, 1));
    ledger.gone("a");
    assert_eq!(ledger.next_call(now).unwrap().pod.name, "z");
}

#[test]
fn a_pod_that_cannot_be_replaced_is_evicted_within_its_budget() {
    let now = Instant::now();
    let mut ledger = Ledger::default();
    ledger.take(facts("a"), 0, Way::Replace, now);
    ledger.next_call(now).unwrap();
    ledger.answered("a", Ask::Replace, later(1), now, clock(0));
    let again = now + Duration::from_secs(9);
    assert_eq!(ledger.next_call(again).unwrap().ask, Ask::Replace, "nobody has answered yet");
    ledger.answered("a", Ask::Replace, blocked("needs 1, has 1"), again, clock(1));
    assert_eq!(ledger.next_call(again + BLOCKED_PAUSE).unwrap().ask, Ask::Evict);
}
