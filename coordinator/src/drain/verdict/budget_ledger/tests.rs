use serde_json::{Value, json};

use super::*;
use crate::drain::select::{self, Phase, replica_set};

fn pod(name: &str) -> PodFacts {
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    PodFacts { owner: Some(replica_set("r")), labels, ..select::pod(name) }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap()
}

/// A budget with this count: allowed, healthy, needed, expected.
fn budget(name: &str, count: [i32; 4], spec: Value) -> PodDisruptionBudget {
    let [allowed, healthy, desired, expected] = count;
    let mut budget = json!({
        "metadata": {"namespace": "web", "name": name, "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "status": {"disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired,
                   "expectedPods": expected, "observedGeneration": 1},
    });
    for (key, value) in spec.as_object().unwrap() {
        budget["spec"][key] = value.clone();
    }
    serde_json::from_value(budget).unwrap()
}

fn verdicts(budgets: &[PodDisruptionBudget], pods: &[PodFacts]) -> Vec<Verdict> {
    let mut ledger = BudgetLedger::of(budgets, now());
    pods.iter().map(|pod| ledger.verdict(pod, None)).collect()
}

fn because(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Never { because, .. } => because,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_allowance_of_a_budget_is_used_once() {
    let budgets = [budget("web", [2, 10, 8, 10], json!({"minAvailable": 8}))];
    let found = verdicts(&budgets, &[pod("a"), pod("b"), pod("c")]);
    assert_eq!(found[..2], [Verdict::Now, Verdict::Now]);
    assert_eq!(found[2], Verdict::Wait { budget: "web".into(), needs: 8, has: 10 });
}

#[test]
fn a_budget_that_can_never_allow_one_differs_from_one_that_makes_wait() {
    for (count, spec, expected) in [
        ([0, 1, 1, 1], json!({"minAvailable": 1}), Some("budget web/pg allows none: minAvailable 1, replicas 1")),
        ([0, 3, 3, 3], json!({"maxUnavailable": 0}), Some("budget web/pg allows none: maxUnavailable 0, replicas 3")),
        (
            [0, 3, 3, 3],
            json!({"minAvailable": "100%"}),
            Some("budget web/pg allows none: minAvailable 100%, replicas 3"),
        ),
        ([0, 8, 8, 10], json!({"minAvailable": 8}), None),
        ([0, 7, 8, 10], json!({"minAvailable": 8}), None),
    ] {
        let found = &verdicts(&[budget("pg", count, spec)], &[pod("a")])[0];
        match expected {
            Some(reason) => assert_eq!(because(found), reason),
            None => assert!(matches!(found, Verdict::Wait { .. }), "{count:?} {found:?}"),
        }
    }
}

#[test]
fn two_budgets_on_one_pod_forbid_it_for_good() {
    let budgets = [budget("a", [1, 2, 1, 2], json!({})), budget("b", [1, 2, 1, 2], json!({}))];
    let found = &verdicts(&budgets, &[pod("a")])[0];
    assert_eq!(because(found), "the budgets a and b all apply to it, and the server evicts no such pod");
}

#[test]
fn pods_that_are_not_ready_go_by_their_own_rule() {
    let unready = PodFacts { ready: false, ..pod("a") };
    let always = json!({"unhealthyPodEvictionPolicy": "AlwaysAllow"});
    for (count, spec, goes) in [
        ([0, 7, 8, 10], always.clone(), true),
        ([0, 1, 1, 1], always, true),
        ([0, 8, 8, 10], json!({}), true),
        ([0, 7, 8, 10], json!({}), false),
    ] {
        let found = &verdicts(&[budget("web", count, spec)], std::slice::from_ref(&unready))[0];
        assert_eq!(*found == Verdict::Now, goes, "{count:?} {found:?}");
    }
}

#[test]
fn pods_that_do_not_count_go_whatever_their_budgets_say() {
    let budgets = [budget("web", [0, 1, 1, 1], json!({}))];
    for phase in [Phase::Pending, Phase::Finished] {
        assert_eq!(verdicts(&budgets, &[PodFacts { phase, ..pod("a") }]), [Verdict::Now]);
    }
}

fn homeless(lasts: bool) -> Homeless {
    Homeless { why: "no other node takes it".into(), lasts }
}

#[test]
fn a_budget_waits_for_room_on_other_nodes_as_for_anything_else_that_passes() {
    let budgets = [budget("web", [0, 8, 8, 10], json!({}))];
    let found = BudgetLedger::of(&budgets, now()).verdict(&pod("a"), Some(&homeless(false)));
    assert_eq!(found, Verdict::Wait { budget: "web".into(), needs: 8, has: 8 });
}

#[test]
fn a_budget_can_be_without_as_many_pods_for_good_as_it_need_not_have_and_waits_in_vain_for_the_next() {
    for (count, go) in [([2, 10, 8, 10], 2), ([0, 8, 8, 10], 2), ([1, 2, 1, 2], 1), ([1, 9, 8, 10], 2)] {
        let budgets = [budget("web", count, json!({}))];
        let mut ledger = BudgetLedger::of(&budgets, now());
        let found: Vec<_> = ["a", "b", "c"].map(|name| ledger.verdict(&pod(name), Some(&homeless(true)))).into();
        let never: Vec<_> = found.iter().map(Verdict::is_never).collect();
        assert_eq!(never, [0, 1, 2].map(|earlier| earlier >= go), "{count:?}: {found:?}");
        assert_eq!(because(&found[2]), "budget web/web waits for a successor, and no other node takes it");
    }
}

#[test]
fn pods_whose_successors_have_a_place_wait_for_a_budget_that_others_have_used_up() {
    let budgets = [budget("web", [1, 2, 1, 2], json!({}))];
    let mut ledger = BudgetLedger::of(&budgets, now());
    assert_eq!(ledger.verdict(&pod("a"), None), Verdict::Now);
    let found = ledger.verdict(&pod("b"), Some(&homeless(true)));
    assert!(matches!(found, Verdict::Wait { .. }), "the other one's successor makes room: {found:?}");
}

#[test]
fn a_pod_that_comes_back_is_named_with_the_label_that_leaves_it_alone() {
    let Verdict::Never { because, unblock, foresees_the_server } = comes_back(&pod("a"), "w1") else { panic!() };
    assert_eq!(because, "comes back to w1: it tolerates the cordon, and no other node takes it");
    assert!(unblock.starts_with("--skip-pods app=web leaves it alone"), "{unblock}");
    assert!(!foresees_the_server, "the server would evict it");
}

#[test]
fn a_budget_that_is_not_counted_yet_makes_wait() {
    let mut stale = budget("web", [0, 1, 1, 1], json!({}));
    stale.metadata.generation = Some(2);
    assert!(matches!(verdicts(&[stale], &[pod("a")])[0], Verdict::Wait { .. }));
}

#[test]
fn a_pod_that_is_unready_for_a_moment_may_become_ready_yet() {
    let budgets = [budget("web", [0, 7, 8, 10], json!({}))];
    for (minutes, waits) in [(1, true), (5, false), (60, false)] {
        let changed = now() - SignedDuration::from_mins(minutes);
        let unready = PodFacts { ready: false, ready_changed: Some(changed), ..pod("a") };
        let found = &verdicts(&budgets, &[unready])[0];
        assert_eq!(matches!(found, Verdict::Wait { .. }), waits, "{minutes} minutes: {found:?}");
    }
}
