//! One entry of the allow-list: a name, and what narrows the rights that it gives.

use std::{collections::BTreeSet, fmt, net::IpAddr, str::FromStr};

use jiff::Timestamp;

use super::{Network, Pattern};

/// What an operator does to a node. Overriding a reboot's blockers is a right beside that to reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Restarts a unit.
    Restart,
    /// Starts a unit.
    Start,
    /// Stops a unit.
    Stop,
    /// Reboots the node.
    Reboot,
    /// Reboots it in spite of blockers.
    Override,
}

impl Verb {
    /// All of them, as the allow-list names them.
    pub const ALL: [(&'static str, Self); 5] = [
        ("restart", Self::Restart),
        ("start", Self::Start),
        ("stop", Self::Stop),
        ("reboot", Self::Reboot),
        ("override", Self::Override),
    ];
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, verb)| verb == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// A word that is no [`Verb`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of restart, start, stop, reboot and override")]
pub struct BadVerb(String);

impl FromStr for Verb {
    type Err = BadVerb;

    fn from_str(text: &str) -> Result<Self, BadVerb> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, verb)| *verb);
        found.ok_or_else(|| BadVerb(text.to_owned()))
    }
}

/// The key of a grant that forbids a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The caller's address.
    From,
    /// The unit.
    Units,
    /// What is to be done.
    May,
    /// The time.
    Until,
}

impl Limit {
    /// The key in the configuration.
    pub fn key(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::Units => "units",
            Self::May => "may",
            Self::Until => "until",
        }
    }
}

/// A change that a caller asks for, as far as grants look at it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What is to be done.
    pub verb: Verb,
    /// To which unit, `None` for a reboot.
    pub unit: Option<&'a str>,
    /// Whether blockers are to be overridden.
    pub overrides: bool,
}

/// A name with the limits of what it may do. Without limits it may do all that its role may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The name in the certificate.
    pub name: Pattern,
    /// Where the caller must be, if anything is listed.
    pub from: Vec<Network>,
    /// The units that it may change. `None`: all units of the configuration.
    pub units: Option<BTreeSet<String>>,
    /// What it may do. `None`: everything.
    pub may: Option<BTreeSet<Verb>>,
    /// When the grant ends.
    pub until: Option<Timestamp>,
}

impl From<Pattern> for Grant {
    fn from(name: Pattern) -> Self {
        Self { name, from: Vec::new(), units: None, may: None, until: None }
    }
}

impl Grant {
    /// Whether it holds for a caller at this address, at this time.
    pub(super) fn reach(&self, address: IpAddr, now: Timestamp) -> Result<(), (Limit, String)> {
        if let Some(until) = self.until.filter(|until| *until <= now) {
            return Err((Limit::Until, format!("it ended at {until}")));
        }
        if !self.from.is_empty() && !self.from.iter().any(|network| network.contains(address)) {
            let address = address.to_canonical();
            return Err((
                Limit::From,
                format!("it is for callers from {}, and this one calls from {address}", list(&self.from)),
            ));
        }
        Ok(())
    }

    /// Whether it permits any change at all.
    pub(super) fn permit_any(&self) -> Result<(), (Limit, String)> {
        match &self.may {
            // To override blockers is nothing without the right to reboot.
            Some(may) if may.iter().all(|verb| *verb == Verb::Override) => {
                Err((Limit::May, format!("it permits {}, and the call needs the right to a change", list(may))))
            }
            _ => Ok(()),
        }
    }

    /// Whether it permits a change.
    pub(super) fn permit(&self, wanted: &Wanted<'_>) -> Result<(), (Limit, String)> {
        if let Some(may) = &self.may {
            let needed = [Some(wanted.verb), wanted.overrides.then_some(Verb::Override)];
            if let Some(verb) = needed.into_iter().flatten().find(|verb| !may.contains(verb)) {
                return Err((Limit::May, format!("it permits {}, and the call needs {verb}", list(may))));
            }
        }
        if let (Some(units), Some(unit)) = (&self.units, wanted.unit)
            && !units.contains(unit)
        {
            return Err((Limit::Units, format!("it is for the units {}, and not for {unit}", list(units))));
        }
        Ok(())
    }
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}
