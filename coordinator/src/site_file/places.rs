//! Where to find what describes the sites.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

const SYSTEM_FOLDER: &str = "/etc/usher";

/// The variable that names the cluster file, or the folder of several.
const VARIABLE: &str = "USHER_CLUSTER_FILE";

/// One site's file, and the folder of several, in a place that usher looks at by itself.
const FILE: &str = "cluster.toml";
const FOLDER: &str = "clusters.d";

/// Where the sites are described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file or folder that was named, whether it exists or not: that it is missing must be an error, not the next place.
    Named(PathBuf),
    /// In these, at least one of which there is.
    Found {
        /// `cluster.toml`.
        file: Option<PathBuf>,
        /// `clusters.d`.
        folder: Option<PathBuf>,
    },
    /// Nowhere: the defaults apply.
    Nowhere,
}

impl Place {
    /// The flag's, else `$USHER_CLUSTER_FILE`, else `usher` in `$XDG_CONFIG_HOME` (`~/.config`), else `/etc/usher`: the first of
    /// them that has `cluster.toml` or `clusters.d`.
    pub fn locate(flag: Option<&Path>) -> Self {
        Self::choose(flag, |name| env::var_os(name), |path| path.try_exists().unwrap_or(true))
    }

    fn choose(
        flag: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
        exists: impl Fn(&Path) -> bool,
    ) -> Self {
        let named = flag.map(Path::to_owned).or_else(|| set(&variable, VARIABLE));
        if let Some(named) = named {
            return Self::Named(named);
        }
        let there = |path: PathBuf| exists(&path).then_some(path);
        for place in user_place(&variable).into_iter().chain([SYSTEM_FOLDER.into()]) {
            let (file, folder) = (there(place.join(FILE)), there(place.join(FOLDER)));
            if file.is_some() || folder.is_some() {
                return Self::Found { file, folder };
            }
        }
        Self::Nowhere
    }
}

/// Where a first cluster file belongs: in `/etc/usher` for root, else in the user's folder. None if the user has no home.
pub fn first_place(is_root: bool) -> Option<PathBuf> {
    let folder = if is_root { Some(SYSTEM_FOLDER.into()) } else { user_folder() };
    folder.map(|folder| folder.join(FILE))
}

/// Where usher keeps a certificate authority of this user's: `pki` in the user's folder. None if the user has no home.
pub fn pki_folder() -> Option<PathBuf> {
    user_folder().map(|folder| folder.join("pki"))
}

/// Where usher keeps what is this user's own: `usher` in `$XDG_CONFIG_HOME`, else in `~/.config`. None if the user has no home.
pub(super) fn user_folder() -> Option<PathBuf> {
    user_place(&|name: &str| env::var_os(name))
}

fn user_place(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let config = set(variable, "XDG_CONFIG_HOME").or_else(|| Some(set(variable, "HOME")?.join(".config")));
    config.map(|folder| folder.join("usher"))
}

fn set(variable: &impl Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    variable(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(flag: Option<&str>, variables: &[(&str, &str)], existing: &[&str]) -> Vec<String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let exists = |path: &Path| existing.iter().any(|known| Path::new(known) == path);
        let paths = match Place::choose(flag.map(Path::new), variable, exists) {
            Place::Named(path) => vec![path],
            Place::Found { file, folder } => file.into_iter().chain(folder).collect(),
            Place::Nowhere => Vec::new(),
        };
        paths.iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn the_flag_wins_then_the_variable_then_the_user_then_the_system() {
        let variables = [("USHER_CLUSTER_FILE", "/v.toml"), ("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")];
        let existing = ["/x/usher/cluster.toml", "/h/.config/usher/cluster.toml", "/etc/usher/cluster.toml"];
        let found = |flag, variables, existing| chosen(flag, variables, existing);
        assert_eq!(found(Some("f.toml"), &variables[..], &existing[..]), ["f.toml"]);
        assert_eq!(found(None, &variables, &existing), ["/v.toml"]);
        assert_eq!(found(None, &variables[1..], &existing), ["/x/usher/cluster.toml"]);
        assert_eq!(found(None, &variables[2..], &existing), ["/h/.config/usher/cluster.toml"]);
        assert_eq!(found(None, &[], &existing), ["/etc/usher/cluster.toml"]);
        assert_eq!(found(None, &variables[1..], &existing[2..]), ["/etc/usher/cluster.toml"]);
        assert!(found(None, &[], &[]).is_empty());
    }

    #[test]
    fn a_place_has_a_file_a_folder_or_both_and_the_first_that_has_one_is_the_place() {
        let existing = ["/x/usher/clusters.d", "/etc/usher/cluster.toml", "/etc/usher/clusters.d"];
        let variables = [("XDG_CONFIG_HOME", "/x")];
        assert_eq!(chosen(None, &variables, &existing), ["/x/usher/clusters.d"]);
        assert_eq!(chosen(None, &[], &existing), ["/etc/usher/cluster.toml", "/etc/usher/clusters.d"]);
    }

    #[test]
    fn a_named_file_is_used_even_if_it_is_missing_and_an_empty_variable_names_none() {
        assert_eq!(chosen(Some("gone.toml"), &[], &[]), ["gone.toml"]);
        assert_eq!(chosen(None, &[("USHER_CLUSTER_FILE", "/gone.toml")], &[]), ["/gone.toml"]);
        assert!(chosen(None, &[("USHER_CLUSTER_FILE", "")], &[]).is_empty());
    }
}
