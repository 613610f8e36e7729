//! The way to a site's API: which kubeconfig, which context, for which user.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use super::Site;

/// Where the kubeconfig is and which context of it to use; unset means kubectl's own rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiAccess {
    /// Path of the kubeconfig, in which `{cluster}` and `{user}` may stand. Unset: `$KUBECONFIG`, then `~/.kube/config`, then the
    /// service account of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// Context within it, in which the same may stand. Unset: its current context.
    pub context: Option<String>,
    /// What `{user}` stands for where nobody names a user and no service.
    pub user: String,
    /// What it stands for where a service is named and no user; `{service}` may stand in it.
    pub service_user: String,
    /// What it stands for, by the name that the operator gives; `{service}` may stand in it. A name that is not here stands for
    /// itself.
    pub users: BTreeMap<String, String>,
}

impl Default for ApiAccess {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            user: "admin".to_owned(),
            service_user: "{service}".to_owned(),
            users: BTreeMap::new(),
        }
    }
}

/// A way to the API, with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// What `{user}` stood for.
    pub user: String,
}

/// The user that was named is one of a service, and no service was named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the user {user:?} is one of a service ({template:?}), and no service is named")]
pub struct NoUser {
    pub user: String,
    /// As the cluster file has it.
    pub template: String,
}

impl ApiAccess {
    /// Whether the kubeconfig or the context depends on the user. Then `--user` fills it in, instead of choosing a user of the
    /// kubeconfig.
    pub fn depends_on_the_user(&self) -> bool {
        let has = |text: &str| text.contains("{user}");
        self.kubeconfig.as_ref().is_some_and(|path| has(&path.to_string_lossy()))
            || self.context.as_deref().is_some_and(has)
    }

    /// What `{user}` stands for.
    fn user(&self, named: Option<&str>, service: Option<&str>) -> Result<String, NoUser> {
        let template = match (named, service) {
            (Some(named), _) => self.users.get(named).map_or(named, String::as_str),
            (None, Some(_)) => &self.service_user,
            (None, None) => &self.user,
        };
        match service {
            Some(service) => Ok(template.replace("{service}", service)),
            None if template.contains("{service}") => {
                Err(NoUser { user: named.unwrap_or(template).to_owned(), template: template.to_owned() })
            }
            None => Ok(template.to_owned()),
        }
    }
}

impl Site {
    /// The kubeconfig as the cluster file has it, for people.
    pub fn kubeconfig_template(&self) -> String {
        self.api.kubeconfig.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }

    /// The way to the API for a user, or for a service where no user is named.
    ///
    /// # Errors
    ///
    /// If the user is one of a service, and none is named.
    pub fn way(&self, user: Option<&str>, service: Option<&str>) -> Result<Way, NoUser> {
        let user = self.api.user(user, service)?;
        let cluster = self.name.as_deref().unwrap_or_default();
        let filled = |template: &str| template.replace("{cluster}", cluster).replace("{user}", &user);
        Ok(Way {
            kubeconfig: self.api.kubeconfig.as_ref().map(|path| match path.to_str() {
                Some(template) => filled(template).into(),
                None => path.clone(),
            }),
            context: self.api.context.as_deref().map(filled),
            user,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_or_a_service_fills_in_the_path_and_the_context() {
        let api = ApiAccess {
            kubeconfig: Some("/etc/kubernetes/{user}-{cluster}.config".into()),
            context: Some("{user}@{cluster}".to_owned()),
            users: BTreeMap::from([("deploy".to_owned(), "{service}-deploy".to_owned())]),
            ..ApiAccess::default()
        };
        let site = Site { name: Some("codfw".to_owned()), api, ..Site::default() };
        for (user, service, expected) in [
            (None, None, Some("admin")),
            (None, Some("mathoid"), Some("mathoid")),
            (Some("deploy"), Some("mathoid"), Some("mathoid-deploy")),
            (Some("admin"), Some("mathoid"), Some("admin")),
            (Some("root"), None, Some("root")),
            (Some("deploy"), None, None),
        ] {
            let way = site.way(user, service).ok();
            let expected = expected.map(|user| Way {
                kubeconfig: Some(format!("/etc/kubernetes/{user}-codfw.config").into()),
                context: Some(format!("{user}@codfw")),
                user: user.to_owned(),
            });
            assert_eq!(way, expected, "{user:?} {service:?}");
        }
        assert!(site.api.depends_on_the_user() && !ApiAccess::default().depends_on_the_user());
    }
}
