//! Many histories side by side, each on a thread for itself, and what they found.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{
    check::{Rule, Violation},
    history::{History, Played},
};

/// What a crowd of histories came to.
#[derive(Debug, Default)]
pub struct Found {
    /// How many there were.
    pub histories: usize,
    /// In how many of them each promise was broken.
    pub broken: BTreeMap<Rule, usize>,
    /// The histories in which one was, in their order.
    pub cases: Vec<(History, Vec<Violation>)>,
}

impl Found {
    /// The cases of these rules in words, the first few of each, for a failing test.
    pub fn of(&self, is_wanted: impl Fn(Rule) -> bool) -> String {
        let mut text = format!("{} histories: {:?}\n", self.histories, self.broken);
        let mut told: BTreeMap<Rule, usize> = BTreeMap::new();
        for (history, violations) in &self.cases {
            for violation in violations.iter().filter(|violation| is_wanted(violation.rule)) {
                let count = told.entry(violation.rule).or_default();
                *count += 1;
                if *count <= 4 {
                    let _ = writeln!(text, "{violation}\n    {history:?}");
                }
            }
        }
        text
    }
}

/// Plays all of them, as many at a time as there are processors.
pub fn play(histories: &[History]) -> Found {
    let next = AtomicUsize::new(0);
    let played = Mutex::new(BTreeMap::new());
    let workers = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(history) = histories.get(at) else { break };
                    let violations = violations(history);
                    played.lock().unwrap_or_else(PoisonError::into_inner).insert(at, violations);
                }
            });
        }
    });
    let mut found = Found { histories: histories.len(), ..Found::default() };
    for (at, violations) in played.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let mut rules: Vec<_> = violations.iter().map(|violation| violation.rule).collect();
        rules.dedup();
        for rule in rules {
            *found.broken.entry(rule).or_default() += 1;
        }
        if !violations.is_empty() {
            found.cases.push((histories[at].clone(), violations));
        }
    }
    found
}

fn violations(history: &History) -> Vec<Violation> {
    match catch_unwind(AssertUnwindSafe(|| history.play())) {
        Ok(Played { violations, .. }) => violations,
        Err(panic) => {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            vec![Violation { rule: Rule::Panics, what: what.unwrap_or_default() }]
        }
    }
}
