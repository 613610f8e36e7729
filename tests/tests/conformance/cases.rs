//! The cases, each in a namespace of its own.
//!
//! No controller runs on either side: the cases set budgets' and pods' status themselves.

mod evictions;
mod jobs;
mod leases;
mod lists;
mod nodes;
mod objects;
mod pods;
mod seen;
mod watches;

use kube::Client;

use seen::Seen;

/// Who is asked.
pub(crate) trait Server {
    /// A client without retries.
    fn client(&self) -> Client;

    /// Forgets what was before this version.
    async fn compact(&self, version: &str);
}

/// Runs every case, each in its own namespace, and gives what it saw under its name.
pub(crate) async fn run(server: &impl Server) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    macro_rules! cases {
        ($($subject:ident: $($case:ident)*;)*) => {$($({
            let namespace = stringify!($case).replace('_', "-");
            let mut seen = Seen::new(server.client(), &namespace).await;
            $subject::$case(server, &mut seen).await;
            all.push((concat!(stringify!($subject), "::", stringify!($case)), seen.into_text()));
        })*)*};
    }
    cases! {
        objects: creation refusals_of_a_creation replacement status_apart dry_run template_patches deletion finalizers terminating_namespace;
        nodes: cordon taints_and_conditions merge_patch json_patch stale_patch who_wrote;
        pods: graceful_deletion shortened_grace;
        jobs: propagation templates;
        leases: lock takeover;
        lists: pages selectors expired_page metadata_only;
        watches: events selection_changes from_the_beginning initial_events forgotten_version;
        evictions: free budgeted not_yet_counted two_budgets unready_pods unprotected_phases preconditions dry_evictions
            grace_and_names selectors_of_budgets;
    }
    all
}
