//! Where to find the cluster file.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

const SYSTEM_FOLDER: &str = "/etc/usher";

/// The variable that names the cluster file.
const VARIABLE: &str = "USHER_CLUSTER_FILE";

/// The cluster file to use: the flag's, else `$USHER_CLUSTER_FILE`, else `usher/cluster.toml` in `$XDG_CONFIG_HOME`
/// (`~/.config`), else `/etc/usher/cluster.toml`. `None` if there is none: the defaults apply.
///
/// A file that was named is returned whether it exists or not: that it is missing must be an error, not the next place.
pub fn locate(flag: Option<&Path>) -> Option<PathBuf> {
    choose(flag, |name| env::var_os(name), |path| path.try_exists().unwrap_or(true))
}

fn choose(
    flag: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    exists: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = flag.map(Path::to_owned).or_else(|| set(VARIABLE)) {
        return Some(named);
    }
    let user = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    [user.map(|folder| folder.join("usher")), Some(SYSTEM_FOLDER.into())]
        .into_iter()
        .flatten()
        .map(|folder| folder.join("cluster.toml"))
        .find(|path| exists(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(flag: Option<&str>, variables: &[(&str, &str)], existing: &[&str]) -> Option<String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let exists = |path: &Path| existing.iter().any(|known| Path::new(known) == path);
        choose(flag.map(Path::new), variable, exists).map(|path| path.display().to_string())
    }

    #[test]
    fn the_flag_wins_then_the_variable_then_the_user_then_the_system() {
        let variables = [("USHER_CLUSTER_FILE", "/v.toml"), ("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")];
        let existing = ["/x/usher/cluster.toml", "/h/.config/usher/cluster.toml", "/etc/usher/cluster.toml"];
        let found = |flag, variables, existing| chosen(flag, variables, existing);
        assert_eq!(found(Some("f.toml"), &variables[..], &existing[..]).as_deref(), Some("f.toml"));
        assert_eq!(found(None, &variables, &existing).as_deref(), Some("/v.toml"));
        assert_eq!(found(None, &variables[1..], &existing).as_deref(), Some("/x/usher/cluster.toml"));
        assert_eq!(found(None, &variables[2..], &existing).as_deref(), Some("/h/.config/usher/cluster.toml"));
        assert_eq!(found(None, &[], &existing).as_deref(), Some("/etc/usher/cluster.toml"));
        assert_eq!(found(None, &variables[1..], &existing[2..]).as_deref(), Some("/etc/usher/cluster.toml"));
        assert_eq!(found(None, &[], &[]), None);
    }

    #[test]
    fn a_named_file_is_used_even_if_it_is_missing_and_an_empty_variable_names_none() {
        assert_eq!(chosen(Some("gone.toml"), &[], &[]).as_deref(), Some("gone.toml"));
        assert_eq!(chosen(None, &[("USHER_CLUSTER_FILE", "/gone.toml")], &[]).as_deref(), Some("/gone.toml"));
        assert_eq!(chosen(None, &[("USHER_CLUSTER_FILE", "")], &[]), None);
    }
}
