//! Which files a kubeconfig is read from, and what they say together: the rules are kubectl's, but that a `$KUBECONFIG` of which
//! no file exists is an error here. Behind a typing error there would otherwise be the cluster of the pod that usher runs in.

use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use kube::config::{self, Kubeconfig};
use secrecy::{ExposeSecret as _, SecretString};

/// A kubeconfig that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file that was named, or one of a list, cannot be read.
    #[error("cannot read the kubeconfig {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A file is no kubeconfig.
    #[error("the kubeconfig {} is broken: {problem}", path.display())]
    Broken {
        path: PathBuf,
        /// What is wrong with it, with the line where the parser knows it.
        problem: String,
    },
    /// `$KUBECONFIG` is set, and none of its files exists.
    #[error("$KUBECONFIG names no file that exists: {}", listed(.0))]
    Missing(Vec<PathBuf>),
}

/// The places that may have kubeconfigs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Files {
    /// The one that the operator or the cluster file names.
    Named(PathBuf),
    /// Those of `$KUBECONFIG`: each may be missing, but not all.
    List(Vec<PathBuf>),
    /// `~/.kube/config`, which may be missing. None without a home.
    Home(Option<PathBuf>),
}

impl Files {
    /// The file at `path`, else those of the environment.
    pub(super) fn of(path: Option<&Path>) -> Self {
        Self::find(path, env::var_os("KUBECONFIG"), env::home_dir())
    }

    fn find(path: Option<&Path>, variable: Option<OsString>, home: Option<PathBuf>) -> Self {
        if let Some(path) = path {
            return Self::Named(path.to_owned());
        }
        let variable = variable.unwrap_or_default();
        let list: Vec<_> = env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty()).collect();
        if list.is_empty() { Self::Home(home.map(|home| home.join(".kube").join("config"))) } else { Self::List(list) }
    }

    /// What the files say together; None if there is none and none was named. Of two entries of one name the first file's counts, and
    /// the current context is that of the first file with one. Relative paths in a file are relative to its folder.
    pub(super) fn read(&self) -> Result<Option<Kubeconfig>, KubeconfigError> {
        match self {
            Self::Named(path) => read(path).map(Some),
            Self::Home(path) => path.as_deref().map_or(Ok(None), read_if_there),
            Self::List(paths) => {
                let mut merged = None;
                for path in paths {
                    let Some(next) = read_if_there(path)? else { continue };
                    merged = Some(match merged {
                        None => next,
                        Some(merged) => Kubeconfig::merge(merged, next).map_err(|error| broken(path, &error))?,
                    });
                }
                merged.map(Some).ok_or_else(|| KubeconfigError::Missing(paths.clone()))
            }
        }
    }
}

fn read_if_there(path: &Path) -> Result<Option<Kubeconfig>, KubeconfigError> {
    match read(path) {
        Err(KubeconfigError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

fn read(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
    let mut file = Kubeconfig::read_from(path).map_err(|error| match error {
        config::KubeconfigError::ReadConfig(source, _) => KubeconfigError::Unreadable { path: path.to_owned(), source },
        error => broken(path, &error),
    })?;
    // To kubectl an empty name is none.
    file.current_context = file.current_context.filter(|name| !name.is_empty());
    for cluster in file.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        without_spaces(&mut cluster.certificate_authority_data);
    }
    for user in file.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        without_spaces(&mut user.client_certificate_data);
        if let Some(key) = &mut user.client_key_data {
            *key = SecretString::from(key.expose_secret().split_ascii_whitespace().collect::<String>());
        }
    }
    Ok(file)
}

/// Base64 in lines, as `base64` writes it: kubectl's decoder passes over the line breaks.
fn without_spaces(data: &mut Option<String>) {
    if let Some(data) = data {
        data.retain(|character| !character.is_ascii_whitespace());
    }
}

fn broken(path: &Path, error: &config::KubeconfigError) -> KubeconfigError {
    let problem = match error {
        config::KubeconfigError::Parse(error) => error.to_string(),
        error => error.to_string(),
    };
    KubeconfigError::Broken { path: path.to_owned(), problem }
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // the files that an operator writes

    use std::fs;

    use super::*;

    fn kubeconfig(cluster: &str, context: &str) -> String {
        format!(
            "{{clusters: [{{name: c, cluster: {{server: '{cluster}', certificate-authority: ca.pem}}}}],
               users: [{{name: u, user: {{client-certificate: u.pem, client-key: u-key.pem, tokenFile: token}}}}],
               contexts: [{{name: {context}, context: {{cluster: c, user: u}}}}], current-context: {context}}}"
        )
    }

    #[test]
    fn a_named_file_wins_over_the_environments_list_and_that_over_the_home() {
        let (named, home) = (Path::new("/named"), Some(PathBuf::from("/home/ann")));
        let found = |path, list: &str| Files::find(path, Some(list.into()), home.clone());
        assert_eq!(found(Some(named), "/a:/b"), Files::Named("/named".into()));
        assert_eq!(found(None, "/a::/b"), Files::List(vec!["/a".into(), "/b".into()]));
        for empty in ["", ":"] {
            assert_eq!(found(None, empty), Files::Home(Some("/home/ann/.kube/config".into())));
        }
        assert_eq!(Files::find(None, None, None), Files::Home(None));
    }

    #[test]
    fn files_of_a_list_are_merged_the_first_wins_and_paths_are_relative_to_their_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1/config"), folder.path().join("2/config"));
        fs::create_dir(folder.path().join("1")).unwrap();
        fs::create_dir(folder.path().join("2")).unwrap();
        let only_a_context = "{contexts: [{name: mine, context: {cluster: c, user: u}}], current-context: ''}";
        fs::write(&first, only_a_context).unwrap();
        fs::write(&second, kubeconfig("https://two", "theirs")).unwrap();
        let missing = folder.path().join("missing");
        let merged = Files::List(vec![missing, first.clone(), second.clone()]).read().unwrap().unwrap();
        assert_eq!(merged.contexts.iter().map(|named| named.name.as_str()).collect::<Vec<_>>(), ["mine", "theirs"]);
        assert_eq!(merged.current_context.as_deref(), Some("theirs"), "an empty name is none");
        let beside = |name: &str| Some(folder.path().join("2").join(name).to_str().unwrap().to_owned());
        let user = merged.auth_infos[0].auth_info.clone().unwrap();
        assert_eq!(merged.clusters[0].cluster.as_ref().unwrap().certificate_authority, beside("ca.pem"));
        assert_eq!(
            (user.client_certificate, user.client_key, user.token_file),
            (beside("u.pem"), beside("u-key.pem"), beside("token"))
        );

        fs::write(&first, kubeconfig("https://one", "mine")).unwrap();
        let merged = Files::List(vec![first, second]).read().unwrap().unwrap();
        assert_eq!(merged.clusters[0].cluster.as_ref().unwrap().server.as_deref(), Some("https://one"));
        assert_eq!(merged.current_context.as_deref(), Some("mine"));
    }

    #[test]
    fn a_broken_file_and_a_list_without_any_are_errors_that_name_them_and_a_missing_home_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (right, broken, gone) =
            (folder.path().join("right"), folder.path().join("broken"), folder.path().join("gone"));
        fs::write(&right, kubeconfig("https://one", "x")).unwrap();
        fs::write(&broken, "clusters: [{name: c").unwrap();
        for files in [Files::List(vec![right, broken.clone()]), Files::Home(Some(broken.clone())), Files::Named(broken)]
        {
            let error = files.read().unwrap_err().to_string();
            assert!(error.starts_with("the kubeconfig ") && error.contains("/broken is broken: "), "{error}");
        }
        let error = Files::List(vec![gone.clone()]).read().unwrap_err().to_string();
        assert_eq!(error, format!("$KUBECONFIG names no file that exists: {}", gone.display()));
        let error = Files::Named(gone.clone()).read().unwrap_err().to_string();
        assert_eq!(error, format!("cannot read the kubeconfig {}", gone.display()));
        let error = Files::Home(Some(folder.path().to_owned())).read().unwrap_err();
        assert!(matches!(error, KubeconfigError::Unreadable { .. }), "a folder: {error}");
        assert!(Files::Home(Some(gone)).read().unwrap().is_none());
    }

    #[test]
    fn base64_may_be_broken_into_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let text = "
clusters:
- name: c
  cluster:
    server: https://c
    certificate-authority-data: |
      QUJD
      REVG

users:
- name: u
  user:
    client-certificate-data: |
      QUJD
      REVG
    client-key-data: |
      QUJD
      REVG
";
        fs::write(&path, text).unwrap();
        let file = Files::Named(path).read().unwrap().unwrap();
        let user = file.auth_infos[0].auth_info.clone().unwrap();
        let data = "QUJDREVG";
        assert_eq!(file.clusters[0].cluster.as_ref().unwrap().certificate_authority_data.as_deref(), Some(data));
        assert_eq!(user.client_certificate_data.as_deref(), Some(data));
        assert_eq!(user.client_key_data.unwrap().expose_secret(), data);
    }
}
