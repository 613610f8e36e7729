use std::{fs, path::Path};

use usher_coordinator::site_file::{Place, Sites};

use super::*;

fn generated(path: &str) -> String {
    pages().unwrap().into_iter().find(|page| page.path == path).unwrap().text
}

/// With every line of TOML that is commented out.
fn uncommented(example: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(toml) if !toml.is_empty() && !toml.starts_with(' ') => toml.to_owned(),
        _ => line.to_owned(),
    };
    example.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_page_is_as_it_would_be_generated_now() {
    let stale = stale(&work_tree(), &pages().unwrap()).unwrap();
    assert!(stale.is_empty(), "stale: {stale:?}; run: make docs");
}

#[test]
fn a_page_that_was_edited_is_missing_or_is_no_longer_generated_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path()).unwrap();
    let pages = pages().unwrap();
    assert!(stale(folder.path(), &pages).unwrap().is_empty());
    fs::write(folder.path().join("docs/reference/cli.md"), "edited").unwrap();
    fs::write(folder.path().join("packaging/man/usher-gone.1"), "").unwrap();
    fs::remove_file(folder.path().join("packaging/examples/agent.toml")).unwrap();
    let expected = ["docs/reference/cli.md", "packaging/examples/agent.toml", "packaging/man/usher-gone.1"];
    assert!(stale(folder.path(), &pages).unwrap().iter().eq(expected), "{:?}", stale(folder.path(), &pages));
    assert!(write(folder.path()).unwrap().iter().eq(expected));
    assert!(stale(folder.path(), &pages).unwrap().is_empty());
}

#[test]
fn the_examples_are_read_by_the_programs_that_they_are_for_with_comments_removed_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    for example in
        [generated("packaging/examples/cluster.toml"), uncommented(&generated("packaging/examples/cluster.toml"))]
    {
        let read = usher_coordinator::site_file::load(&file("cluster.toml", &example));
        assert!(read.is_ok(), "{}\n{example}", read.unwrap_err());
    }
    // As it is shipped it has no step, so that it is no file to use.
    let example = uncommented(&generated("packaging/examples/staging.toml"));
    let read = usher_coordinator::site_file::load_staging(&file("_staging.toml", &example));
    assert!(read.is_ok_and(|staging| staging.steps.len() == 2), "{example}");
    for example in
        [generated("packaging/examples/agent.toml"), uncommented(&generated("packaging/examples/agent.toml"))]
    {
        let read = usher_agent::config::Config::load(&file("agent.toml", &example));
        assert!(read.is_ok(), "{}\n{example}", read.unwrap_err());
    }
}

#[test]
fn what_the_puppet_module_writes_is_read_by_the_programs_that_it_is_for() {
    let golden = work_tree().join("packaging/puppet/usher/spec/golden");
    let load = |name: &str| usher_agent::config::Config::load(&golden.join(name)).unwrap();
    assert!(load("agent-defaults.toml").units.is_empty());
    assert_eq!(load("agent-control-plane.toml").units.len(), 3);
    let sites = Sites::read(&Place::Named(golden.join("clusters.d"))).unwrap();
    for site in &sites.entries {
        assert!(site.read.is_ok(), "{}: {:?}", site.path.display(), site.read);
    }
    assert_eq!(sites.entries.len(), 2);
}

#[test]
fn the_example_of_the_cluster_file_as_it_is_shipped_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.toml");
    fs::write(&path, generated("packaging/examples/cluster.toml")).unwrap();
    let site = usher_coordinator::site_file::load(&path).unwrap();
    assert_eq!(site, usher_coordinator::site::Site::default());
}

#[test]
fn with_comments_removed_the_examples_name_every_key() {
    for (path, record) in [
        ("packaging/examples/cluster.toml", usher_coordinator::site_file::describe()),
        ("packaging/examples/staging.toml", usher_coordinator::site_file::describe_staging()),
        ("packaging/examples/agent.toml", usher_agent::config::describe()),
    ] {
        let example = uncommented(&generated(path));
        for key in record.sections.iter().flat_map(|section| &section.keys) {
            let name = key.name.as_str();
            let ways = [format!("{name} = "), format!("\"{name}\" = ")];
            assert!(example.lines().any(|line| ways.iter().any(|way| line.starts_with(way))), "{path} lacks {name}");
        }
    }
}

#[test]
fn what_an_agent_manages_a_cluster_file_can_name_and_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let reads = |text: String, load: &dyn Fn(&Path) -> bool| {
        let path = folder.path().join("file.toml");
        fs::write(&path, text).unwrap();
        load(&path)
    };
    for (unit, good) in [
        ("a.service", true),
        ("a@b.service", true),
        ("a.socket", true),
        ("a.target", true),
        ("a.timer", true),
        ("a.path", true),
        ("var-lib.mount", true),
        ("a.slice", false),
        ("a.scope", false),
        ("a.device", false),
        ("a", false),
        ("a b.service", false),
        (".service", false),
    ] {
        let cluster = format!("[components.ccm]\nunit = '{unit}'\n");
        let agent = format!("[tls]\ncertificate = 'a'\nkey = 'b'\nclient_ca = 'c'\n[units.'{unit}']\n");
        assert_eq!(reads(cluster, &|path| usher_coordinator::site_file::load(path).is_ok()), good, "{unit}");
        assert_eq!(reads(agent, &|path| usher_agent::config::Config::load(path).is_ok()), good, "{unit}");
    }
}

/// The blocks of TOML in a page, each under the comment that names its file.
fn files_in(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(work_tree().join(page)).unwrap();
    let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let named = |block: &str| Some((block.strip_prefix("# ")?.split_whitespace().next()?.to_owned(), block.to_owned()));
    blocks.filter_map(named).filter(|(name, _)| name.ends_with(".toml")).collect()
}

#[test]
fn the_files_of_the_worked_examples_are_read_together() {
    for (page, expected) in [
        ("docs/clusters.md", &["_common.toml", "eqiad.toml", "codfw.toml"][..]),
        ("docs/staging.md", &["_common.toml", "staging-eqiad.toml", "staging-codfw.toml", "_staging.toml"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let files = files_in(page);
        assert_eq!(files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected, "{page}");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let place = usher_coordinator::site_file::Place::Named(folder.path().to_owned());
        let sites = usher_coordinator::site_file::Sites::read(&place).unwrap();
        for entry in &sites.entries {
            assert!(entry.read.is_ok(), "{page}: {}", entry.read.as_ref().unwrap_err());
        }
        let Some(path) = sites.staging_file() else { continue };
        let staging = usher_coordinator::site_file::load_staging(&path).unwrap();
        for name in &staging.clusters {
            assert!(sites.known().iter().any(|known| known.name.as_ref() == Some(name)), "{page}: {name}");
        }
        assert_eq!(staging.steps.len(), 4, "{page}");
    }
}
