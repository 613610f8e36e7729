#![allow(clippy::disallowed_methods)] // the files that an operator writes

use std::{collections::BTreeMap, fs, path::PathBuf};

use clap::Parser as _;

use super::*;
use crate::{cli::Cli, site::ApiAccess};

/// The flags of a command that is typed so.
fn global(flags: &[&str]) -> Global {
    Cli::try_parse_from(["usher", "status"].iter().chain(flags)).unwrap().global
}

fn codfw(kubeconfig: Option<&str>, context: Option<&str>) -> Site {
    let api = ApiAccess {
        kubeconfig: kubeconfig.map(PathBuf::from),
        context: context.map(str::to_owned),
        users: BTreeMap::from([("ops".to_owned(), "root".to_owned())]),
        ..ApiAccess::default()
    };
    Site { name: Some("codfw".to_owned()), aliases: vec!["spare".to_owned()], api, ..Site::default() }
}

/// The way that these flags take: kubeconfig, context, cluster, user, and whether it is the site's own.
fn way(site: &Site, flags: &[&str]) -> String {
    let access = access(&global(flags), site).unwrap();
    let kubeconfig = access.kubeconfig.map(|path| path.display().to_string());
    let words =
        [kubeconfig, access.context, access.cluster, access.user].map(|word| word.unwrap_or_else(|| "-".to_owned()));
    format!("{}{}", words.join(" "), if access.is_the_sites { " own" } else { "" })
}

#[test]
fn flags_win_over_the_site_and_the_user_fills_in_what_depends_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other").display().to_string();
    fs::write(&other, "{clusters: [{name: spare, cluster: {server: 'https://x'}}]}").unwrap();
    let other = other.as_str();
    let templates = codfw(Some("/k/{user}-{cluster}"), Some("{user}@{cluster}"));
    let plain = codfw(Some("/k/config"), None);
    let nothing = codfw(None, None);
    for (site, flags, expected) in [
        (&templates, &[][..], "/k/admin-codfw admin@codfw - - own".to_owned()),
        (&templates, &["--user", "ops"], "/k/root-codfw root@codfw - - own".to_owned()),
        (&templates, &["--user", "ann", "--cluster", "spare"], "/k/ann-codfw ann@codfw - - own".to_owned()),
        (&templates, &["--context", "admin@codfw"], "/k/admin-codfw admin@codfw - - own".to_owned()),
        // Where nothing of the site depends on the user, the flag is kubectl's.
        (&plain, &["--user", "ann"], "/k/config - - ann own".to_owned()),
        (&templates, &["--user", "u", "--context", "x", "--kubeconfig", other], format!("{other} x - u")),
        // Another kubeconfig than the site's: its cluster of one of the site's names.
        (&plain, &["--kubeconfig", other], format!("{other} - - -")),
        (&plain, &["--kubeconfig", other, "--cluster", "codfw"], format!("{other} - spare -")),
        (&nothing, &["--kubeconfig", other, "--cluster", "codfw"], format!("{other} - spare -")),
        // No name of the site: kubectl's meaning.
        (&plain, &["--cluster", "minikube"], "/k/config - minikube -".to_owned()),
    ] {
        assert_eq!(way(site, flags), expected, "{flags:?}");
    }
}

#[test]
fn the_site_of_a_folder_is_part_of_the_command_that_is_printed_and_that_of_a_single_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("codfw.toml"), "").unwrap();
    let settled = |path: PathBuf| {
        let mut global = global(&["--cluster-file", &path.display().to_string()]);
        settle(&mut global);
        global.connection().cluster
    };
    assert_eq!(settled(folder.path().to_owned()).as_deref(), Some("codfw"));
    assert_eq!(settled(folder.path().join("codfw.toml")), None);
}
