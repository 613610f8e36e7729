//! Pods that webhooks keep, and pods that come back.

use super::*;
use crate::drain::select::replica_set;

fn denied() -> Outcome {
    Outcome::Denied { webhook: "keep".into(), message: "admission webhook \"keep\" denied the request: no".into() }
}

#[test]
fn a_pod_that_a_webhook_denies_is_tried_again_and_never_deleted_past_it() {
    let now = Instant::now();
    let delete_after = Some(Duration::from_secs(1));
    let mut ledger = Ledger::escalating(Escalation { delete_after, ..Escalation::default() });
    ledger.add(facts("a"), 0, Strategy::Evict, now);
    ledger.next_request(now).unwrap();
    ledger.answered("a", Action::Evict, denied(), now, clock(0));
    assert_eq!(after(&ledger, now), Some(BLOCKED_PAUSE));
    assert_eq!(ledger.next_request(now + BLOCKED_PAUSE).unwrap().action, Action::Evict);
    let [pod] = &ledger.progress().blocked[..] else { panic!() };
    assert_eq!((pod.webhook.as_deref(), pod.budget.as_deref()), (Some("keep"), None));
    assert!(ledger.namespaces_with_blocked().is_empty(), "no budget need be watched for it");
    assert!(!ledger.is_hopeless());
}

#[test]
fn the_time_for_which_a_webhook_denied_a_pod_is_no_time_of_a_budgets() {
    let now = Instant::now();
    let delete_after = Some(Duration::from_secs(60));
    let mut ledger = Ledger::escalating(Escalation { delete_after, ..Escalation::default() });
    ledger.add(facts("a"), 0, Strategy::Evict, now);
    ledger.next_request(now).unwrap();
    ledger.answered("a", Action::Evict, denied(), now, clock(0));
    let later = now + Duration::from_secs(300);
    ledger.next_request(later).unwrap();
    ledger.answered("a", Action::Evict, blocked("x"), later, clock(300));
    assert_eq!(ledger.next_request(later + BLOCKED_PAUSE).unwrap().action, Action::Evict);
}

#[test]
fn a_budget_that_changes_does_not_wake_a_pod_that_a_webhook_denies() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    ledger.next_request(now).unwrap();
    ledger.answered("a", Action::Evict, denied(), now, clock(0));
    ledger.budget_changed(&changed(Allowance::Unlimited), now);
    assert_eq!(requested(&mut ledger, now), [""; 0]);
}

#[test]
fn a_pod_that_a_webhook_denies_leaves_when_somebody_deletes_it() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    ledger.next_request(now).unwrap();
    ledger.answered("a", Action::Evict, denied(), now, clock(0));
    ledger.update(leaving("a", 9), now);
    assert_eq!((ledger.progress().leaving, ledger.next_due()), (1, None));
}

fn made(name: &str, second: i64) -> PodFacts {
    PodFacts { owner: Some(replica_set("r")), created: Some(clock(second)), tolerates_cordon: true, ..facts(name) }
}

/// Evicts pods that are there from the beginning, and as many successors as come, until one is not evicted any more. Gives how many came,
/// and what is said of the last one.
fn comes_back(at_first: usize, most: usize) -> (usize, Option<String>) {
    let now = Instant::now();
    let mut ledger = Ledger::default();
    let mut present: std::collections::VecDeque<_> =
        (0..at_first).map(|number| made(&format!("p{number}"), 0)).collect();
    present.iter().for_each(|pod| ledger.add(pod.clone(), 0, Strategy::Evict, now));
    for number in 1..=most {
        let Some(pod) = present.pop_front() else { break };
        let told = clock(10 * i64::try_from(number).unwrap());
        let deletion = Some(Deletion { requested: told, due: told });
        ledger.update(PodFacts { deletion, ..pod.clone() }, now);
        // Its successor is there before it has gone.
        let successor = made(&format!("s{number}"), told.as_second());
        ledger.add(successor.clone(), 0, Strategy::Evict, now);
        ledger.gone(&pod.pod.uid);
        present.push_back(successor);
        if let [failed] = &ledger.progress().failed[..] {
            return (number, Some(failed.message.clone()));
        }
    }
    (most, None)
}

#[test]
fn a_pod_is_not_evicted_again_after_its_third_return_however_many_there_are_of_its_kind() {
    let words = Some("comes back to the node: it tolerates its cordon (3 times)".to_owned());
    for (at_first, expected) in [(1, 3), (2, 5), (4, 9)] {
        assert_eq!(comes_back(at_first, 99), (expected, words.clone()), "{at_first} pods");
        assert_eq!(comes_back(at_first, 2 * at_first), (2 * at_first, None), "{at_first} pods that came back twice");
    }
}

#[test]
fn pods_that_were_there_before_count_as_no_return_though_they_are_seen_late() {
    let now = Instant::now();
    let mut ledger = Ledger::default();
    ledger.add(made("a", 0), 0, Strategy::Evict, now);
    ledger.update(PodFacts { deletion: Some(Deletion { requested: clock(50), due: clock(50) }), ..made("a", 0) }, now);
    for name in ["b", "c", "d", "e"] {
        ledger.add(made(name, 40), 0, Strategy::Evict, now);
    }
    assert!(ledger.progress().failed.is_empty(), "{:?}", ledger.progress().failed);
}
