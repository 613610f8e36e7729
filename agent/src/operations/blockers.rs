//! What forbids a reboot unless the operator overrides it by name.
//!
//! The names of inhibitors are free texts of local users. None of them can be that of a user or of a scheduled shutdown: an
//! inhibitor that calls itself `user:bob` is overridden as `inhibitor:user:bob`.

use std::collections::BTreeSet;

use crate::machine::login::{Inhibitor, ScheduledShutdown, UserSession};

/// Something that forbids a reboot unless it is overridden by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blocker {
    /// What `override_blockers` must hold to override it.
    pub(crate) name: String,
    pub(crate) kind: BlockerKind,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockerKind {
    Inhibitor,
    User,
    ScheduledShutdown,
}

/// What the names of blockers begin with that are no inhibitors, and of inhibitors that would be mistaken for them.
const PREFIXES: [&str; 3] = ["user:", "scheduled:", "inhibitor:"];

/// Block inhibitors, logged-in users, and a scheduled shutdown. The agent cannot leave this to login1: the polkit actions that
/// let it reboot at all also let it ignore inhibitors and users, as they do for root, and a reboot makes login1 forget what is
/// scheduled.
pub(crate) fn blockers(
    inhibitors: &[Inhibitor],
    sessions: &[UserSession],
    scheduled: Option<&ScheduledShutdown>,
) -> Vec<Blocker> {
    let inhibitors = inhibitors.iter().filter(|inhibitor| inhibitor.blocks()).map(|inhibitor| Blocker {
        name: name_of(inhibitor),
        kind: BlockerKind::Inhibitor,
        message: format!("{:?} inhibits a shutdown: {} (process {})", inhibitor.who, inhibitor.why, inhibitor.pid),
    });
    let users: BTreeSet<_> = sessions.iter().map(|session| session.user.as_str()).collect();
    let users = users.into_iter().map(|user| Blocker {
        name: format!("user:{user}"),
        kind: BlockerKind::User,
        message: format!("{user} is logged in"),
    });
    let scheduled = scheduled.map(|shutdown| Blocker {
        name: format!("scheduled:{}", shutdown.kind),
        kind: BlockerKind::ScheduledShutdown,
        message: said(shutdown),
    });
    inhibitors.chain(users).chain(scheduled).collect()
}

fn name_of(inhibitor: &Inhibitor) -> String {
    let who = &inhibitor.who;
    let ambiguous = who.trim().is_empty() || PREFIXES.iter().any(|prefix| who.starts_with(prefix));
    if ambiguous { format!("inhibitor:{who}") } else { who.clone() }
}

fn said(shutdown: &ScheduledShutdown) -> String {
    let at = shutdown.at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string());
    let message = if shutdown.message.is_empty() { String::new() } else { format!(" ({:?})", shutdown.message) };
    format!("a {} is scheduled for {at}{message}; a reboot before then would cancel it", shutdown.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inhibitor(who: &str, mode: &str) -> Inhibitor {
        let (what, who, why) = ("shutdown".to_owned(), who.to_owned(), "busy".to_owned());
        Inhibitor { what, who, why, mode: mode.to_owned(), uid: 0, pid: 7 }
    }

    fn session(user: &str) -> UserSession {
        UserSession { id: "c1".to_owned(), user: user.to_owned(), uid: 1000 }
    }

    #[test]
    fn block_inhibitors_and_each_user_once_forbid_a_reboot_and_delays_do_not() {
        let inhibitors = [inhibitor("dpkg", "block"), inhibitor("kubelet", "delay"), inhibitor("new", "block-weak")];
        let blockers = blockers(&inhibitors, &[session("zoe"), session("alice"), session("zoe")], None);
        let names: Vec<_> = blockers.iter().map(|blocker| blocker.name.as_str()).collect();
        assert_eq!(names, ["dpkg", "new", "user:alice", "user:zoe"]);
        assert_eq!(blockers[0].message, "\"dpkg\" inhibits a shutdown: busy (process 7)");
    }

    #[test]
    fn no_inhibitor_can_take_the_name_of_another_kind_of_blocker() {
        let inhibitors = ["user:bob", "scheduled:reboot", "inhibitor:apt", " "].map(|who| inhibitor(who, "block"));
        let names: Vec<_> = blockers(&inhibitors, &[], None).into_iter().map(|blocker| blocker.name).collect();
        assert_eq!(
            names,
            ["inhibitor:user:bob", "inhibitor:scheduled:reboot", "inhibitor:inhibitor:apt", "inhibitor: "]
        );
    }

    #[test]
    fn a_scheduled_shutdown_forbids_a_reboot_under_the_name_of_its_kind() {
        let at = "2026-03-01T03:00:00Z".parse().ok();
        let shutdown = ScheduledShutdown { kind: "poweroff".to_owned(), at, message: "rack move".to_owned() };
        let expected = Blocker {
            name: "scheduled:poweroff".to_owned(),
            kind: BlockerKind::ScheduledShutdown,
            message:
                "a poweroff is scheduled for 2026-03-01T03:00:00Z (\"rack move\"); a reboot before then would cancel it"
                    .to_owned(),
        };
        assert_eq!(blockers(&[], &[], Some(&shutdown)), [expected]);
    }
}
