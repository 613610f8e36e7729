mod balance;
mod obstacles;
mod strategies;

use super::*;
use crate::drain::{
    report::Remains,
    select::{Deletion, pod as facts},
};

fn leaving(name: &str, requested: i64) -> PodFacts {
    let requested = clock(requested);
    PodFacts { deletion: Some(Deletion { requested, due: requested }), ..facts(name) }
}

fn clock(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn blocked(message: &str) -> Outcome {
    Outcome::Blocked { budget: Some("web".into()), message: message.into(), retry_after: Duration::ZERO }
}

fn retry(seconds: u64) -> Outcome {
    Outcome::Retry { message: "busy".into(), retry_after: Duration::from_secs(seconds) }
}

fn ledger_of(names: &[&str], now: Instant) -> Ledger {
    let mut ledger = Ledger::default();
    names.iter().for_each(|name| ledger.add(facts(name), 0, Strategy::Evict, now));
    ledger
}

fn after(ledger: &Ledger, now: Instant) -> Option<Duration> {
    ledger.next_due().map(|due| due - now)
}

#[test]
fn a_pod_is_evicted_terminates_and_goes() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    assert_eq!(ledger.next_request(now).unwrap().pod.name, "a");
    assert_eq!(ledger.next_request(now), None);
    ledger.answered("a", Action::Evict, Outcome::Accepted, now, clock(0));
    assert_eq!(ledger.progress().leaving, 1);
    ledger.update(leaving("a", 7), now);
    ledger.gone("a");
    assert!(ledger.is_empty());
    assert_eq!(ledger.progress().gone, 1);
    assert_eq!(ledger.into_drained(Duration::ZERO).moved[0].asked, Some(clock(7)));
}

#[test]
fn the_first_deletion_counts_though_the_kubelet_shortens_its_grace_at_the_end() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    ledger.update(leaving("a", 7), now);
    ledger.update(leaving("a", 37), now);
    ledger.gone("a");
    assert_eq!(ledger.into_drained(Duration::ZERO).moved[0].asked, Some(clock(7)));
}

#[test]
fn a_blocked_pod_is_tried_now_and_then_and_counts_as_blocked_since_the_first_refusal() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    for (second, message) in [(10, "needs 8, has 8"), (11, "needs 8, has 7")] {
        ledger.next_request(now + BLOCKED_PAUSE).unwrap();
        ledger.answered("a", Action::Evict, blocked(message), now, clock(second));
        assert_eq!(after(&ledger, now), Some(BLOCKED_PAUSE));
        assert_eq!(ledger.next_request(now), None);
        let [pod] = &ledger.progress().blocked[..] else { panic!() };
        assert_eq!((pod.message.as_str(), pod.since, pod.budget.as_deref()), (message, clock(10), Some("web")));
    }
    // It stays blocked while it is tried again.
    ledger.next_request(now + BLOCKED_PAUSE).unwrap();
    assert_eq!(ledger.progress().blocked.len(), 1);
    ledger.answered("a", Action::Evict, Outcome::Accepted, now, clock(12));
    assert_eq!(ledger.progress().blocked, []);
}

#[test]
fn a_server_that_names_a_time_is_asked_after_it() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    ledger.next_request(now);
    ledger.answered("a", Action::Evict, retry(10), now, clock(0));
    assert_eq!(after(&ledger, now), Some(Duration::from_secs(10)));
    assert_eq!(ledger.progress().trouble.as_deref(), Some("busy"));
}

#[test]
fn pauses_grow_while_nobody_decides_and_start_over_after_a_decision() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    let mut pause_after = |outcome| {
        ledger.next_request(now + Duration::from_secs(3600)).unwrap();
        ledger.answered("a", Action::Evict, outcome, now, clock(0));
        ledger.next_due().unwrap() - now
    };
    let milliseconds = Duration::from_millis;
    assert_eq!(
        [pause_after(retry(0)), pause_after(retry(0)), pause_after(retry(0)), pause_after(retry(0))],
        [500, 1000, 2000, 4000].map(milliseconds)
    );
    assert_eq!(pause_after(retry(0)), LONGEST_PAUSE);
    assert_eq!(pause_after(blocked("x")), BLOCKED_PAUSE);
    assert_eq!(pause_after(retry(0)), FIRST_PAUSE);
}

#[test]
fn a_pod_in_a_terminating_namespace_is_leaving_once_it_terminates() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    ledger.next_request(now);
    ledger.answered("a", Action::Evict, Outcome::NamespaceTerminating, now, clock(0));
    assert_eq!(after(&ledger, now), Some(TERMINATING_PAUSE));
    ledger.update(leaving("a", 1), now);
    ledger.next_request(now + TERMINATING_PAUSE);
    ledger.answered("a", Action::Evict, Outcome::NamespaceTerminating, now, clock(0));
    assert_eq!((after(&ledger, now), ledger.progress().leaving), (None, 1));
}

#[test]
fn a_blocked_pod_that_somebody_else_deletes_is_leaving() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    ledger.next_request(now);
    ledger.answered("a", Action::Evict, blocked("x"), now, clock(0));
    ledger.update(leaving("a", 1), now);
    assert_eq!((ledger.progress().leaving, ledger.next_due()), (1, None));
}

#[test]
fn a_failed_pod_lets_the_others_finish_and_then_ends_the_drain() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a", "b", "c"], now);
    for _ in 0..3 {
        ledger.next_request(now);
    }
    ledger.answered("a", Action::Evict, Outcome::Failed { message: "more than one budget".into() }, now, clock(0));
    assert!(!ledger.is_hopeless());
    ledger.answered("b", Action::Evict, blocked("x"), now, clock(0));
    ledger.answered("c", Action::Evict, Outcome::Accepted, now, clock(0));
    assert!(!ledger.is_hopeless(), "c has not gone yet");
    ledger.gone("c");
    assert!(ledger.is_hopeless());
    let Remains { moved, blocked, failed, .. } = ledger.remains();
    assert_eq!((moved.len(), blocked.len(), failed[0].pod.name.as_str()), (1, 1, "a"));
}

#[test]
fn blocked_pods_alone_are_never_hopeless() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    ledger.next_request(now);
    ledger.answered("a", Action::Evict, blocked("x"), now, clock(0));
    assert!(!ledger.is_hopeless());
}

#[test]
fn a_pod_missing_from_a_new_list_has_gone_and_an_answer_may_come_after_that() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a", "b"], now);
    ledger.add_staying(facts("d"), StayReason::DaemonSet);
    ledger.next_request(now);
    ledger.reconcile([facts("b")], now);
    ledger.answered("a", Action::Evict, blocked("x"), now, clock(0));
    assert_eq!(ledger.progress().gone, 1);
    assert_eq!(ledger.progress().staying, 0);
    // The watch may still mention pods that are missing from a list: they are not new.
    assert!(ledger.knows("a") && ledger.knows("b") && ledger.knows("d"));
}

#[test]
fn a_pod_whose_kubelet_is_gone_is_skipped_after_the_limit() {
    let now = Instant::now();
    let limit = Duration::from_secs(60);
    let mut ledger = ledger_of(&["a"], now);
    ledger.next_request(now);
    ledger.answered("a", Action::Evict, Outcome::Accepted, now, clock(0));
    ledger.update(leaving("a", 100), now);
    ledger.skip_overdue(limit, clock(160));
    assert!(!ledger.is_empty());
    ledger.skip_overdue(limit, clock(161));
    assert!(ledger.is_empty());
    assert_eq!(ledger.into_drained(Duration::ZERO).stayed[0].reason, StayReason::LongDeleted);
}

fn changed(allowance: Allowance) -> BudgetUpdate {
    BudgetUpdate { namespace: "web".into(), name: "web".into(), allowance, message: None, granted: BTreeSet::new() }
}

/// A ledger in which a budget has blocked all pods.
fn blocked_ledger_of(names: &[&str], now: Instant) -> Ledger {
    let mut ledger = ledger_of(names, now);
    for name in names {
        ledger.next_request(now).unwrap();
        ledger.answered(name, Action::Evict, blocked("x"), now, clock(0));
    }
    ledger
}

fn requested(ledger: &mut Ledger, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| ledger.next_request(now)).map(|request| request.pod.name).collect()
}

#[test]
fn a_changed_budget_wakes_as_many_pods_as_it_allows() {
    let now = Instant::now();
    for (allowance, expected) in
        [(Allowance::Pods(0), &[][..]), (Allowance::Pods(2), &["a", "b"]), (Allowance::Unlimited, &["a", "b", "c"])]
    {
        let mut ledger = blocked_ledger_of(&["a", "b", "c"], now);
        ledger.budget_changed(&changed(allowance), now);
        assert_eq!(requested(&mut ledger, now), expected, "{allowance:?}");
    }
}

#[test]
fn requests_in_flight_count_towards_the_allowance_of_a_budget() {
    let now = Instant::now();
    let mut ledger = blocked_ledger_of(&["a", "b", "c"], now);
    ledger.budget_changed(&changed(Allowance::Pods(1)), now);
    assert_eq!(requested(&mut ledger, now), ["a"]);
    // The budget may have been counted before that request.
    ledger.budget_changed(&changed(Allowance::Pods(1)), now);
    assert_eq!(requested(&mut ledger, now), [""; 0]);
}

#[test]
fn changes_of_other_budgets_wake_no_pod() {
    let now = Instant::now();
    let mut ledger = blocked_ledger_of(&["a"], now);
    ledger.budget_changed(&BudgetUpdate { name: "other".into(), ..changed(Allowance::Pods(9)) }, now);
    ledger.budget_changed(&BudgetUpdate { namespace: "other".into(), ..changed(Allowance::Pods(9)) }, now);
    assert_eq!(requested(&mut ledger, now), [""; 0]);
    assert_eq!(ledger.namespaces_with_blocked(), BTreeSet::from(["web"]));
}

#[test]
fn a_changed_budget_says_why_it_allows_none_now() {
    let now = Instant::now();
    let mut ledger = blocked_ledger_of(&["a"], now);
    ledger.budget_changed(&BudgetUpdate { message: Some("needs 8, has 7".into()), ..changed(Allowance::Pods(0)) }, now);
    let [pod] = &ledger.progress().blocked[..] else { panic!() };
    assert_eq!((pod.message.as_str(), pod.since), ("needs 8, has 7", clock(0)));
}

#[test]
fn while_a_budget_does_not_change_one_pod_tries_for_all() {
    let now = Instant::now();
    let mut ledger = blocked_ledger_of(&["a", "b", "c"], now);
    let later = now + BLOCKED_PAUSE;
    assert_eq!(requested(&mut ledger, later), ["c"], "the one that was refused last");
    ledger.answered("c", Action::Evict, blocked("x"), later, clock(5));
    assert_eq!(requested(&mut ledger, later), [""; 0]);
    assert_eq!(requested(&mut ledger, later + BLOCKED_PAUSE), ["c"]);
}

#[test]
fn a_blocked_pod_whose_readiness_changes_is_tried_again() {
    let now = Instant::now();
    let mut ledger = blocked_ledger_of(&["a"], now);
    ledger.update(PodFacts { ready: false, ..facts("a") }, now);
    assert_eq!(requested(&mut ledger, now), ["a"]);
}

#[test]
fn a_pod_that_must_end_by_itself_is_evicted_once_it_has() {
    let now = Instant::now();
    let mut ledger = Ledger::default();
    ledger.add(facts("a"), 0, Strategy::AwaitCompletion, now);
    assert_eq!(requested(&mut ledger, now), [""; 0]);
    assert_eq!((ledger.progress().finishing, ledger.is_hopeless()), (1, false));
    ledger.update(PodFacts { phase: Phase::Finished, ..facts("a") }, now);
    assert_eq!(requested(&mut ledger, now), ["a"]);
}

#[test]
fn a_later_group_waits_until_the_earlier_one_has_gone() {
    let now = Instant::now();
    let mut ledger = Ledger::default();
    ledger.add(facts("a"), 1, Strategy::Evict, now);
    ledger.add(facts("z"), 0, Strategy::Evict, now);
    assert_eq!(requested(&mut ledger, now), ["z"]);
    assert_eq!(ledger.next_due(), None, "nothing to wake up for");
    ledger.answered("z", Action::Evict, Outcome::Accepted, now, clock(0));
    assert_eq!(requested(&mut ledger, now), [""; 0]);
    ledger.gone("z");
    assert_eq!(requested(&mut ledger, now), ["a"]);
}

#[test]
fn a_pod_that_failed_keeps_later_groups_from_going_and_ends_the_drain() {
    let now = Instant::now();
    let mut ledger = Ledger::default();
    ledger.add(facts("a"), 1, Strategy::Evict, now);
    ledger.add(facts("z"), 0, Strategy::Evict, now);
    ledger.next_request(now);
    ledger.answered("z", Action::Evict, Outcome::Failed { message: "no".into() }, now, clock(0));
    assert!(ledger.is_hopeless());
}

#[test]
fn the_next_try_of_a_blocked_pod_is_reported() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    ledger.next_request(now).unwrap();
    ledger.answered("a", Action::Evict, blocked("x"), now, clock(100));
    assert_eq!(ledger.progress().blocked[0].next_try, clock(105));
}

#[test]
fn a_listed_pod_exists_though_the_server_called_it_gone() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    ledger.next_request(now).unwrap();
    ledger.answered("a", Action::Evict, Outcome::Gone, now, clock(0));
    assert!(ledger.is_empty() && ledger.knows("a"));
    ledger.reconcile([facts("a")], now);
    assert!(!ledger.knows("a"), "so that the filters see it again");
    assert_eq!(ledger.progress().gone, 0);
}

#[test]
fn a_pod_whose_eviction_was_cut_off_does_not_seem_to_lack_healthy_pods() {
    let now = Instant::now();
    let mut ledger = ledger_of(&["a"], now);
    ledger.next_request(now).unwrap();
    ledger.answered("a", Action::Evict, blocked("needs 1, has 1"), now, clock(0));
    let message = |ledger: &Ledger| ledger.progress().blocked[0].message.clone();
    let granted = BTreeSet::from(["a".to_owned()]);
    ledger.budget_changed(&BudgetUpdate { granted, ..changed(Allowance::Pods(0)) }, now);
    assert!(message(&ledger).contains("cut off"), "{}", message(&ledger));
    // Each further try gets the same refusal.
    let again = now + BLOCKED_PAUSE;
    ledger.next_request(again).unwrap();
    ledger.answered("a", Action::Evict, blocked("needs 1, has 1"), again, clock(5));
    assert!(message(&ledger).contains("cut off"));
    ledger.budget_changed(&changed(Allowance::Pods(0)), again);
    assert_eq!(message(&ledger), "needs 1, has 1");
}
