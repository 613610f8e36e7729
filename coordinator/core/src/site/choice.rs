//! Which site a command is about. The one place where that is decided; [ADR 11] has the reasons.
//!
//! [ADR 11]: ../../../../docs/adr/0011-one-site-a-file.md

use usher_common::config_file::nearest;

/// What is known of a site when one of several is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Unset: one that is called as its kubeconfig calls it.
    pub name: Option<String>,
    pub aliases: Vec<String>,
    /// Where it is described, for people.
    pub file: String,
}

impl Known {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.name.iter().chain(&self.aliases).map(String::as_str)
    }
}

/// Who named the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ChosenBy {
    /// The command's own argument.
    Argument,
    /// `--cluster`.
    Flag,
    /// `$USHER_CLUSTER`.
    Variable,
    /// `usher clusters use`.
    Use,
    /// Nobody: there is only one.
    Only,
}

impl ChosenBy {
    /// In words, as they follow "chosen".
    pub fn words(self) -> &'static str {
        match self {
            Self::Argument => "on the command line",
            Self::Flag => "by --cluster",
            Self::Variable => "by $USHER_CLUSTER",
            Self::Use => "by `usher clusters use`",
            Self::Only => "as the only one",
        }
    }
}

/// What a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The site with this index.
    Site { at: usize, by: ChosenBy },
    /// A cluster of the kubeconfig, as `kubectl --cluster` means it.
    Kubeconfig { name: String },
    /// There are no sites: what the kubeconfig leads to.
    Plain,
}

/// Why no site is chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoChoice {
    /// Neither a site nor the kubeconfig has this name.
    #[error("no cluster is called {name:?}, which was chosen {}", by.words())]
    Unknown {
        name: String,
        by: ChosenBy,
        /// What it was probably meant to be.
        meant: Option<String>,
        /// What there is.
        known: Vec<String>,
    },
    /// There are several, and none is named.
    #[error("there are several clusters, and none is chosen")]
    None {
        /// What there is.
        known: Vec<String>,
    },
}

/// Chooses by what was named, if anything was. A site's name or alias wins over a cluster of the kubeconfig, `kubeconfig` being the
/// names that it has. What was remembered means a site and nothing else.
///
/// # Errors
///
/// If nothing has this name, or none of several sites is named.
pub fn choose(wish: Option<(&str, ChosenBy)>, sites: &[Known], kubeconfig: &[String]) -> Result<Choice, NoChoice> {
    let known = || sites.iter().filter_map(|site| site.name.clone()).collect::<Vec<_>>();
    let Some((name, by)) = wish else {
        return match sites {
            [] => Ok(Choice::Plain),
            [_] => Ok(Choice::Site { at: 0, by: ChosenBy::Only }),
            _ => Err(NoChoice::None { known: known() }),
        };
    };
    if let Some(at) = sites.iter().position(|site| site.names().any(|known| known == name)) {
        return Ok(Choice::Site { at, by });
    }
    if by != ChosenBy::Use && kubeconfig.iter().any(|known| known == name) {
        return Ok(Choice::Kubeconfig { name: name.to_owned() });
    }
    let candidates = sites.iter().flat_map(Known::names).chain(kubeconfig.iter().map(String::as_str));
    let meant = nearest(name, candidates).map(str::to_owned);
    let mut known = known();
    known
        .extend(kubeconfig.iter().filter(|name| !sites.iter().any(|site| site.names().any(|it| it == *name))).cloned());
    Err(NoChoice::Unknown { name: name.to_owned(), by, meant, known })
}

/// Names that several sites have, each with the files that say so. A site that could be meant by another's name is not chosen by
/// chance.
pub fn clashes(sites: &[Known]) -> Vec<String> {
    let mut clashes = Vec::new();
    for (at, site) in sites.iter().enumerate() {
        for name in site.names() {
            for other in sites[..at].iter().filter(|other| other.names().any(|known| known == name)) {
                let what = |site: &Known| if site.name.as_deref() == Some(name) { "the name" } else { "an alias" };
                clashes.push(format!(
                    "{name:?} is {} of the site in {} and {} of that in {}",
                    what(other),
                    other.file,
                    what(site),
                    site.file
                ));
            }
        }
    }
    clashes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, aliases: &[&str]) -> Known {
        let aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
        Known { name: Some(name.to_owned()), aliases, file: format!("{name}.toml") }
    }

    fn said(wish: Option<(&str, ChosenBy)>, sites: &[Known]) -> String {
        let kubeconfig = ["eqiad", "minikube"].map(str::to_owned);
        match choose(wish, sites, &kubeconfig) {
            Ok(Choice::Site { at, by }) => format!("site {at} {}", by.words()),
            Ok(Choice::Kubeconfig { name }) => format!("kubeconfig {name}"),
            Ok(Choice::Plain) => "plain".to_owned(),
            Err(NoChoice::Unknown { meant, known, .. }) => {
                format!("unknown, meant {}, known {}", meant.as_deref().unwrap_or("-"), known.join(" "))
            }
            Err(NoChoice::None { known }) => format!("none of {}", known.join(" ")),
        }
    }

    #[test]
    fn the_rule_is_this_table() {
        use ChosenBy::{Flag, Use, Variable};
        let two = [known("eqiad", &["main"]), known("codfw", &[])];
        for (wish, sites, expected) in [
            (None, &[][..], "plain"),
            (None, &two[..1], "site 0 as the only one"),
            (None, &two, "none of eqiad codfw"),
            (Some(("codfw", Flag)), &two, "site 1 by --cluster"),
            (Some(("main", Variable)), &two, "site 0 by $USHER_CLUSTER"),
            (Some(("codfw", Use)), &two, "site 1 by `usher clusters use`"),
            // A site of this name wins over the kubeconfig's cluster.
            (Some(("eqiad", Flag)), &two, "site 0 by --cluster"),
            // Where no site has it, kubectl's meaning remains.
            (Some(("minikube", Flag)), &two, "kubeconfig minikube"),
            (Some(("eqiad", Flag)), &[], "kubeconfig eqiad"),
            // What was remembered was a site.
            (Some(("minikube", Use)), &two, "unknown, meant minikube, known eqiad codfw minikube"),
            (Some(("codwf", Flag)), &two, "unknown, meant codfw, known eqiad codfw minikube"),
            (Some(("esams", Flag)), &two, "unknown, meant -, known eqiad codfw minikube"),
        ] {
            assert_eq!(said(wish, sites), expected, "{wish:?}");
        }
    }

    #[test]
    fn a_name_that_two_sites_have_is_told_with_both_files() {
        let sites = [known("eqiad", &["main"]), known("codfw", &["eqiad"]), known("esams", &["main"])];
        assert_eq!(
            clashes(&sites),
            [
                "\"eqiad\" is the name of the site in eqiad.toml and an alias of that in codfw.toml",
                "\"main\" is an alias of the site in eqiad.toml and an alias of that in esams.toml",
            ]
        );
        assert!(clashes(&sites[..1]).is_empty());
    }
}
