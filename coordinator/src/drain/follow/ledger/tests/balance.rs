//! Whatever the server answers and the watch shows, in whatever order.

use std::collections::BTreeSet;

use proptest::{collection, prop_assert, prop_assert_eq, proptest};

use super::*;

fn answer(event: u8) -> Option<Outcome> {
    match event {
        0 => Some(Outcome::Accepted),
        1 => Some(blocked("x")),
        2 => Some(retry(1)),
        3 => Some(Outcome::Gone),
        4 => Some(Outcome::NamespaceTerminating),
        5 => Some(Outcome::Failed { message: "no".into() }),
        6 => Some(Outcome::Denied { webhook: "keep".into(), message: "denied".into() }),
        7 => Some(Outcome::Replacing { deployment: "web".into() }),
        _ => None,
    }
}

proptest! {
    /// The ledger loses no pod and never has two requests for one pod in flight. What it calls moved was seen to go, once. No pod is
    /// deleted past its budget unless the operator asked, and then only one that a budget refused for as long as that.
    #[test]
    fn the_ledger_always_balances(
        events in collection::vec((0..4_usize, 0..11_u8), 0..120), delete_after in proptest::option::of(1..10_u64),
    ) {
        let names = ["a", "b", "c", "d"];
        let delete_after = delete_after.map(Duration::from_secs);
        let mut now = Instant::now();
        let mut ledger = Ledger::escalating(Escalation { delete_after, ..Escalation::default() });
        names.iter().for_each(|name| ledger.add(facts(name), 0, Strategy::Evict, now));
        let mut in_flight: BTreeMap<&str, Action> = BTreeMap::new();
        let (mut gone, mut refused_since) = (BTreeSet::new(), BTreeMap::new());
        for (pod, event) in events {
            let name = names[pod];
            now += Duration::from_millis(300);
            match answer(event) {
                Some(outcome) => {
                    let Some(action) = in_flight.remove(name) else { continue };
                    match &outcome {
                        Outcome::Gone => drop(gone.insert(name)),
                        Outcome::Blocked { .. } => drop(refused_since.entry(name).or_insert(now)),
                        Outcome::Retry { .. } | Outcome::NamespaceTerminating => {}
                        Outcome::Denied { .. } => {}
                        _ => drop(refused_since.remove(name)),
                    }
                    ledger.answered(name, action, outcome, now, clock(0));
                }
                None if event == 8 => {
                    ledger.gone(name);
                    gone.insert(name);
                }
                None if event == 9 && ledger.knows(name) => ledger.update(leaving(name, 1), now),
                None => {
                    if let Some(request) = ledger.next_request(now) {
                        let name = *names.iter().find(|name| **name == request.pod.name).unwrap();
                        prop_assert!(!gone.contains(name), "{name} has gone");
                        prop_assert!(in_flight.insert(name, request.action).is_none(), "{name} is in flight already");
                        if request.action != Action::Evict {
                            let refused = refused_since.get(name).map(|since| now - *since);
                            prop_assert!(delete_after.is_some() && refused >= delete_after, "{refused:?}");
                        }
                    }
                }
            }
            let progress = ledger.progress();
            let Remains { moved, leaving, blocked, failed, waiting, replacing, .. } = ledger.remains();
            prop_assert_eq!(progress.total, names.len());
            let left = leaving.len() + blocked.len() + failed.len() + waiting.len() + replacing.len();
            prop_assert_eq!(moved.len() + left, names.len());
            prop_assert_eq!(ledger.is_empty(), moved.len() == names.len());
            prop_assert_eq!(moved.iter().map(|moved| moved.pod.name.as_str()).collect::<BTreeSet<_>>(), gone.clone());
            // Whatever is left is tried again, awaited, or was given up: nothing is forgotten.
            if !ledger.is_empty() && in_flight.is_empty() {
                let is_awaited = !leaving.is_empty() || !replacing.is_empty() || ledger.is_hopeless();
                prop_assert!(is_awaited || ledger.next_due().is_some(), "{:?}", ledger);
            }
        }
    }
}
