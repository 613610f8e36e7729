//! The scheduler's hard rules about pods and other pods: required affinity, required anti-affinity, spread constraints that
//! forbid. All count pods by domain (a Node, a zone, …), and differ in what the count must be.

use std::sync::Arc;

/// What must hold where a pod goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// The domain has none of the counted pods.
    Apart,
    /// The domain has one of them at least.
    Near,
    /// The domain with the fewest counted pods has at most `max_skew` fewer than this one.
    Spread {
        max_skew: u64,
        /// With fewer domains than this the fewest count as none.
        min_domains: usize,
    },
}

/// A law, and how many pods each domain has that count for it.
#[derive(Debug, Clone)]
pub struct Rule {
    law: Law,
    /// The domain of each place; None if it is in none, because it lacks the label or the rule does not look at it.
    domains: Arc<[Option<usize>]>,
    counts: Vec<u64>,
}

impl Rule {
    /// `domains` has an entry for each place, `counts` one for each domain, those without a place here included.
    pub fn new(law: Law, domains: Arc<[Option<usize>]>, counts: Vec<u64>) -> Self {
        Self { law, domains, counts }
    }

    fn domain(&self, place: usize) -> Option<usize> {
        self.domains.get(place).copied().flatten()
    }

    /// Whether a pod may go from one place to another. `counts_itself` says whether the rule counts this pod.
    pub(super) fn allows(&self, counts_itself: bool, from: usize, to: usize) -> bool {
        let Some(domain) = self.domain(to) else {
            // Without the label of the topology nothing is near, nothing is apart, and nothing may be spread.
            return self.law == Law::Apart;
        };
        let left = self.domain(from).filter(|_| counts_itself);
        // When the successor is scheduled, its predecessor does not count any more.
        let count = |at: usize| self.counts[at] - u64::from(left == Some(at) && self.counts[at] > 0);
        match self.law {
            Law::Apart => count(domain) == 0,
            Law::Near => count(domain) > 0,
            Law::Spread { max_skew, min_domains } => {
                let fewest = match self.counts.len() < min_domains {
                    true => 0,
                    false => (0..self.counts.len()).map(count).min().unwrap_or_default(),
                };
                count(domain) + u64::from(counts_itself) <= fewest + max_skew
            }
        }
    }

    /// A pod that it counts has left one place for another.
    pub(super) fn recount(&mut self, from: Option<usize>, to: Option<usize>) {
        if let Some(left) = from.and_then(|from| self.domain(from)) {
            self.counts[left] = self.counts[left].saturating_sub(1);
        }
        if let Some(entered) = to.and_then(|to| self.domain(to)) {
            self.counts[entered] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three places in the zones 0, 0 and 1, a fourth in none; places 0, 1 and 2 hold so many pods.
    fn rule(law: Law, zones: [u64; 2]) -> Rule {
        Rule::new(law, [Some(0), Some(0), Some(1), None].into(), zones.to_vec())
    }

    #[test]
    fn each_law_looks_at_the_domain_that_a_pod_would_enter() {
        const SPREAD: Law = Law::Spread { max_skew: 1, min_domains: 0 };
        for (law, zones, itself, from, to, expected) in [
            (Law::Apart, [1, 0], true, 0, 2, true),
            (Law::Apart, [1, 1], true, 0, 2, false),
            // Within its domain only the pod itself is in the way, and it goes.
            (Law::Apart, [1, 0], true, 0, 1, true),
            (Law::Apart, [1, 0], false, 0, 1, false),
            (Law::Apart, [1, 1], true, 0, 3, true),
            (Law::Near, [1, 1], true, 0, 2, true),
            (Law::Near, [2, 0], true, 0, 2, false),
            (Law::Near, [1, 0], true, 0, 1, false),
            (Law::Near, [1, 1], true, 0, 3, false),
            (SPREAD, [2, 1], true, 0, 2, true),
            (SPREAD, [1, 1], true, 0, 2, false),
            (SPREAD, [1, 1], true, 0, 1, true),
            (SPREAD, [1, 2], false, 0, 2, true),
            (SPREAD, [2, 0], true, 0, 3, false),
            (Law::Spread { max_skew: 2, min_domains: 0 }, [1, 1], true, 0, 2, true),
            (Law::Spread { max_skew: 1, min_domains: 3 }, [4, 1], true, 0, 2, false),
        ] {
            assert_eq!(rule(law, zones).allows(itself, from, to), expected, "{law:?} {zones:?} {itself} {from} → {to}");
        }
    }

    #[test]
    fn a_move_is_counted_where_it_leaves_and_where_it_arrives() {
        let mut rule = rule(Law::Apart, [1, 0]);
        rule.recount(Some(0), Some(2));
        assert_eq!(rule.counts, [0, 1]);
        rule.recount(Some(2), None);
        assert_eq!(rule.counts, [0, 0]);
    }
}
