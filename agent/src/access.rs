//! Who may call: the allow-list of names in certificates and the role each gives.
//!
//! A certificate of the right CA is never enough by itself: kubelets hold such certificates too.

use std::{collections::BTreeMap, fmt, str::FromStr};

/// What a caller may do.
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

/// The names that may call, with the role each gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    roles: BTreeMap<Pattern, Role>,
}

impl AllowList {
    /// Adds a name. A name listed twice has the higher role.
    pub fn insert(&mut self, pattern: Pattern, role: Role) {
        let entry = self.roles.entry(pattern).or_insert(role);
        *entry = role.max(*entry);
    }

    /// The highest role that any of a certificate's names gives, `None` if no name is listed.
    pub fn role(&self, names: &[String]) -> Option<Role> {
        names.iter().filter_map(|name| self.roles.get(&Pattern(name.clone()))).max().copied()
    }

    /// How many names give `role`.
    pub fn count(&self, role: Role) -> usize {
        self.roles.values().filter(|listed| **listed == role).count()
    }

    /// Whether nobody may call at all.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> AllowList {
        let mut list = AllowList::default();
        for (name, role) in [
            ("CN=cumin1001", Role::Operator),
            ("O=sre", Role::Viewer),
            ("DNS:usher.example", Role::Viewer),
            ("DNS:usher.example", Role::Operator),
        ] {
            list.insert(name.parse().unwrap(), role);
        }
        list
    }

    #[test]
    fn the_highest_role_of_all_names_counts() {
        for (names, role) in [
            (vec!["CN=cumin1001"], Some(Role::Operator)),
            (vec!["CN=someone", "O=sre"], Some(Role::Viewer)),
            (vec!["O=sre", "DNS:usher.example"], Some(Role::Operator)),
            (vec!["CN=sre"], None),
            (vec!["CN=usher.example"], None),
            (vec!["DNS:USHER.example"], None),
            (vec![], None),
        ] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            assert_eq!(list().role(&names), role, "{names:?}");
        }
    }

    #[test]
    fn a_name_without_a_known_prefix_or_without_a_value_is_refused() {
        for text in ["cumin1001", "cn=x", "CN=", "DNS: ", "*", ""] {
            assert_eq!(text.parse::<Pattern>(), Err(BadPattern(text.to_owned())));
        }
    }
}
