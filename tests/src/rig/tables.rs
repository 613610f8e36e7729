//! What kubectl promises of a drain, and what the server may answer to an eviction: two tables, each row a pod on a node of
//! its own, drained by usher's own code.
//!
//! The same rows are run against the in-memory API server and against a real kube-apiserver. No controller runs beside
//! either: the rows say themselves what budgets and kubelets would have written, and `kubelet` ends pods.

pub mod filters;
pub mod outcomes;

mod kubelet;
mod place;

use std::time::Duration;

use usher_coordinator::drain::DrainOptions;

/// Nothing in the tables that ends takes this long, not even on two busy cores.
const LONG: Duration = Duration::from_secs(60);
/// Drains that cannot end are given so long: enough for an answer of the server to each eviction.
const SHORT: Duration = Duration::from_secs(4);
/// So many rows at a time: a real server on two cores answers all of them well within [`SHORT`].
const AT_A_TIME: usize = 16;

/// The options that `usher drain` would make of these flags.
fn options(flags: &str) -> DrainOptions {
    let mut options = DrainOptions { timeout: LONG, ..DrainOptions::default() };
    for flag in flags.split_whitespace() {
        let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
        match name {
            "--force" => options.force = true,
            "--ignore-daemonsets" => options.ignore_daemon_sets = value == "true",
            "--delete-emptydir-data" => options.delete_empty_dir_data = true,
            "--disable-eviction" => options.disable_eviction = true,
            "--pod-selector" => options.pod_selector = Some(value.parse().expect("a selector")),
            "--grace-period" => options.grace_seconds = Some(value.parse().expect("seconds")),
            "--skip-wait-for-delete-timeout" => {
                options.skip_wait_for_delete = Some(Duration::from_secs(value.parse().expect("seconds")));
            }
            unknown => panic!("no row needs {unknown}"),
        }
    }
    options
}

/// All rows that did not end as they should, in words.
fn report(differences: Vec<Option<String>>) {
    let differences: Vec<_> = differences.into_iter().flatten().collect();
    assert!(differences.is_empty(), "{} rows differ\n\n{}", differences.len(), differences.join("\n\n"));
}
