//! All Nodes of the cluster, as far as a roll through many of them must know: how many are in trouble, and which.

use std::collections::BTreeSet;

use super::node::NodeFacts;

/// All Nodes at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// How many there are.
    pub nodes: usize,
    /// The Nodes that are not Ready, by name.
    pub not_ready: BTreeSet<String>,
    /// How many are cordoned, by whomever.
    pub cordoned: usize,
}

impl Census {
    /// Counts one Node.
    pub fn count(&mut self, name: &str, is_ready: bool, is_cordoned: bool) {
        self.nodes += 1;
        self.cordoned += usize::from(is_cordoned);
        if !is_ready {
            self.not_ready.insert(name.to_owned());
        }
    }

    /// Counts these Nodes.
    pub fn of<'a>(nodes: impl IntoIterator<Item = &'a NodeFacts>) -> Self {
        let mut census = Self::default();
        nodes.into_iter().for_each(|node| census.count(&node.name, node.is_ready(), node.unschedulable));
        census
    }

    fn others(&self, but: &str) -> impl Iterator<Item = &String> {
        self.not_ready.iter().filter(move |name| *name != but)
    }
}

/// All Nodes when the command began, and now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    pub before: Census,
    pub now: Census,
}

/// That more Nodes are not Ready than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worse {
    /// How many were not Ready before.
    pub before: usize,
    /// How many are not Ready now.
    pub now: usize,
    /// The Nodes that were Ready before and are not now, by name.
    pub lost: Vec<String>,
}

impl Fleet {
    /// Whether more Nodes are not Ready than when the command began. `machine` is the Node whose turn it is; it is not counted.
    pub fn worse_besides(&self, machine: &str) -> Option<Worse> {
        let (before, now) = (self.before.others(machine).count(), self.now.others(machine).count());
        let lost = self.now.others(machine).filter(|name| !self.before.not_ready.contains(*name));
        (now > before).then(|| Worse { before, now, lost: lost.cloned().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(not_ready: &[&str]) -> Census {
        let not_ready = not_ready.iter().map(|&name| name.to_owned()).collect();
        Census { nodes: 9, not_ready, cordoned: 0 }
    }

    #[test]
    fn a_fleet_is_worse_when_more_nodes_than_before_are_not_ready_besides_the_one_whose_turn_it_is() {
        for (before, now, expected) in [
            (&[][..], &[][..], None),
            (&["w1", "w2"], &["w2"], None),
            // As many as before: one came back, another one went.
            (&["w1"], &["w2"], None),
            (&[], &["w9"], None),
            (&["w1"], &["w1", "w9"], None),
            (&["w1"], &["w1", "w3"], Some((1, 2, &["w3"][..]))),
            (&[], &["w3", "w4", "w9"], Some((0, 2, &["w3", "w4"][..]))),
        ] {
            let fleet = Fleet { before: census(before), now: census(now) };
            let expected = expected.map(|(before, now, lost)| {
                let lost = lost.iter().map(|&name| name.to_owned()).collect();
                Worse { before, now, lost }
            });
            assert_eq!(fleet.worse_besides("w9"), expected, "{before:?} → {now:?}");
        }
    }
}
