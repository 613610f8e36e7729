//! Verdicts confirmed by dry runs: the server knows best, and may know more.

use futures::{StreamExt as _, stream};
use kube::Client;
use usher_core::drain::DrainOptions;

use crate::drain::{
    evict::{EvictionOptions, Outcome, evict},
    report::{DrainPreview, PodVerdict, Verdict},
};

/// How many dry runs are in flight for a node: they cost the server less than evictions.
const DRY_RUNS: usize = 8;

/// Which verdicts the server must confirm, by dry runs of evictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// None: no request beyond lists.
    Nothing,
    /// Those that would keep the drain from beginning.
    Never,
    /// The verdict on every pod that would be evicted.
    Everything,
}

/// Asks the server what it would answer, and corrects the verdicts.
pub(crate) async fn confirm(preview: &mut DrainPreview, client: &Client, options: &DrainOptions, which: Confirm) {
    let dry_run = EvictionOptions { dry_run: true, ..options.into() };
    let DrainPreview { pods, evict: evictable, .. } = preview;
    let unconfirmed = pods.iter_mut().filter(|pod| {
        let wanted = match which {
            Confirm::Nothing => false,
            Confirm::Never => pod.verdict.is_never(),
            Confirm::Everything => true,
        };
        wanted && pod.verdict.is_eviction() && evictable.contains(&pod.pod)
    });
    let answers = stream::iter(unconfirmed).map(async |pod| {
        let answer = evict(client, &pod.pod, dry_run).await;
        correct(pod, answer);
    });
    answers.buffer_unordered(DRY_RUNS).collect::<()>().await;
}

fn correct(pod: &mut PodVerdict, answer: Outcome) {
    match answer {
        // Each dry run sees the whole allowance of a budget, so that "yes" does not disprove that others go first.
        Outcome::Accepted | Outcome::Gone if foresees_the_server(&pod.verdict) => pod.verdict = Verdict::Now,
        Outcome::Failed { message } if !pod.verdict.is_never() => {
            let unblock = "see what the server says of it: kubectl describe".to_owned();
            pod.verdict = Verdict::Never { because: message, unblock, foresees_the_server: true };
        }
        // Who denies it may have begun to move the pod by other means, and let it go then.
        Outcome::Denied { message, .. } => pod.cautions.push(message),
        Outcome::Blocked { message, .. } if pod.verdict == Verdict::Now => pod.cautions.push(message),
        _ => {}
    }
}

fn foresees_the_server(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Never { foresees_the_server: true, .. })
}
