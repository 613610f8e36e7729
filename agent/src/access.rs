//! Who may call: the allow-list of names in certificates, the role each gives, and what narrows it.
//!
//! A certificate of the right CA is never enough by itself: kubelets hold such certificates too.

mod grant;
mod network;

use std::{fmt, net::IpAddr, str::FromStr};

use jiff::Timestamp;

pub use grant::{BadVerb, Grant, Limit, Verb, Wanted};
pub use network::{BadNetwork, Network};

/// What a listed caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// May read.
    Viewer,
    /// May read and change.
    Operator,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        })
    }
}

/// A name as the allow-list writes it: `CN=…`, `O=…`, `DNS:…` or `URI:…`. It matches that name exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name in the allow-list that can match nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names nobody; write CN=name, O=organisation, DNS:name or URI:uri")]
pub struct BadPattern(String);

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let rest = ["CN=", "O=", "DNS:", "URI:"].iter().find_map(|prefix| text.strip_prefix(prefix));
        match rest {
            Some(rest) if !rest.trim().is_empty() => Ok(Self(text.to_owned())),
            _ => Err(BadPattern(text.to_owned())),
        }
    }
}

/// Why the allow-list does not permit a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// No name of the caller is listed.
    NotListed {
        /// How many names are listed as viewers.
        viewers: usize,
        /// How many names are listed as operators.
        operators: usize,
    },
    /// A name is listed, but none of its entries permits this call.
    Limited {
        /// The key that forbids it, of the last entry that was looked at.
        limit: Limit,
        /// The entry and its limit, in words.
        message: String,
    },
}

/// The names that may call, with the role that each gives and what narrows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    grants: Vec<(Grant, Role)>,
}

impl AllowList {
    /// Adds an entry. What a name may do is what any of its entries permits.
    pub fn insert(&mut self, grant: impl Into<Grant>, role: Role) {
        self.grants.push((grant.into(), role));
    }

    /// The highest role that any of a certificate's names gives a caller at this address, at this time.
    ///
    /// # Errors
    ///
    /// If no name is listed, or no entry holds here and now.
    pub fn role(&self, names: &[String], address: IpAddr, now: Timestamp) -> Result<Role, Denial> {
        self.best(names, Role::Viewer, |grant| grant.reach(address, now))
    }

    /// Whether an operator with these names may make this change.
    ///
    /// # Errors
    ///
    /// If no name is an operator's, or no entry of one permits it.
    pub fn permit(&self, names: &[String], address: IpAddr, now: Timestamp, wanted: &Wanted<'_>) -> Result<(), Denial> {
        self.best(names, Role::Operator, |grant| grant.reach(address, now).and_then(|()| grant.permit(wanted)))
            .map(drop)
    }

    /// Whether an operator with these names may make any change at all.
    ///
    /// # Errors
    ///
    /// If no name is an operator's, or no entry of one permits a change.
    pub fn permit_any(&self, names: &[String], address: IpAddr, now: Timestamp) -> Result<(), Denial> {
        self.best(names, Role::Operator, |grant| grant.reach(address, now).and_then(|()| grant.permit_any())).map(drop)
    }

    fn best(
        &self,
        names: &[String],
        least: Role,
        check: impl Fn(&Grant) -> Result<(), (Limit, String)>,
    ) -> Result<Role, Denial> {
        let mut best = None;
        let mut denial = Denial::NotListed { viewers: self.count(Role::Viewer), operators: self.count(Role::Operator) };
        for (grant, role) in self.grants.iter().filter(|(grant, role)| *role >= least && names.contains(&grant.name.0))
        {
            match check(grant) {
                Ok(()) => best = best.max(Some(*role)),
                Err((limit, reason)) => {
                    let message = format!("the allow-list's entry for {} does not permit this: {reason}", grant.name);
                    denial = Denial::Limited { limit, message };
                }
            }
        }
        best.ok_or(denial)
    }

    /// Only what both this list and `other` give: the entries of `other` whose names this list gives at least their role.
    #[must_use]
    pub fn narrowed_to(&self, other: &Self) -> Self {
        let held = |(grant, role): &&(Grant, Role)| {
            self.grants.iter().any(|(known, known_role)| known.name == grant.name && known_role >= role)
        };
        Self { grants: other.grants.iter().filter(held).cloned().collect() }
    }

    /// The entries that give `role`.
    #[must_use]
    pub fn of(&self, role: Role) -> Self {
        Self { grants: self.grants.iter().filter(|(_, given)| *given == role).cloned().collect() }
    }

    /// Adds all entries of another list.
    pub fn extend(&mut self, other: Self) {
        self.grants.extend(other.grants);
    }

    /// How many names give `role`.
    pub fn count(&self, role: Role) -> usize {
        self.grants.iter().filter(|(_, given)| *given == role).count()
    }

    /// Whether nobody may call at all.
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }
}

#[cfg(test)]
mod tests;
