//! A drain as text: its preview for the plan, its progress for the terminal, its remains for an error.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use usher_common::clock;

use super::{
    outcome::{BlockedPod, DrainProgress, Remains, StayReason},
    pod::PodRef,
    verdict::{DrainPreview, PodVerdict, UnusedVolume, Verdict},
};
use crate::text::{age, count, list};

/// From this many further pods on, a shared reason names only the first of them; `-o json` names them all.
const MANY: usize = 3;

/// At most this many terminating pods are named; `kubectl get pods` shows the others.
const NAMED: usize = 10;

/// Why blocked pods wait when nobody replenishes budgets.
const NO_LEADER: &str = "no kube-controller-manager leads: budgets do not refill";

impl fmt::Display for DrainPreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.pods.len();
        let mut parts = Vec::new();
        let now = self.pods.iter().filter(|pod| pod.verdict == Verdict::Now).count();
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
        let finish = self.pods.iter().filter(|pod| pod.verdict == Verdict::Finish).count();
        if finish > 0 {
            parts.push(format!("{finish} must end by themselves first"));
        }
        let replace = self.pods.iter().filter(|pod| matches!(pod.verdict, Verdict::Replace { .. })).count();
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
    /// The lines under the headline: each pod that can never go, with what would unblock it, and warnings about the others.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = never_lines(self.never());
        let others = self.pods.iter().filter(|pod| !pod.verdict.is_never());
        let cautions = others.flat_map(|pod| pod.cautions.iter().map(|caution| (&pod.pod, caution.as_str())));
        lines.extend(grouped(cautions).into_iter().map(|line| format!("Warning: {line}")));
        lines.extend(self.unused_volumes.iter().map(|it| format!("Warning: {}", unused(it, &self.node, clock::now()))));
        lines
    }
}

fn unused(UnusedVolume { volume, attachment, attacher, since }: &UnusedVolume, node: &str, now: Timestamp) -> String {
    let since = since.map(|since| format!(" for {}", age(since, now))).unwrap_or_default();
    format!(
        "volume {volume} has been attached to {node} by {attacher}{since}, no pod there uses it, and the drain does not wait for it: \
         kubectl describe volumeattachment {attachment}"
    )
}

/// Each pod with the reason why it can never go, and under it what would unblock it. Pods with the same reason share an entry
/// if they are many.
pub fn never_lines<'p>(pods: impl IntoIterator<Item = &'p PodVerdict>) -> Vec<String> {
    let mut reasons: Vec<((&str, &str), Vec<&PodRef>)> = Vec::new();
    for pod in pods {
        let Verdict::Never { because, unblock, .. } = &pod.verdict else { continue };
        let reason = (because.as_str(), unblock.as_str());
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, pods)) => pods.push(&pod.pod),
            None => reasons.push((reason, vec![&pod.pod])),
        }
    }
    let entries: Vec<_> =
        reasons.iter().flat_map(|(reason, pods)| names(pods).into_iter().map(move |pod| (pod, reason))).collect();
    let width = entries.iter().map(|(pod, _)| pod.len()).max().unwrap_or_default();
    let lines = entries.iter().flat_map(|(pod, (because, unblock))| {
        [format!("{pod:width$}  {because}"), format!("{:width$}  {unblock}", "")]
    });
    lines.collect()
}

/// Each pod by its name, or the first for all if they are many.
fn names(pods: &[&PodRef]) -> Vec<String> {
    match pods {
        [first, others @ ..] if others.len() >= MANY => vec![format!("{first} and {} more", others.len())],
        few => few.iter().map(ToString::to_string).collect(),
    }
}

impl Remains {
    /// What is left on the node and why, one line each; the most specific reasons come first.
    pub fn lines(&self, now: Timestamp) -> Vec<String> {
        let no_leader = self.not_refilled_since.map(|since| format!("{NO_LEADER} (for {})", age(since, now)));
        let blocked = self.blocked.iter().map(|BlockedPod { pod, message, since, .. }| {
            let since = age(*since, now);
            format!("{pod}: {message} (refused for {since})")
        });
        let failed = self.failed.iter().map(|failed| format!("{}: {}", failed.pod, failed.message));
        let replacing = self.replacing.iter().map(|(pod, deployment)| {
            format!("{pod}: another one of deployment {deployment} was started first and is not ready")
        });
        let still = |pods: &[PodRef], what: &str| {
            let named = pods.iter().take(NAMED).map(|pod| format!("{pod}: {what}"));
            let others = pods.len().saturating_sub(NAMED);
            named.chain((others > 0).then(|| format!("{others} more: {what}"))).collect::<Vec<_>>()
        };
        let volumes = self.volumes.iter().map(|volume| format!("volume {volume} is still attached"));
        let known = no_leader.into_iter().chain(blocked).chain(failed).chain(replacing);
        known
            .chain(still(&self.leaving, "told to go, has not ended"))
            .chain(still(&self.finishing, "was to end by itself, has not"))
            .chain(still(&self.waiting, "its eviction was not answered yet"))
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
        // The pod that has waited longest says most.
        if let Some(blocked) = self.blocked.iter().min_by_key(|blocked| blocked.since) {
            let since = age(blocked.since, clock::now());
            write!(f, " · {} waits: {} (for {since}", blocked.pod, blocked.message)?;
            match self.blocked.len() - 1 {
                0 => write!(f, ")")?,
                others => write!(f, "; {others} more wait)")?,
            }
            match self.not_refilled_since {
                Some(since) if blocked.webhook.is_none() => {
                    let since = age(since, clock::now());
                    write!(f, " · {NO_LEADER} ({since} now): waiting for a leader, not for the pods")?;
                }
                _ if blocked.webhook.is_some() => write!(f, " · asked again every few seconds")?,
                _ => write!(f, " · asked again when the budget changes")?,
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

/// Pods by their message, one line for each: `MESSAGE: ns/a, ns/b`.
pub(crate) fn grouped<'p>(messages: impl IntoIterator<Item = (&'p PodRef, &'p str)>) -> Vec<String> {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (pod, message) in messages {
        groups.entry(message).or_default().push(pod.to_string());
    }
    groups.into_iter().map(|(message, pods)| format!("{message}: {}", pods.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_grouped_by_their_message() {
        let named = |name: &str| PodRef { namespace: "web".into(), name: name.into(), uid: name.into() };
        let (a, b, c) = (named("a"), named("b"), named("c"));
        assert_eq!(grouped([(&a, "x"), (&c, "y"), (&b, "x")]), ["x: web/a, web/b", "y: web/c"]);
    }

    #[test]
    fn of_many_terminating_pods_some_are_named_and_the_others_counted() {
        let pod = |number: usize| PodRef { namespace: "web".into(), name: number.to_string(), uid: number.to_string() };
        let lines = |pods| {
            Remains { leaving: (0..pods).map(pod).collect(), ..Remains::default() }.lines(usher_common::clock::now())
        };
        assert_eq!(lines(10).len(), 10);
        let (many, last) = (lines(100), "90 more: told to go, has not ended");
        assert_eq!((many.len(), many[0].as_str(), many[10].as_str()), (11, "web/0: told to go, has not ended", last));
    }
}
