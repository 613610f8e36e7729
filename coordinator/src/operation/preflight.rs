//! Whether the drains of a plan may begin.

use usher_core::drain::DrainOptions;

use crate::{
    drain::{DrainPreview, never_lines},
    problem::Problem,
    text::{count, list},
};

/// Why the drains may not begin, with every pod that can never go; None if they may.
pub fn refusal(drains: &[DrainPreview], options: &DrainOptions) -> Option<Problem> {
    let lines = never_lines(drains.iter().flat_map(|drain| drain.against(options)));
    let refusal = short_refusal(drains, options)?.details(lines);
    let can_be_ignored = |drain: &DrainPreview| drain.against(options).any(|pod| drain.evict.contains(&pod.pod));
    Some(match drains.iter().any(can_be_ignored) {
        true => refusal.hint("to evict the others nevertheless: --ignore-verdicts"),
        false => refusal,
    })
}

/// The same in one sentence, where the pods are named before it.
pub fn short_refusal(drains: &[DrainPreview], options: &DrainOptions) -> Option<Problem> {
    let hopeless: Vec<_> = drains.iter().filter(|drain| drain.against(options).next().is_some()).collect();
    let nodes: Vec<_> = hopeless.iter().map(|drain| drain.node.as_str()).collect();
    let pods = hopeless.iter().map(|drain| drain.against(options).count()).sum();
    let what = format!("{} on {} can never be evicted as things stand", count(pods, "pod"), list(&nodes));
    (pods > 0).then(|| Problem::refused(what))
}
