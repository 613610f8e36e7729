//! What forbids a reboot unless the operator overrides it by name.

use std::collections::BTreeSet;

use crate::machine::login::{Inhibitor, UserSession};

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
}

/// Block inhibitors and logged-in users. The agent cannot leave this to login1: the polkit actions that let it reboot at all
/// also let it ignore both, as they do for root.
pub(crate) fn blockers(inhibitors: &[Inhibitor], sessions: &[UserSession]) -> Vec<Blocker> {
    let inhibitors = inhibitors.iter().filter(|inhibitor| inhibitor.blocks()).map(|inhibitor| Blocker {
        name: inhibitor.who.clone(),
        kind: BlockerKind::Inhibitor,
        message: format!("{:?} inhibits a shutdown: {} (process {})", inhibitor.who, inhibitor.why, inhibitor.pid),
    });
    let users: BTreeSet<_> = sessions.iter().map(|session| session.user.as_str()).collect();
    let users = users.into_iter().map(|user| Blocker {
        name: format!("user:{user}"),
        kind: BlockerKind::User,
        message: format!("{user} is logged in"),
    });
    inhibitors.chain(users).collect()
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
        let blockers = blockers(&inhibitors, &[session("zoe"), session("alice"), session("zoe")]);
        let names: Vec<_> = blockers.iter().map(|blocker| blocker.name.as_str()).collect();
        assert_eq!(names, ["dpkg", "new", "user:alice", "user:zoe"]);
        assert_eq!(blockers[0].message, "\"dpkg\" inhibits a shutdown: busy (process 7)");
    }
}
