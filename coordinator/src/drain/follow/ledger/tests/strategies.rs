//! Pods that do not simply go when they are evicted: deleted, killed, replaced.

use super::*;

#[test]
fn a_pod_that_a_budget_blocks_too_long_is_deleted_only_if_the_operator_asked() {
    let now = Instant::now();
    let minute = Duration::from_secs(60);
    for (delete_after, expected) in [(None, Action::Evict), (Some(minute), Action::Delete)] {
        let mut ledger = Ledger::escalating(Escalation { delete_after, ..Escalation::default() });
        ledger.add(facts("a"), 0, Strategy::Evict, now);
        for second in [0, 30, 59] {
            let now = now + Duration::from_secs(second);
            assert_eq!(ledger.next_request(now).unwrap().action, Action::Evict, "{second} s");
            ledger.answered("a", Action::Evict, blocked("needs 8, has 8"), now, clock(0));
        }
        // Not put off to the next try of its eviction.
        let due = ledger.next_due().unwrap();
        assert_eq!(due - now, if expected == Action::Delete { minute } else { minute + Duration::from_secs(4) });
        assert_eq!(ledger.next_request(due).unwrap().action, expected);
        ledger.answered("a", expected, Outcome::Accepted, due, clock(60));
        let escalated: Vec<_> = ledger.progress().escalated.into_iter().map(|it| it.what).collect();
        let reported = (expected == Action::Delete).then(|| "deleted after 1m0s: needs 8, has 8".to_owned());
        assert_eq!(escalated, Vec::from_iter(reported));
    }
}

#[test]
fn a_pod_that_does_not_end_is_killed_only_if_the_operator_asked() {
    let now = Instant::now();
    let minute = Duration::from_secs(60);
    for kill_after in [None, Some(minute)] {
        let mut ledger = Ledger::escalating(Escalation { kill_after, ..Escalation::default() });
        ledger.add(facts("a"), 0, Strategy::Evict, now);
        ledger.next_request(now).unwrap();
        ledger.answered("a", Action::Evict, Outcome::Accepted, now, clock(0));
        assert_eq!(ledger.next_due(), kill_after.map(|after| now + after));
        let Some(due) = ledger.next_due() else { continue };
        assert_eq!(ledger.next_request(due).unwrap().action, Action::Kill);
        assert_eq!(ledger.next_request(due + minute), None, "while the request is in flight");
        // A busy server is asked again.
        ledger.answered("a", Action::Kill, retry(2), due, clock(60));
        assert_eq!(after(&ledger, due), Some(Duration::from_secs(2)));
        assert_eq!(ledger.next_request(due + 2 * minute).unwrap().action, Action::Kill);
        ledger.answered("a", Action::Kill, Outcome::Accepted, due, clock(62));
        assert_eq!(ledger.next_due(), None, "once is enough");
        assert_eq!(ledger.progress().leaving, 1);
        let [escalated] = &ledger.progress().escalated[..] else { panic!() };
        assert!(escalated.what.starts_with("killed ") && escalated.what.ends_with(" after it was told to go"));
    }
}

#[test]
fn its_deployment_removes_a_pod_that_is_replaced() {
    let now = Instant::now();
    let mut ledger = Ledger::default();
    ledger.add(facts("a"), 0, Strategy::ReplaceFirst, now);
    ledger.add(facts("z"), 1, Strategy::Evict, now);
    assert_eq!(ledger.next_request(now).unwrap().action, Action::Replace);
    ledger.answered("a", Action::Replace, Outcome::Replacing { deployment: "web".into() }, now, clock(0));
    assert_eq!((ledger.progress().replacing, ledger.next_request(now)), (1, None), "later groups wait for it");
    assert_eq!(ledger.remains().replacing, [(facts("a").pod, "web".to_owned())]);
    ledger.update(leaving("a", 9), now);
    assert_eq!((ledger.progress().replacing, ledger.progress().leaving), (0, 1));
    ledger.gone("a");
    assert_eq!(ledger.next_request(now).unwrap().pod.name, "z");
}

#[test]
fn a_pod_that_cannot_be_replaced_is_evicted_within_its_budget() {
    let now = Instant::now();
    let mut ledger = Ledger::default();
    ledger.add(facts("a"), 0, Strategy::ReplaceFirst, now);
    ledger.next_request(now).unwrap();
    ledger.answered("a", Action::Replace, retry(1), now, clock(0));
    let again = now + Duration::from_secs(9);
    assert_eq!(ledger.next_request(again).unwrap().action, Action::Replace, "nobody has decided yet");
    ledger.answered("a", Action::Replace, blocked("needs 1, has 1"), again, clock(1));
    assert_eq!(ledger.next_request(again + BLOCKED_PAUSE).unwrap().action, Action::Evict);
}

#[test]
fn limits_beyond_all_clocks_never_escalate() {
    let now = Instant::now();
    let forever = Some(Duration::MAX);
    let mut ledger = Ledger::escalating(Escalation { kill_after: forever, delete_after: forever });
    ledger.add(facts("a"), 0, Strategy::Evict, now);
    ledger.next_request(now).unwrap();
    ledger.answered("a", Action::Evict, blocked("needs 1, has 1"), now, clock(0));
    let again = now + BLOCKED_PAUSE;
    assert_eq!(ledger.next_request(again).unwrap().action, Action::Evict);
    ledger.answered("a", Action::Evict, Outcome::Accepted, again, clock(5));
    assert_eq!(ledger.next_due(), None);
}
