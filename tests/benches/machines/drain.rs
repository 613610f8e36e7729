//! Drains of kwok's nodes on the bed's real API servers.

pub(crate) mod bare;
pub(crate) mod many;
pub(crate) mod twins;

use usher_testkit::bed::{Measured, Tool};

use super::results::{Results, median};

/// Says where the time and the requests went.
fn tell(results: &Results, what: &str, tool: Tool, run: &Measured) {
    let took = run.output.took.as_secs_f64();
    let (name, rss, requests) = (tool.name(), run.peak_rss_mib, &run.requests);
    let stolen = tell_stolen(run.stolen);
    results.say(&format!("{what}: {name:<7} {took:>7.2}s {rss:>6.1} MiB, {stolen}, requests {requests}"));
}

/// The middle one of the drains' times, in seconds.
fn wall(runs: &[Measured]) -> f64 {
    median(runs.iter().map(|run| run.output.took.as_secs_f64()).collect())
}

/// On a virtual machine. Who waits for a clock does not notice; who waits for the server does.
fn tell_stolen(share: f64) -> String {
    format!("{:.0} % of the CPUs stolen", share * 100.0)
}
