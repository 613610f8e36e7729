//! What a shell sets so that kubectl, helm and usher talk to one site.

use super::{NoUser, Site};

/// A variable to be set or unset.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Variable {
    pub name: String,
    /// None: it is unset, for it may be left over from another cluster or service.
    pub value: Option<String>,
}

/// Whose syntax the variables are printed in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shell {
    /// `sh`, `bash`, `zsh` and all others of POSIX.
    #[default]
    Posix,
    Fish,
}

impl Variable {
    /// The line that sets or unsets it, quoted: `export KUBECONFIG=/etc/kubernetes/admin-codfw.config`.
    pub fn line(&self, shell: Shell) -> String {
        let name = &self.name;
        match (shell, &self.value) {
            (Shell::Posix, Some(value)) => format!("export {name}={}", shell_words::quote(value)),
            (Shell::Posix, None) => format!("unset {name}"),
            (Shell::Fish, Some(value)) => {
                // Within single quotes fish knows two escapes: of the quote and of the backslash.
                format!("set -gx {name} '{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
            }
            (Shell::Fish, None) => format!("set -e {name}"),
        }
    }
}

/// The variables of a site for a user, or for a service where no user is named: kubectl's and usher's own first, then the site's
/// in alphabetical order. One for which there is nothing to fill in is unset. A kubeconfig that the site does not name is left as it
/// is: the site goes by kubectl's own.
///
/// # Errors
///
/// As [`Site::way`].
pub fn environment(site: &Site, user: Option<&str>, service: Option<&str>) -> Result<Vec<Variable>, NoUser> {
    let way = site.way(user, service)?;
    let cluster = site.name.clone().unwrap_or_default();
    let own = [
        ("KUBECONFIG", way.kubeconfig.as_ref().map(|path| path.display().to_string())),
        ("K8S_CLUSTER", Some(cluster.clone())),
        // kubectl has no variable for a context; helm has.
        ("HELM_KUBECONTEXT", way.context.clone()),
        ("USHER_CLUSTER", Some(cluster.clone())),
    ];
    let own = own.into_iter().filter(|(name, value)| *name != "KUBECONFIG" || value.is_some());
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let filled = |template: &String| {
        let values = [
            ("cluster", Some(cluster.as_str())),
            ("user", Some(way.user.as_str())),
            ("service", service),
            ("context", way.context.as_deref()),
            ("realm", site.realm.as_deref()),
            ("data_centre", site.data_centre.as_deref()),
        ];
        values.into_iter().try_fold(template.clone(), |text, (name, value)| {
            let place = format!("{{{name}}}");
            if text.contains(&place) { Some(text.replace(&place, value?)) } else { Some(text) }
        })
    };
    let sites = site.env.iter().map(|(name, template)| (name.clone(), filled(template)));
    let mut variables: Vec<Variable> = Vec::new();
    for (name, value) in own.chain(sites) {
        // The site's word on a variable is the last.
        variables.retain(|known| known.name != name);
        variables.push(Variable { name, value });
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::ApiAccess;

    fn site() -> Site {
        let env = [("TILLER_NAMESPACE", "{service}"), ("PS1_CLUSTER", "{realm}/{cluster}"), ("AREA", "{data_centre}")];
        Site {
            name: Some("staging".to_owned()),
            realm: Some("it's".to_owned()),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            api: ApiAccess { kubeconfig: Some("/my files/{user}-{cluster}".into()), ..ApiAccess::default() },
            ..Site::default()
        }
    }

    #[test]
    fn a_shell_is_told_everything_quoted_and_what_does_not_apply_is_unset() {
        let common = ["export K8S_CLUSTER=staging", "unset HELM_KUBECONTEXT", "export USHER_CLUSTER=staging"];
        let prompt = "export PS1_CLUSTER='it'\\''s/staging'";
        let lines = |service: Option<&str>, shell| {
            let variables = environment(&site(), None, service).unwrap();
            variables.iter().map(|variable| variable.line(shell)).collect::<Vec<_>>()
        };
        let [cluster, context, usher] = common;
        let admin = "export KUBECONFIG='/my files/admin-staging'";
        let none = "unset TILLER_NAMESPACE";
        assert_eq!(lines(None, Shell::Posix), [admin, cluster, context, usher, "unset AREA", prompt, none]);
        let mathoid = "export KUBECONFIG='/my files/mathoid-staging'";
        let tiller = "export TILLER_NAMESPACE=mathoid";
        assert_eq!(
            lines(Some("mathoid"), Shell::Posix),
            [mathoid, cluster, context, usher, "unset AREA", prompt, tiller]
        );
        let fish = lines(None, Shell::Fish);
        assert!(fish.contains(&"set -gx PS1_CLUSTER 'it\\'s/staging'".to_owned()), "{fish:?}");
        assert!(fish.contains(&"set -e TILLER_NAMESPACE".to_owned()), "{fish:?}");
    }
}
