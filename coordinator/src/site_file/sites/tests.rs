#![allow(clippy::disallowed_methods)] // the files that an operator writes

use super::*;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn read(folder: &tempfile::TempDir) -> Result<Sites, String> {
    let error = |error: FileError| error.to_string().replace(&folder.path().display().to_string(), "");
    Sites::read(&Place::Named(folder.path().to_owned())).map_err(error)
}

/// What is wrong with the one site of this name.
fn mistakes(folder: &tempfile::TempDir, name: &str) -> String {
    let sites = read(folder).unwrap();
    let entry = sites.entries.into_iter().find(|entry| entry.known.name.as_deref() == Some(name)).unwrap();
    entry.read.unwrap_err().to_string().replace(&folder.path().display().to_string(), "")
}

#[test]
fn every_file_of_a_folder_is_a_site_that_shares_the_common_keys() {
    let folder = folder(&[
        ("codfw.toml", "aliases = ['wikikube-codfw']\ndata_centre = 'codfw'"),
        ("eqiad.toml", "name = 'main'\n[api]\nkubeconfig = 'own'"),
        ("_common.toml", "[api]\nkubeconfig = '{user}-{cluster}.config'\ncontext = 'x'\n[defaults]\ngap = '1s'"),
        ("_staging.toml", "this is read elsewhere"),
        (".codfw.toml.swp", "an editor's"),
        ("README", ""),
    ]);
    let sites = read(&folder).unwrap();
    let names: Vec<_> = sites.entries.iter().map(|entry| entry.known.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["codfw", "main"]);
    let ways: Vec<_> = sites.entries.iter().map(|entry| entry.read.as_ref().unwrap().value.way(None, None)).collect();
    let kubeconfig = |at: usize| ways[at].as_ref().unwrap().kubeconfig.clone().unwrap();
    assert_eq!(kubeconfig(0), folder.path().join("admin-codfw.config"));
    assert_eq!(kubeconfig(1), folder.path().join("own"));
    assert!(sites.staging_file().is_some() && !sites.is_one_file);
    let site = &sites.entries[1].read.as_ref().unwrap().value;
    assert_eq!((site.api.context.as_deref(), site.defaults.gap.as_secs()), (Some("x"), 1));
}

#[test]
fn a_site_with_mistakes_is_told_with_all_of_them_and_keeps_none_of_the_others_from_being_used() {
    let folder = folder(&[
        ("codfw.toml", "realn = 'x'\n"),
        ("eqiad.toml", ""),
        ("_common.toml", "[defaults]\ngap = 'soon'\nsettle = '1s'"),
    ]);
    let common = "/_common.toml:2: defaults.gap: \"soon\" is no duration (examples: 10s, 5m)";
    assert_eq!(
        mistakes(&folder, "codfw"),
        format!("/codfw.toml:1: realn: unknown key; did you mean \"realm\"?\n{common}")
    );
    assert_eq!(mistakes(&folder, "eqiad"), common);
    fs::write(folder.path().join("_common.toml"), "").unwrap();
    let sites = read(&folder).unwrap();
    assert!(sites.entries[0].read.is_err() && sites.entries[1].read.is_ok());
}

#[test]
fn what_is_one_sites_own_is_a_mistake_in_the_common_file() {
    let folder = folder(&[("eqiad.toml", ""), ("_common.toml", "realm = 'x'\nname = 'all'\naliases = ['every']")]);
    let own = "is one site's own, and this file is every site's";
    assert_eq!(mistakes(&folder, "eqiad"), format!("/_common.toml:2: name: {own}\n/_common.toml:3: aliases: {own}"));
}

#[test]
fn a_name_that_two_files_give_is_an_error_that_names_both() {
    let folder = folder(&[("codfw.toml", "aliases = ['eqiad']"), ("eqiad.toml", "")]);
    let error = read(&folder).unwrap_err();
    let expected = "\"eqiad\" is an alias of the site in /codfw.toml and the name of that in /eqiad.toml";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn a_folder_that_was_named_and_has_no_cluster_in_it_is_an_error() {
    let error = read(&folder(&[("_common.toml", ""), ("README", "")])).unwrap_err();
    assert!(error.contains("there is no cluster file in this folder"), "{error}");
}

#[test]
fn a_single_file_beside_the_folder_is_one_site_more_and_needs_a_name() {
    let folder = folder(&[("cluster.toml", "")]);
    fs::create_dir(folder.path().join("clusters.d")).unwrap();
    fs::write(folder.path().join("clusters.d/codfw.toml"), "").unwrap();
    let (file, below) = (folder.path().join("cluster.toml"), folder.path().join("clusters.d"));
    let place = Place::Found { file: Some(file.clone()), folder: Some(below) };
    let sites = Sites::read(&place).unwrap();
    let error = sites.entries[1].read.as_ref().unwrap_err().to_string();
    assert!(error.contains("name: is missing"), "{error}");
    fs::write(&file, "name = 'eqiad'").unwrap();
    let names: Vec<_> = Sites::read(&place).unwrap().known().into_iter().map(|known| known.name.unwrap()).collect();
    assert_eq!(names, ["codfw", "eqiad"]);
    // Alone, it needs none.
    fs::write(&file, "").unwrap();
    assert!(Sites::read(&Place::Named(file)).unwrap().entries[0].read.is_ok());
}
