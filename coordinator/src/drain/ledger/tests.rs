mod ways;

use proptest::prelude::*;

use super::*;
use crate::drain::{Remains, fixtures::pod as facts, pods::Deletion};

fn leaving(name: &str, asked: i64) -> PodFacts {
    let asked = clock(asked);
    PodFacts { deletion: Some(Deletion { asked, due: asked }), ..facts(name) }
}

fn clock(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn blocked(message: &str) -> Outcome {
    Outcome::Blocked { budget: Some("web".into()), message: message.into(), retry_after: Duration::ZERO }
}

fn later(seconds: u64) -> Outcome {
    Outcome::Later { message: "busy".into(), retry_after: Duration::from_secs(seconds) }
}

fn books(names: &[&str], now: Instant) -> Ledger {
    let mut ledger = Ledger::default();
    names.iter().for_each(|name| ledger.take(facts(name), 0, Way::Evict, now));
    ledger
}

fn after(ledger: &Ledger, now: Instant) -> Option<Duration> {
    ledger.next_due().map(|due| due - now)
}

#[test]
fn a_pod_is_called_told_to_go_and_gone() {
    let now = Instant::now();
    let mut ledger = books(&["a"], now);
    assert_eq!(ledger.next_call(now).unwrap().pod.name, "a");
    assert_eq!(ledger.next_call(now), None);
    ledger.answered("a", Ask::Evict, Outcome::Accepted, now, clock(0));
    assert_eq!(ledger.progress().leaving, 1);
    ledger.seen(leaving("a", 7), now);
    ledger.gone("a");
    assert!(ledger.is_empty());
    assert_eq!(ledger.progress().gone, 1);
    assert_eq!(ledger.close(Duration::ZERO).moved[0].asked, Some(clock(7)));
}

#[test]
fn the_first_request_to_go_counts_though_the_kubelet_asks_again_at_the_end() {
    let now = Instant::now();
    let mut ledger = books(&["a"], now);
    ledger.seen(leaving("a", 7), now);
    ledger.seen(leaving("a", 37), now);
    ledger.gone("a");
    assert_eq!(ledger.close(Duration::ZERO).moved[0].asked, Some(clock(7)));
}

#[test]
fn a_blocked_pod_is_tried_now_and_then_and_blocked_since_the_first_refusal() {
    let now = Instant::now();
    let mut ledger = books(&["a"], now);
    for (second, words) in [(10, "needs 8, has 8"), (11, "needs 8, has 7")] {
        ledger.next_call(now + BLOCKED_PAUSE).unwrap();
        ledger.answered("a", Ask::Evict, blocked(words), now, clock(second));
        assert_eq!(after(&ledger, now), Some(BLOCKED_PAUSE));
        assert_eq!(ledger.next_call(now), None);
        let [pod] = &ledger.progress().blocked[..] else { panic!() };
        assert_eq!((pod.message.as_str(), pod.since, pod.budget.as_deref()), (words, clock(10), Some("web")));
    }
    // It stays blocked while it is asked again.
    ledger.next_call(now + BLOCKED_PAUSE).unwrap();
    assert_eq!(ledger.progress().blocked.len(), 1);
    ledger.answered("a", Ask::Evict, Outcome::Accepted, now, clock(12));
    assert_eq!(ledger.progress().blocked, []);
}

#[test]
fn a_server_that_names_a_time_is_asked_after_it() {
    let now = Instant::now();
    let mut ledger = books(&["a"], now);
    ledger.next_call(now);
    ledger.answered("a", Ask::Evict, later(10), now, clock(0));
    assert_eq!(after(&ledger, now), Some(Duration::from_secs(10)));
    assert_eq!(ledger.progress().trouble.as_deref(), Some("busy"));
}

#[test]
fn pauses_grow_while_nobody_answers_and_begin_anew_after_an_answer() {
    let now = Instant::now();
    let mut ledger = books(&["a"], now);
    let mut ask = |outcome| {
        ledger.next_call(now + Duration::from_secs(3600)).unwrap();
        ledger.answered("a", Ask::Evict, outcome, now, clock(0));
        ledger.next_due().unwrap() - now
    };
    let milliseconds = Duration::from_millis;
    assert_eq!([ask(later(0)), ask(later(0)), ask(later(0)), ask(later(0))], [500, 1000, 2000, 4000].map(milliseconds));
    assert_eq!(ask(later(0)), LONGEST_PAUSE);
    assert_eq!(ask(blocked("x")), BLOCKED_PAUSE);
    assert_eq!(ask(later(0)), FIRST_PAUSE);
}

#[test]
fn a_pod_in_a_namespace_that_ends_is_waited_for_once_it_is_told_to_go() {
    let now = Instant::now();
    let mut ledger = books(&["a"], now);
    ledger.next_call(now);
    ledger.answered("a", Ask::Evict, Outcome::NamespaceTerminating, now, clock(0));
    assert_eq!(after(&ledger, now), Some(TERMINATING_PAUSE));
    ledger.seen(leaving("a", 1), now);
    ledger.next_call(now + TERMINATING_PAUSE);
    ledger.answered("a", Ask::Evict, Outcome::NamespaceTerminating, now, clock(0));
    assert_eq!((after(&ledger, now), ledger.progress().leaving), (None, 1));
}

#[test]
fn a_blocked_pod_that_somebody_else_deletes_is_leaving() {
    let now = Instant::now();
    let mut ledger = books(&["a"], now);
    ledger.next_call(now);
    ledger.answered("a", Ask::Evict, blocked("x"), now, clock(0));
    ledger.seen(leaving("a", 1), now);
    assert_eq!((ledger.progress().leaving, ledger.next_due()), (1, None));
}

#[test]
fn a_failed_pod_lets_the_others_finish_and_then_ends_the_drain() {
    let now = Instant::now();
    let mut ledger = books(&["a", "b", "c"], now);
    for _ in 0..3 {
        ledger.next_call(now);
    }
    ledger.answered("a", Ask::Evict, Outcome::Failed { message: "more than one budget".into() }, now, clock(0));
    assert!(!ledger.is_hopeless());
    ledger.answered("b", Ask::Evict, blocked("x"), now, clock(0));
    ledger.answered("c", Ask::Evict, Outcome::Accepted, now, clock(0));
    assert!(!ledger.is_hopeless(), "c has not gone yet");
    ledger.gone("c");
    assert!(ledger.is_hopeless());
    let Remains { moved, blocked, failed, .. } = ledger.remains();
    assert_eq!((moved.len(), blocked.len(), failed[0].pod.name.as_str()), (1, 1, "a"));
}

#[test]
fn blocked_pods_alone_are_never_hopeless() {
    let now = Instant::now();
    let mut ledger = books(&["a"], now);
    ledger.next_call(now);
    ledger.answered("a", Ask::Evict, blocked("x"), now, clock(0));
    assert!(!ledger.is_hopeless());
}

#[test]
fn what_a_new_list_lacks_has_gone_and_an_answer_may_come_after_the_end() {
    let now = Instant::now();
    let mut ledger = books(&["a", "b"], now);
    ledger.leave_alone(facts("d"), StayReason::DaemonSet);
    ledger.next_call(now);
    ledger.reconcile([facts("b")], now);
    ledger.answered("a", Ask::Evict, blocked("x"), now, clock(0));
    assert_eq!(ledger.progress().gone, 1);
    assert_eq!(ledger.progress().staying, 0);
    // The watch may still speak of pods that a list has missed: they are not new.
    assert!(ledger.knows("a") && ledger.knows("b") && ledger.knows("d"));
}

#[test]
fn a_pod_whose_kubelet_is_gone_is_waited_for_only_so_long() {
    let now = Instant::now();
    let limit = Duration::from_secs(60);
    let mut ledger = books(&["a"], now);
    ledger.next_call(now);
    ledger.answered("a", Ask::Evict, Outcome::Accepted, now, clock(0));
    ledger.seen(leaving("a", 100), now);
    ledger.skip_overdue(limit, clock(160));
    assert!(!ledger.is_empty());
    ledger.skip_overdue(limit, clock(161));
    assert!(ledger.is_empty());
    assert_eq!(ledger.close(Duration::ZERO).stayed[0].reason, StayReason::LongDeleted);
}

proptest! {
    /// Whatever the server answers and the watch shows, in whatever order: no pod is lost from the books, none is called
    /// twice at a time, and those that can go are in the end all called.
    #[test]
    fn the_books_always_balance(events in prop::collection::vec((0..4_usize, 0..9_u8), 0..80)) {
        let names = ["a", "b", "c", "d"];
        let start = Instant::now();
        let mut now = start;
        let mut ledger = books(&names, now);
        let mut calling = std::collections::BTreeSet::new();
        for (pod, event) in events {
            let name = names[pod];
            now += Duration::from_millis(300);
            let answer = match event {
                0 => Some(Outcome::Accepted),
                1 => Some(blocked("x")),
                2 => Some(later(1)),
                3 => Some(Outcome::Gone),
                4 => Some(Outcome::NamespaceTerminating),
                5 => Some(Outcome::Failed { message: "no".into() }),
                _ => None,
            };
            match answer {
                Some(outcome) if calling.remove(name) => ledger.answered(name, Ask::Evict, outcome, now, clock(0)),
                Some(_) => {}
                None if event == 6 => ledger.gone(name),
                None if event == 7 && ledger.knows(name) => ledger.seen(leaving(name, 1), now),
                None => {
                    if let Some(called) = ledger.next_call(now) {
                        prop_assert!(calling.insert(names[names.iter().position(|name| *name == called.pod.name).unwrap()]));
                    }
                }
            }
            let progress = ledger.progress();
            let Remains { moved, leaving, blocked, failed, waiting, .. } = ledger.remains();
            prop_assert_eq!(progress.total, names.len());
            prop_assert_eq!(moved.len() + leaving.len() + blocked.len() + failed.len() + waiting.len(), names.len());
            prop_assert_eq!(ledger.is_empty(), moved.len() == names.len());
        }
    }
}

fn news(room: Room) -> BudgetNews {
    BudgetNews { namespace: "web".into(), name: "web".into(), room, words: None, granted: BTreeSet::new() }
}

/// Books in which a budget has refused all pods.
fn refused_books(names: &[&str], now: Instant) -> Ledger {
    let mut ledger = books(names, now);
    for name in names {
        ledger.next_call(now).unwrap();
        ledger.answered(name, Ask::Evict, blocked("x"), now, clock(0));
    }
    ledger
}

fn called(ledger: &mut Ledger, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| ledger.next_call(now)).map(|call| call.pod.name).collect()
}

#[test]
fn news_of_a_budget_wake_as_many_pods_as_it_has_room_for() {
    let now = Instant::now();
    for (room, expected) in [(Room::For(0), &[][..]), (Room::For(2), &["a", "b"]), (Room::Unbounded, &["a", "b", "c"])]
    {
        let mut ledger = refused_books(&["a", "b", "c"], now);
        ledger.heard(&news(room), now);
        assert_eq!(called(&mut ledger, now), expected, "{room:?}");
    }
}

#[test]
fn calls_in_flight_take_the_room_that_a_budget_has() {
    let now = Instant::now();
    let mut ledger = refused_books(&["a", "b", "c"], now);
    ledger.heard(&news(Room::For(1)), now);
    assert_eq!(called(&mut ledger, now), ["a"]);
    // The count may have been made before that call.
    ledger.heard(&news(Room::For(1)), now);
    assert_eq!(called(&mut ledger, now), [""; 0]);
}

#[test]
fn news_of_other_budgets_wake_nobody() {
    let now = Instant::now();
    let mut ledger = refused_books(&["a"], now);
    ledger.heard(&BudgetNews { name: "other".into(), ..news(Room::For(9)) }, now);
    ledger.heard(&BudgetNews { namespace: "other".into(), ..news(Room::For(9)) }, now);
    assert_eq!(called(&mut ledger, now), [""; 0]);
    assert_eq!(ledger.namespaces_with_blocked(), BTreeSet::from(["web"]));
}

#[test]
fn news_say_why_there_is_no_room_now() {
    let now = Instant::now();
    let mut ledger = refused_books(&["a"], now);
    ledger.heard(&BudgetNews { words: Some("needs 8, has 7".into()), ..news(Room::For(0)) }, now);
    let [pod] = &ledger.progress().blocked[..] else { panic!() };
    assert_eq!((pod.message.as_str(), pod.since), ("needs 8, has 7", clock(0)));
}

#[test]
fn without_news_one_pod_of_a_budget_asks_for_all() {
    let now = Instant::now();
    let mut ledger = refused_books(&["a", "b", "c"], now);
    let later = now + BLOCKED_PAUSE;
    assert_eq!(called(&mut ledger, later), ["c"], "the one that was refused last");
    ledger.answered("c", Ask::Evict, blocked("x"), later, clock(5));
    assert_eq!(called(&mut ledger, later), [""; 0]);
    assert_eq!(called(&mut ledger, later + BLOCKED_PAUSE), ["c"]);
}

#[test]
fn a_blocked_pod_whose_readiness_changes_asks_again() {
    let now = Instant::now();
    let mut ledger = refused_books(&["a"], now);
    ledger.seen(PodFacts { ready: false, ..facts("a") }, now);
    assert_eq!(called(&mut ledger, now), ["a"]);
}

#[test]
fn a_pod_that_is_to_end_by_itself_is_evicted_once_it_has() {
    let now = Instant::now();
    let mut ledger = Ledger::default();
    ledger.take(facts("a"), 0, Way::Finish, now);
    assert_eq!(called(&mut ledger, now), [""; 0]);
    assert_eq!((ledger.progress().finishing, ledger.is_hopeless()), (1, false));
    ledger.seen(PodFacts { phase: Phase::Finished, ..facts("a") }, now);
    assert_eq!(called(&mut ledger, now), ["a"]);
}

#[test]
fn a_later_group_waits_until_the_earlier_one_has_gone() {
    let now = Instant::now();
    let mut ledger = Ledger::default();
    ledger.take(facts("a"), 1, Way::Evict, now);
    ledger.take(facts("z"), 0, Way::Evict, now);
    assert_eq!(called(&mut ledger, now), ["z"]);
    assert_eq!(ledger.next_due(), None, "nothing to wake up for");
    ledger.answered("z", Ask::Evict, Outcome::Accepted, now, clock(0));
    assert_eq!(called(&mut ledger, now), [""; 0]);
    ledger.gone("z");
    assert_eq!(called(&mut ledger, now), ["a"]);
}

#[test]
fn a_pod_that_failed_keeps_later_groups_from_going_and_ends_the_drain() {
    let now = Instant::now();
    let mut ledger = Ledger::default();
    ledger.take(facts("a"), 1, Way::Evict, now);
    ledger.take(facts("z"), 0, Way::Evict, now);
    ledger.next_call(now);
    ledger.answered("z", Ask::Evict, Outcome::Failed { message: "no".into() }, now, clock(0));
    assert!(ledger.is_hopeless());
}

#[test]
fn when_a_blocked_pod_is_asked_about_again_is_told_as_data() {
    let now = Instant::now();
    let mut ledger = books(&["a"], now);
    ledger.next_call(now).unwrap();
    ledger.answered("a", Ask::Evict, blocked("x"), now, clock(100));
    assert_eq!(ledger.progress().blocked[0].next_try, clock(105));
}

#[test]
fn a_pod_that_a_list_shows_is_there_though_it_was_called_gone() {
    let now = Instant::now();
    let mut ledger = books(&["a"], now);
    ledger.next_call(now).unwrap();
    ledger.answered("a", Ask::Evict, Outcome::Gone, now, clock(0));
    assert!(ledger.is_empty() && ledger.knows("a"));
    ledger.reconcile([facts("a")], now);
    assert!(!ledger.knows("a"), "so that it is decided about anew");
    assert_eq!(ledger.progress().gone, 0);
}

#[test]
fn a_pod_whose_eviction_was_cut_off_is_not_said_to_lack_healthy_pods() {
    let now = Instant::now();
    let mut ledger = books(&["a"], now);
    ledger.next_call(now).unwrap();
    ledger.answered("a", Ask::Evict, blocked("needs 1, has 1"), now, clock(0));
    let said = |ledger: &Ledger| ledger.progress().blocked[0].message.clone();
    let granted = BTreeSet::from(["a".to_owned()]);
    ledger.heard(&BudgetNews { granted, ..news(Room::For(0)) }, now);
    assert!(said(&ledger).contains("cut off"), "{}", said(&ledger));
    // Each try is refused in the same words meanwhile.
    let again = now + BLOCKED_PAUSE;
    ledger.next_call(again).unwrap();
    ledger.answered("a", Ask::Evict, blocked("needs 1, has 1"), again, clock(5));
    assert!(said(&ledger).contains("cut off"));
    ledger.heard(&news(Room::For(0)), again);
    assert_eq!(said(&ledger), "needs 1, has 1");
}
