//! Several sites in one folder, as the shipped program reads them. Nobody is asked, so there is nobody.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use super::programs;

/// A user's home with two sites, in which the kubeconfigs are named by user and cluster.
struct Home {
    folder: TempDir,
}

impl Home {
    fn create() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        home.write(
            ".config/usher/clusters.d/_common.toml",
            "realm = 'production'\n[api]\nkubeconfig = '../../../kubernetes/{user}-{cluster}.config'\n\
             users.deploy = '{service}-deploy'\n[env]\nTILLER_NAMESPACE = '{service}'\n",
        );
        home.write(".config/usher/clusters.d/eqiad.toml", "data_centre = 'eqiad'\naliases = ['main']\n");
        home.write(".config/usher/clusters.d/codfw.toml", "data_centre = 'codfw'\nrealm = 'spare'\n");
        for user in ["admin-eqiad", "admin-codfw", "mathoid-codfw", "mathoid-deploy-codfw"] {
            home.kubeconfig(&format!("kubernetes/{user}.config"), user.rsplit('-').next().unwrap(), 6443);
        }
        home
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn kubeconfig(&self, path: &str, cluster: &str, port: u16) {
        let text = "{clusters: [{name: C, cluster: {server: 'http://127.0.0.1:P'}}], users: [{name: root, user: {}}],
            contexts: [{name: x, context: {cluster: C, user: root}}], current-context: x}";
        self.write(path, &text.replace('C', cluster).replace('P', &port.to_string()));
    }

    /// Runs usher with nothing of the environment but this home and these variables.
    fn usher_with(&self, line: &str, variables: &[(&str, &str)]) -> Output {
        let mut usher = Command::new(programs().join("usher"));
        usher.args(line.split(' ')).env_clear().env("HOME", self.path()).envs(variables.iter().copied());
        usher.output().unwrap()
    }

    /// What it prints, and what it says beside; its exit code must be this.
    fn usher(&self, line: &str, exit: i32) -> (String, String) {
        self.told(self.usher_with(line, &[]), line, exit)
    }

    fn told(&self, output: Output, line: &str, exit: i32) -> (String, String) {
        let home = self.path().display().to_string();
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap().replace(&home, "/home"));
        assert_eq!(output.status.code(), Some(exit), "{line}: {out}{err}");
        (out, err)
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.usher(&format!("{line} -o json"), 0).0).unwrap()
    }
}

fn in_use(list: &Value) -> Vec<(&str, &str)> {
    let used = list["items"].as_array().unwrap().iter();
    used.filter_map(|item| Some((item["name"].as_str()?, item["inUse"].as_str()?))).collect()
}

#[test]
fn the_list_says_where_each_cluster_is_which_one_is_in_use_and_why() {
    let home = Home::create();
    let (table, note) = home.usher("clusters list", 0);
    let row =
        |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row("codfw"), ["codfw", "-", "spare", "codfw", "http://127.0.0.1:6443", "root", "-"]);
    assert_eq!(row("eqiad"), ["eqiad", "main", "production", "eqiad", "http://127.0.0.1:6443", "root", "-"]);
    assert!(note.contains("none is chosen") && note.contains("usher clusters use NAME"), "{note}");

    let flag = home.json("clusters list --cluster main");
    assert_eq!((in_use(&flag), flag["kind"].as_str()), (vec![("eqiad", "flag")], Some("ClusterList")));
    home.usher("clusters use codfw", 0);
    assert_eq!(in_use(&home.json("clusters list")), [("codfw", "use")]);
    let variable = home.usher_with("clusters list -o json", &[("USHER_CLUSTER", "eqiad")]);
    assert_eq!(in_use(&serde_json::from_slice(&variable.stdout).unwrap()), [("eqiad", "variable")]);
    home.usher("clusters use --clear", 0);
    assert!(in_use(&home.json("clusters list")).is_empty());
}

#[test]
fn a_command_says_when_the_remembered_cluster_decides_and_none_begins_while_none_is_chosen() {
    let home = Home::create();
    let (_, told) = home.usher("status", 2);
    assert!(told.contains("there are several clusters, and none is chosen"), "{told}");
    assert!(told.contains("there are: codfw, eqiad") && told.contains("--cluster NAME"), "{told}");

    home.usher("clusters use main", 0);
    let (_, told) = home.usher("drain w1 --dry-run", 1);
    assert!(told.contains("eqiad, chosen by `usher clusters use`"), "{told}");
    let (_, told) = home.usher("drain w1 --dry-run --cluster codfw", 1);
    assert!(!told.contains("usher clusters use"), "{told}");

    fs::remove_file(home.path().join(".config/usher/clusters.d/eqiad.toml")).unwrap();
    let (_, told) = home.usher("status", 2);
    assert!(told.contains("no cluster is called \"eqiad\", which was chosen by `usher clusters use`"), "{told}");
    assert!(told.contains("usher clusters use --clear"), "{told}");
}

#[test]
fn an_unknown_name_is_told_with_what_was_probably_meant() {
    let home = Home::create();
    for line in ["status --cluster codwf", "clusters show codwf", "clusters use codwf", "clusters env codwf"] {
        let (out, told) = home.usher(line, 2);
        assert!(out.is_empty() && told.contains("did you mean \"codfw\"?"), "{line}: {told}");
        assert!(told.contains("there are: codfw, eqiad"), "{line}: {told}");
    }
}

#[test]
fn kubectls_meaning_remains_for_names_that_no_site_has_and_another_cluster_of_a_sites_name_is_told() {
    let home = Home::create();
    home.kubeconfig(".kube/config", "minikube", 1);
    // Nobody answers there, but that is where usher asks.
    let (_, told) = home.usher("status --cluster minikube", 1);
    assert!(told.contains("http://127.0.0.1:1"), "{told}");

    home.kubeconfig(".kube/config", "codfw", 2);
    let (_, told) = home.usher("status --cluster codfw", 1);
    let expected =
        "codfw is the site at http://127.0.0.1:6443; the kubeconfig's cluster of this name is at http://127.0.0.1:2";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_shell_is_set_up_for_a_user_or_a_service_and_not_for_a_file_that_is_not_there() {
    let home = Home::create();
    let lines = |line: &str| home.usher(line, 0).0.lines().map(str::to_owned).collect::<Vec<_>>();
    let folder = "/home/.config/usher/clusters.d/../../../kubernetes";
    let common = ["export K8S_CLUSTER=codfw", "unset HELM_KUBECONTEXT", "export USHER_CLUSTER=codfw"];
    let no_service = "unset TILLER_NAMESPACE";
    assert_eq!(
        lines("clusters env codfw"),
        [
            format!("export KUBECONFIG={folder}/admin-codfw.config").as_str(),
            common[0],
            common[1],
            common[2],
            no_service
        ]
    );
    let tiller = "export TILLER_NAMESPACE=mathoid";
    assert_eq!(
        lines("clusters env codfw mathoid"),
        [format!("export KUBECONFIG={folder}/mathoid-codfw.config").as_str(), common[0], common[1], common[2], tiller]
    );
    assert_eq!(
        lines("clusters env codfw mathoid --user deploy")[0],
        format!("export KUBECONFIG={folder}/mathoid-deploy-codfw.config")
    );
    assert_eq!(lines("clusters env codfw --shell fish")[1], "set -gx K8S_CLUSTER 'codfw'");
    let (out, told) = home.usher("clusters env eqiad mathoid", 3);
    assert!(out.is_empty() && told.contains(&format!("there is no {folder}/mathoid-eqiad.config")), "{told}");
    let (_, told) = home.usher("clusters env codfw --user deploy", 2);
    assert!(told.contains("no service is named"), "{told}");

    // The shell reads it, and usher follows it.
    let script =
        format!("eval \"$('{}' clusters env codfw)\" && echo $K8S_CLUSTER", programs().join("usher").display());
    let shell = Command::new("sh").args(["-c", &script]).env_clear().env("HOME", home.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout), "codfw\n");
}

#[test]
fn the_check_covers_the_whole_folder_and_names_every_mistake_and_one_site_is_used_in_spite_of_anothers() {
    let home = Home::create();
    let (out, _) = home.usher("config check --cluster eqiad", 2);
    assert!(out.is_empty(), "the agents' certificates are missing");
    home.write(".config/usher/clusters.d/codfw.toml", "data_center = 'codfw'\n[defaults]\ngap = 'soon'\n");
    home.write(".config/usher/clusters.d/esams.toml", "port = 1\n");
    let (_, told) = home.usher("config check", 2);
    for expected in [
        "clusters.d/codfw.toml:1: data_center: unknown key; did you mean \"data_centre\"?",
        "clusters.d/codfw.toml:3: defaults.gap: \"soon\" is no duration",
        "clusters.d/esams.toml:1: port: unknown key",
        "clusters.d/eqiad.toml: cannot use",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    let (_, told) = home.usher("status --cluster eqiad", 1);
    assert!(told.contains("codfw.toml has mistakes, its site is left out"), "{told}");
    let (out, _) = home.usher("config view --show-origin --cluster eqiad", 0);
    assert!(out.contains("/home/.config/usher/clusters.d/_common.toml:1") && out.contains("eqiad.toml:1"), "{out}");

    home.write(".config/usher/clusters.d/esams.toml", "aliases = ['main']\n");
    let (_, told) = home.usher("status --cluster eqiad", 2);
    assert!(
        told.contains("esams.toml") && told.contains("eqiad.toml") && told.contains("\"main\" is an alias"),
        "{told}"
    );
}
