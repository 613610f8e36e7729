//! What forbids a reboot unless the operator overrides it by name.

use std::collections::BTreeSet;

use crate::login::{Inhibitor, LoggedIn};

/// Something that forbids a reboot unless it is overridden by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blocker {
    /// The name that overrides it.
    pub(super) name: String,
    /// What it is, for people.
    pub(super) words: String,
}

/// Block inhibitors and people who are logged in. login1 is not relied on for that: the polkit actions that let the agent
/// reboot at all let it ignore both, as they do for root.
pub(super) fn blockers(inhibitors: &[Inhibitor], logged_in: &[LoggedIn]) -> Vec<Blocker> {
    let inhibitors = inhibitors.iter().filter(|inhibitor| inhibitor.blocks()).map(|inhibitor| Blocker {
        name: inhibitor.who.clone(),
        words: format!("{:?} inhibits a shutdown: {} (process {})", inhibitor.who, inhibitor.why, inhibitor.pid),
    });
    let users: BTreeSet<_> = logged_in.iter().map(|person| person.user.as_str()).collect();
    let users =
        users.into_iter().map(|user| Blocker { name: format!("user:{user}"), words: format!("{user} is logged in") });
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
        assert_eq!(blockers[0].words, "\"dpkg\" inhibits a shutdown: busy (process 7)");
    }
}
