//! Circles in a graph of files.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Module;

/// The groups of files that use one another in a circle. A file and the folder of its name are one subject: what passes
/// between them does not count.
pub(crate) fn circles(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<String>> {
    let reach: BTreeMap<&Module, BTreeSet<&Module>> = edges.keys().map(|from| (from, reached(from, edges))).collect();
    let mut circles = BTreeSet::new();
    for from in edges.keys() {
        let mutual = |to: &&Module| reach[*to].contains(from);
        let circle: BTreeSet<String> = reach[from]
            .iter()
            .copied()
            .filter(|to| reach.contains_key(to))
            .filter(mutual)
            .map(|it| it.join("::"))
            .collect();
        if circle.len() > 1 {
            circles.insert(circle.into_iter().collect::<Vec<_>>());
        }
    }
    circles.into_iter().collect()
}

fn reached<'a>(from: &'a Module, edges: &'a BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<&'a Module> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        let used = edges.get(module).into_iter().flatten();
        let used = used.filter(|used| !used.starts_with(module) && !module.starts_with(used));
        next.extend(used.filter(|used| seen.insert(*used)));
    }
    seen
}
