//! What a kubeconfig says, read without asking anybody.

mod files;

use std::{collections::BTreeMap, path::Path};

use kube::config::{AuthInfo, Cluster, Kubeconfig};

use self::files::Files;
pub use self::files::KubeconfigError;
use super::access::{Access, ConnectError};

/// Where a kubeconfig and the flags lead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destination {
    /// What the kubeconfig calls the cluster. None without a kubeconfig, or if it has no current context.
    pub cluster: Option<String>,
    /// The context in use, if one is.
    pub context: Option<String>,
    /// The URL of the API.
    pub server: Option<String>,
    /// As whom: the kubeconfig's user, and who is impersonated. That the server knows them so is not certain.
    pub user: Option<String>,
}

impl Destination {
    /// Where this access leads.
    ///
    /// # Errors
    ///
    /// If the kubeconfig that it names cannot be read.
    pub fn describe(access: &Access) -> Result<Self, ConnectError> {
        let file = read(access.kubeconfig.as_deref())?;
        Ok(Self::of(file.as_ref(), access))
    }

    pub(super) fn of(file: Option<&Kubeconfig>, access: &Access) -> Self {
        let context = access.context.clone().or_else(|| file?.current_context.clone());
        let entry = || file?.contexts.iter().find(|named| Some(&named.name) == context.as_ref())?.context.as_ref();
        let cluster = access.cluster.clone().or_else(|| Some(entry()?.cluster.clone()));
        let server = access.server.clone().or_else(|| clusters(file?).remove(cluster.as_ref()?));
        let user = match (&access.user, &access.token) {
            (Some(user), _) => Some(user.clone()),
            (None, Some(_)) => Some("the token's user".to_owned()),
            (None, None) if file.is_none() && access.server.is_none() => Some("the service account".to_owned()),
            (None, None) => entry().and_then(|entry| entry.user.clone()),
        };
        let user = match (&access.impersonate, user) {
            (Some(other), Some(user)) => Some(format!("{other}, impersonated by {user}")),
            (Some(other), None) => Some(other.clone()),
            (None, user) => user,
        };
        Self { cluster, context, server, user }
    }
}

/// The clusters that a kubeconfig has, by name, with their servers; none if there is no such file or it cannot be read. Without a
/// path: of `$KUBECONFIG`, else of `~/.kube/config`.
pub fn kubeconfig_clusters(path: Option<&Path>) -> BTreeMap<String, String> {
    read(path).ok().flatten().map(|file| clusters(&file)).unwrap_or_default()
}

fn clusters(file: &Kubeconfig) -> BTreeMap<String, String> {
    let server = |named: &kube::config::NamedCluster| {
        let server = named.cluster.as_ref().and_then(|cluster| cluster.server.clone()).unwrap_or_default();
        (named.name.clone(), server.trim_end_matches('/').to_owned())
    };
    file.clusters.iter().map(server).collect()
}

/// The kubeconfig at this path; without a path the usual one, if there is one.
pub(super) fn read(path: Option<&Path>) -> Result<Option<Kubeconfig>, KubeconfigError> {
    Files::of(path).read()
}

/// The entries of a kubeconfig that an operator means; empty without a kubeconfig.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// What the cluster's entry is called.
    pub(super) name: String,
    pub(super) cluster: Cluster,
    /// What the user's entry is called; None if none is named.
    pub(super) user: Option<String>,
    /// Empty if none is named, or the named one does not exist: kubectl then asks without credentials.
    pub(super) auth: AuthInfo,
    /// The context's namespace.
    pub(super) namespace: Option<String>,
}

/// The context, the cluster and the user that the flags name, else those of the current context.
pub(super) fn entries(file: &Kubeconfig, access: &Access) -> Result<Entries, ConnectError> {
    let missing = |kind, name: &str| ConnectError::NoEntry { kind, name: name.to_owned() };
    let context = match access.context.as_ref().or(file.current_context.as_ref()) {
        Some(name) => {
            let named = file.contexts.iter().find(|named| &named.name == name);
            Some(named.and_then(|named| named.context.as_ref()).ok_or_else(|| missing("context", name))?)
        }
        None => None,
    };
    let of_context = || context.map(|context| context.cluster.clone()).filter(|name| !name.is_empty());
    let name = access.cluster.clone().or_else(of_context).ok_or(ConnectError::NoContext)?;
    let cluster = file.clusters.iter().find(|named| named.name == name);
    let cluster = cluster.and_then(|named| named.cluster.clone()).ok_or_else(|| missing("cluster", &name))?;
    let user = access.user.clone().or_else(|| context?.user.clone()).filter(|name| !name.is_empty());
    let auth = user.as_ref().and_then(|user| {
        let named = file.auth_infos.iter().find(|named| &named.name == user)?;
        Some(named.auth_info.clone().unwrap_or_default())
    });
    // A user that a flag names must exist; one of a context need not, to kubectl.
    if let (None, Some(name)) = (&auth, &access.user) {
        return Err(missing("user", name));
    }
    let namespace = context.and_then(|context| context.namespace.clone());
    Ok(Entries { name, cluster, user, auth: auth.unwrap_or_default(), namespace })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // the files that an operator writes

    use super::*;

    #[test]
    fn a_kubeconfig_says_which_server_and_who_without_asking_anybody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let text =
            "{clusters: [{name: c, cluster: {server: 'https://c:6443/'}}, {name: d, cluster: {server: 'https://d'}}],
            users: [{name: u, user: {}}], contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}";
        std::fs::write(&path, text).unwrap();
        let plain = Access { kubeconfig: Some(path.clone()), ..Access::default() };
        let some = |text: &str| Some(text.to_owned());
        for (access, cluster, server, user) in [
            (plain.clone(), "c", "https://c:6443", "u"),
            (Access { cluster: some("d"), ..plain.clone() }, "d", "https://d", "u"),
            (Access { user: some("v"), ..plain.clone() }, "c", "https://c:6443", "v"),
            (Access { token: some("t"), ..plain.clone() }, "c", "https://c:6443", "the token's user"),
            (Access { impersonate: some("ann"), ..plain.clone() }, "c", "https://c:6443", "ann, impersonated by u"),
        ] {
            let found = Destination::describe(&access).unwrap();
            let expected =
                Destination { cluster: some(cluster), context: some("x"), server: some(server), user: some(user) };
            assert_eq!(found, expected);
        }
        assert_eq!(kubeconfig_clusters(Some(&path)).into_keys().collect::<Vec<_>>(), ["c", "d"]);
        assert!(kubeconfig_clusters(Some(&folder.path().join("gone"))).is_empty());
    }
}
