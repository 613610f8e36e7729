//! `usher preflight`: what a drain would find, without touching anything.

use super::{failure::Failure, nodes, world};
use crate::{
    cli::{Global, Preflight},
    drain::{self, Confirm, DrainOptions, DrainPreview, never_lines},
    exit::Exit,
    output::{self, Format},
    words::count,
};

pub(super) async fn preflight(global: &Global, arguments: Preflight) -> Result<Exit, Failure> {
    let world = world(global).await?;
    let options = nodes::options(&arguments.eviction, &world);
    let nodes = nodes::targets(&world, arguments.targets, &[]).await?;
    let drains = drain::previews(world.cluster.client(), &nodes, &options, Confirm::Everything).await?;
    match global.output {
        Format::Json | Format::Yaml => output::result(&output::structured(&drains, global.output)?),
        Format::Table | Format::Wide => lines(&drains).iter().for_each(|line| output::result(line)),
    }
    verdict(&drains, &options)
}

/// A headline for each node, and under it what stands against its drain.
pub(super) fn lines(drains: &[DrainPreview]) -> Vec<String> {
    let of_node = |drain: &DrainPreview| {
        let headline = format!("{}: {drain}", drain.node);
        std::iter::once(headline).chain(drain.lines().into_iter().map(|line| format!("  {line}"))).collect::<Vec<_>>()
    };
    drains.iter().flat_map(of_node).collect()
}

/// Done if the drains may begin, else the refusal.
pub(super) fn verdict(drains: &[DrainPreview], options: &DrainOptions) -> Result<Exit, Failure> {
    let hopeless: Vec<_> = drains.iter().filter(|drain| drain.never().next().is_some()).collect();
    if hopeless.is_empty() || options.ignore_verdicts {
        return Ok(Exit::Done);
    }
    let nodes: Vec<_> = hopeless.iter().map(|drain| drain.node.as_str()).collect();
    let pods = hopeless.iter().map(|drain| drain.never().count()).sum();
    let what =
        format!("{} on {} can never be evicted as things stand.", count(pods, "pod"), crate::words::list(&nodes));
    let lines = never_lines(hopeless.iter().flat_map(|drain| drain.never()));
    let failure = lines.into_iter().fold(Failure::new(Exit::Refused, what), Failure::line);
    Err(failure.line("to begin all the same: --ignore-verdicts"))
}
