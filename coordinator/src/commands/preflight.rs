//! `usher preflight`: what a drain would find, without touching anything.

use serde::Serialize;

use super::{failure::Failure, nodes, world};
use crate::{
    cli::{Global, Preflight},
    drain::{Confirm, DrainOptions, DrainPreview, never_lines},
    exit::Exit,
    show::{self, Kind},
    words::{count, list},
};

pub(super) async fn preflight(global: &Global, arguments: Preflight) -> Result<Exit, Failure> {
    let world = world(global).await?;
    let options = nodes::options(&arguments.eviction, &world);
    let nodes = nodes::targets(&world, arguments.targets, &[]).await?;
    let drains = world.drainer.previews(&nodes, &options, Confirm::Everything).await?;
    show::show(Kind::Preflight, &Found { drains: &drains }, global.output, || lines(&drains).join("\n"))?;
    short_verdict(&drains, &options)
}

/// What the drain of each node would find.
#[derive(Serialize)]
struct Found<'a> {
    drains: &'a [DrainPreview],
}

/// A headline for each node, and under it what stands against its drain.
pub(super) fn lines(drains: &[DrainPreview]) -> Vec<String> {
    let of_node = |drain: &DrainPreview| {
        let headline = format!("{}: {drain}", drain.node);
        std::iter::once(headline).chain(drain.lines().into_iter().map(|line| format!("  {line}"))).collect::<Vec<_>>()
    };
    drains.iter().flat_map(of_node).collect()
}

/// Done if the drains may begin, else the refusal. Not after [`lines`], which say the same.
pub(super) fn verdict(drains: &[DrainPreview], options: &DrainOptions) -> Result<Exit, Failure> {
    let Some(refusal) = refusal(drains, options) else { return Ok(Exit::Done) };
    let lines = never_lines(drains.iter().flat_map(|drain| drain.against(options)));
    let refusal = lines.into_iter().fold(refusal, Failure::detail);
    let can_be_ignored = |drain: &DrainPreview| drain.against(options).any(|pod| drain.evict.contains(&pod.pod));
    Err(match drains.iter().any(can_be_ignored) {
        true => refusal.hint("to evict the others anyway: --ignore-verdicts"),
        false => refusal,
    })
}

/// The same in one sentence, after [`lines`].
pub(super) fn short_verdict(drains: &[DrainPreview], options: &DrainOptions) -> Result<Exit, Failure> {
    refusal(drains, options).map_or(Ok(Exit::Done), Err)
}

fn refusal(drains: &[DrainPreview], options: &DrainOptions) -> Option<Failure> {
    let hopeless: Vec<_> = drains.iter().filter(|drain| drain.against(options).next().is_some()).collect();
    let nodes: Vec<_> = hopeless.iter().map(|drain| drain.node.as_str()).collect();
    let pods = hopeless.iter().map(|drain| drain.against(options).count()).sum();
    let what = format!("{} on {} can never be evicted as things stand.", count(pods, "pod"), list(&nodes));
    (pods > 0).then(|| Failure::new(Exit::Refused, what))
}
