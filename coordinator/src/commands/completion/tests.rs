#![allow(clippy::disallowed_methods)] // the files that an operator writes

use std::{fs, path::Path};

use super::*;

/// A home with one cluster file, whose API answers nobody.
struct Home(tempfile::TempDir);

impl Home {
    fn create() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.write(
            "kubeconfig",
            "{clusters: [{name: c, cluster: {server: 'http://192.0.2.1:1'}}], users: [{name: u, user: {}}],
            contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}",
        );
        home.write(
            "cluster.toml",
            "name = 'eqiad'\naliases = ['main']\n[api]\nkubeconfig = 'kubeconfig'\n\
            [control_plane]\nmachines = ['cp1', 'cp2', 'w10']\n",
        );
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// What kubectl is offered after these words.
    fn offered(&self, line: &str) -> Vec<String> {
        let file = self.path().join("cluster.toml").display().to_string();
        let words = ["--cluster-file", &file].into_iter().chain(line.split(' ')).map(OsString::from).collect();
        let answer = answer_kubectl(words);
        let mut lines: Vec<_> = answer.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
        assert_eq!(lines.pop().as_deref(), Some(":4"), "{line}");
        lines.sort();
        lines
    }
}

#[test]
fn commands_and_flags_are_offered() {
    let home = Home::create();
    assert_eq!(home.offered("reb"), ["rebalance", "reboot"]);
    assert_eq!(home.offered("drain w1 --conc"), ["--concurrency"]);
    assert_eq!(home.offered("status -o ya"), ["yaml"]);
}

#[test]
fn names_of_the_site_are_offered_and_the_control_plane_within_a_second_while_no_api_answers() {
    let home = Home::create();
    let _ = rustls::crypto::ring::default_provider().install_default();
    assert_eq!(home.offered("restart kube-c"), ["kube-controller-manager"]);
    let all = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    assert_eq!(home.offered("restart "), all, "without the flags that could stand there too");
    assert_eq!(home.offered("status --cluster ma"), ["main"]);
    assert_eq!(home.offered("clusters use eq"), ["eqiad"]);
    let begun = tokio::time::Instant::now();
    assert_eq!(home.offered("reboot cp"), ["cp1", "cp2"]);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(home.offered("agent status cp1"), ["cp1"]);
    assert_eq!(home.offered("restart kube-scheduler --nodes cp1,cp"), ["cp1,cp1", "cp1,cp2"]);
    assert!(home.offered("reboot cp[1-").is_empty());
}

#[test]
fn each_shell_gets_a_script_that_asks_usher() {
    let shells = Shells::builtins();
    for name in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let mut script = Vec::new();
        shells.completer(name).unwrap().write_registration(VARIABLE, "usher", "usher", "usher", &mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains(VARIABLE) && script.contains("usher"), "{name}: {script}");
    }
    assert!(answer(OsStr::new("tcsh"), Vec::new()).is_err());
}
