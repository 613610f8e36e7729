//! What forbids a reboot unless the operator overrides it by name.

use std::collections::BTreeSet;

use crate::login::{Inhibitor, LoggedIn};

/// Something that forbids a reboot unless it is overridden by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blocker {
    /// The name that overrides it.
    pub(crate) name: String,
    pub(crate) kind: BlockerKind,
    /// What it is, for people.
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockerKind {
    Inhibitor,
    User,
}

/// Block inhibitors and people who are logged in. The agent cannot leave this to login1: the polkit actions that let it
/// reboot at all also let it ignore both, as they do for root.
pub(crate) fn blockers(inhibitors: &[Inhibitor], logged_in: &[LoggedIn]) -> Vec<Blocker> {
    let inhibitors = inhibitors.iter().filter(|inhibitor| inhibitor.blocks()).map(|inhibitor| Blocker {
        name: inhibitor.who.clone(),
        kind: BlockerKind::Inhibitor,
        message: format!("{:?} inhibits a shutdown: {} (process {})", inhibitor.who, inhibitor.why, inhibitor.pid),
    });
    let users: BTreeSet<_> = logged_in.iter().map(|person| person.user.as_str()).collect();
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

    fn person(user: &str) -> LoggedIn {
        LoggedIn { id: "c1".to_owned(), user: user.to_owned(), uid: 1000 }
    }

    #[test]
    fn block_inhibitors_and_each_user_once_forbid_a_reboot_and_delays_do_not() {
        let inhibitors = [inhibitor("dpkg", "block"), inhibitor("kubelet", "delay"), inhibitor("new", "block-weak")];
        let blockers = blockers(&inhibitors, &[person("zoe"), person("alice"), person("zoe")]);
        let names: Vec<_> = blockers.iter().map(|blocker| blocker.name.as_str()).collect();
        assert_eq!(names, ["dpkg", "new", "user:alice", "user:zoe"]);
        assert_eq!(blockers[0].message, "\"dpkg\" inhibits a shutdown: busy (process 7)");
    }
}
