//! A drain in words: its preview for the plan, its progress for the terminal.

use std::fmt;

use jiff::Timestamp;

use super::{
    BlockedPod, DrainPreview, DrainProgress, Outlook, PodOutlook, PodRef, Remains, StayReason, classify::grouped,
};
use crate::words::{age, count, list};

impl fmt::Display for DrainPreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.pods.len();
        let mut parts = Vec::new();
        let now = self.pods.iter().filter(|pod| pod.outlook == Outlook::Now).count();
        let never = self.never().count();
        if now > 0 {
            parts.push(format!("{now} can go now"));
        }
        if self.wait > 0 {
            let scarce = self.budgets.iter().filter(|budget| i64::from(budget.allowed) < budget.pods as i64);
            let names: Vec<_> = scarce
                .map(|budget| format!("{}/{} ({} at a time)", budget.namespace, budget.name, budget.allowed))
                .collect();
            parts.push(format!("{} must wait for {}", self.wait, list(&names)));
        }
        let finish = self.pods.iter().filter(|pod| pod.outlook == Outlook::Finish).count();
        if finish > 0 {
            parts.push(format!("{finish} must end by themselves first"));
        }
        let replace = self.pods.iter().filter(|pod| matches!(pod.outlook, Outlook::Replace { .. })).count();
        if replace > 0 {
            parts.push(format!("{replace} must be replaced first"));
        }
        let staying = |reason: StayReason| self.stay.iter().filter(|staying| staying.reason == reason).count();
        for (reason, what) in [
            (StayReason::DaemonSet, "DaemonSet"),
            (StayReason::Mirror, "static"),
            (StayReason::LongDeleted, "deleted long ago"),
            (StayReason::Policy, "skipped"),
        ] {
            let number = staying(reason);
            if number > 0 {
                let verb = if number == 1 { "stays" } else { "stay" };
                parts.push(format!("{number} {verb} ({what})"));
            }
        }
        if never > 0 {
            parts.push(format!("{never} can never go"));
        }
        write!(f, "{}", count(total, "pod"))?;
        if parts.is_empty() { Ok(()) } else { write!(f, ": {}", parts.join(", ")) }
    }
}

impl DrainPreview {
    /// Under the headline: each pod that can never go with what would let it, and what to know of the others.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = never_lines(self.never());
        let said = self.pods.iter().filter(|pod| !matches!(pod.outlook, Outlook::Never { .. }));
        let said = said.flat_map(|pod| pod.cautions.iter().map(|caution| (&pod.pod, caution.as_str())));
        lines.extend(grouped(said).into_iter().map(|line| format!("Warning: {line}")));
        lines
    }
}

/// So many more pods with the same reason are not named one by one; `-o json` names them all.
const MANY: usize = 3;

/// So many pods that were told to go and are still there are named; the node itself tells the others.
const NAMED: usize = 10;

/// What keeps a pod when nobody refills budgets.
const NOT_REFILLED: &str = "no kube-controller-manager leads: budgets do not refill";

/// Each pod with why it cannot go, and under it what would let it go. Many pods with one reason are one entry.
pub fn never_lines<'p>(pods: impl IntoIterator<Item = &'p PodOutlook>) -> Vec<String> {
    let mut reasons: Vec<((&str, &str), Vec<&PodRef>)> = Vec::new();
    for pod in pods {
        let Outlook::Never { because, unblock } = &pod.outlook else { continue };
        let reason = (because.as_str(), unblock.as_str());
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, pods)) => pods.push(&pod.pod),
            None => reasons.push((reason, vec![&pod.pod])),
        }
    }
    let told: Vec<_> =
        reasons.iter().flat_map(|(reason, pods)| names(pods).into_iter().map(move |pod| (pod, reason))).collect();
    let width = told.iter().map(|(pod, _)| pod.len()).max().unwrap_or_default();
    let lines = told.iter().flat_map(|(pod, (because, unblock))| {
        [format!("{pod:width$}  {because}"), format!("{:width$}  {unblock}", "")]
    });
    lines.collect()
}

/// Each by its name, or the first for all if they are many.
fn names(pods: &[&PodRef]) -> Vec<String> {
    match pods {
        [first, others @ ..] if others.len() >= MANY => vec![format!("{first} and {} more", others.len())],
        few => few.iter().map(ToString::to_string).collect(),
    }
}

impl Remains {
    /// What is left on the node and why, a line each; what is known best comes first.
    pub fn lines(&self, now: Timestamp) -> Vec<String> {
        let unled = self.not_refilled_since.map(|since| format!("{NOT_REFILLED} (for {})", age(since, now)));
        let blocked = self.blocked.iter().map(|BlockedPod { pod, message, since, .. }| {
            let since = age(*since, now);
            format!("{pod}: {message} (refused for {since})")
        });
        let failed = self.failed.iter().map(|failed| format!("{}: {}", failed.pod, failed.message));
        let replacing = self.replacing.iter().map(|(pod, deployment)| {
            format!("{pod}: another one of deployment {deployment} was started first and is not ready")
        });
        let said = |pods: &[PodRef], what: &str| {
            let named = pods.iter().take(NAMED).map(|pod| format!("{pod}: {what}"));
            let others = pods.len().saturating_sub(NAMED);
            named.chain((others > 0).then(|| format!("{others} more: {what}"))).collect::<Vec<_>>()
        };
        let volumes = self.volumes.iter().map(|volume| format!("volume {volume} is still attached"));
        let known = unled.into_iter().chain(blocked).chain(failed).chain(replacing);
        known
            .chain(said(&self.leaving, "told to go, has not ended"))
            .chain(said(&self.finishing, "was to end by itself, has not"))
            .chain(said(&self.waiting, "its eviction was not answered yet"))
            .chain(volumes)
            .collect()
    }
}

impl fmt::Display for DrainProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} gone", self.gone, self.total)?;
        if self.finishing > 0 {
            write!(f, " · {} to end by themselves", self.finishing)?;
        }
        if self.replacing > 0 {
            write!(f, " · {} until a new one is ready", count(self.replacing, "lone replica"))?;
        }
        if let [first, others @ ..] = &self.volumes[..] {
            write!(f, " · volume {first} is still attached")?;
            match others.len() {
                0 => {}
                others => write!(f, " and {others} more")?,
            }
        }
        // Who has waited longest says most.
        if let Some(blocked) = self.blocked.iter().min_by_key(|blocked| blocked.since) {
            let since = age(blocked.since, Timestamp::now());
            write!(f, " · {} waits: {} (for {since}", blocked.pod, blocked.message)?;
            match self.blocked.len() - 1 {
                0 => write!(f, ")")?,
                others => write!(f, "; {others} more wait)")?,
            }
            match self.not_refilled_since {
                Some(since) => {
                    let since = age(since, Timestamp::now());
                    write!(f, " · {NOT_REFILLED} ({since} now): waiting for a leader, not for the pods")?;
                }
                None => write!(f, " · asked again when the budget changes")?,
            }
        }
        if let Some(failed) = self.failed.first() {
            write!(f, " · {} cannot go: {}", failed.pod, failed.message)?;
        }
        match &self.trouble {
            Some(trouble) => write!(f, " · {trouble}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_many_pods_that_have_not_ended_some_are_named_and_the_others_counted() {
        let pod = |number: usize| PodRef { namespace: "web".into(), name: number.to_string(), uid: number.to_string() };
        let lines =
            |pods| Remains { leaving: (0..pods).map(pod).collect(), ..Remains::default() }.lines(Timestamp::now());
        assert_eq!(lines(10).len(), 10);
        let (many, last) = (lines(100), "90 more: told to go, has not ended");
        assert_eq!((many.len(), many[0].as_str(), many[10].as_str()), (11, "web/0: told to go, has not ended", last));
    }
}
