//! A drain in words: its preview for the plan, its progress for the terminal.

use std::fmt;

use super::{DrainPreview, DrainProgress, StayReason};
use crate::words::{count, list};

impl fmt::Display for DrainPreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.evict.len() + self.stay.len() + self.refused.len();
        let mut parts = Vec::new();
        let now = self.evict.len().saturating_sub(self.wait);
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
        let staying = |reason: StayReason| self.stay.iter().filter(|staying| staying.reason == reason).count();
        for (reason, what) in [
            (StayReason::DaemonSet, "DaemonSet"),
            (StayReason::Mirror, "static"),
            (StayReason::LongDeleted, "deleted long ago"),
        ] {
            let number = staying(reason);
            if number > 0 {
                let verb = if number == 1 { "stays" } else { "stay" };
                parts.push(format!("{number} {verb} ({what})"));
            }
        }
        for refused in &self.refused {
            parts.push(format!("{} forbids the drain: {}", refused.pod, refused.message));
        }
        write!(f, "{}", count(total, "pod"))?;
        if parts.is_empty() { Ok(()) } else { write!(f, ": {}", parts.join(", ")) }
    }
}

impl fmt::Display for DrainProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} gone", self.gone, self.total)?;
        if let Some(blocked) = self.blocked.first() {
            write!(f, " · {} waits: {}", blocked.pod, blocked.message)?;
            if self.blocked.len() > 1 {
                write!(f, " (and {} more)", self.blocked.len() - 1)?;
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
