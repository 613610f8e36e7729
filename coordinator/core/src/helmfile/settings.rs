//! What the site says of its Helmfile services.

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

/// How the site's services are rolled by helmfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Helmfile {
    /// The folder of a service, in which `{service}` and `{cluster}` may stand. Without `{service}` in it: the folder that has one for
    /// each service. Unset, nothing can be rolled.
    pub folder: Option<PathBuf>,
    /// helmfile: a path, or a name that is found by `PATH`.
    pub program: String,
    /// The environment. Unset: the site's name, or the first of its aliases that the service's helmfile knows.
    pub environment: Option<String>,
    /// What follows the environment: helmfile's own flags, then [`sync` or `apply`](Self::VERBS) with its flags.
    pub arguments: Vec<String>,
    /// What `{user}` stands for in the site's kubeconfig and context where no flag names a user: a name of `[api.users]`, or itself.
    /// Unset: as for every other command.
    pub user: Option<String>,
    /// How long helmfile may take for one service.
    pub timeout: Duration,
}

impl Default for Helmfile {
    fn default() -> Self {
        Self {
            folder: None,
            program: "helmfile".to_owned(),
            environment: None,
            arguments: ["--state-values-set", "roll_restart=1", "sync"].map(str::to_owned).into(),
            user: None,
            // Helm waits up to ten minutes for one release where a site lets it wait, and a service has a few.
            timeout: Duration::from_secs(30 * 60),
        }
    }
}

impl Helmfile {
    /// The commands of helmfile that roll a service.
    pub const VERBS: [&str; 2] = ["sync", "apply"];

    /// Where a service's helmfile is. None if the site does not say.
    pub fn folder_of(&self, service: &str, cluster: &str) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        let Some(template) = folder.to_str() else { return Some(folder.join(service)) };
        let filled = template.replace("{cluster}", cluster);
        if filled.contains("{service}") {
            Some(filled.replace("{service}", service).into())
        } else {
            Some(PathBuf::from(filled).join(service))
        }
    }

    /// The environments that may be meant, the likeliest first: the one that was asked for, else the site's, else the names by which
    /// the cluster is called.
    pub fn environments<'a>(
        &'a self,
        asked: Option<&'a str>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Vec<&'a str> {
        match asked.or(self.environment.as_deref()) {
            Some(only) => vec![only],
            None => names.into_iter().collect(),
        }
    }

    /// The command line that rolls a service.
    pub fn roll(&self, environment: &str) -> Vec<String> {
        let mut line = self.begin(environment);
        line.extend(self.arguments.iter().cloned());
        line
    }

    /// The command line that shows what a roll would change beside the restart.
    pub fn diff(&self, environment: &str) -> Vec<String> {
        let mut line = self.begin(environment);
        line.extend(self.own_flags());
        line.push("diff".to_owned());
        line
    }

    /// The command line that lists a service's releases as JSON, without asking a cluster or fetching a chart.
    ///
    /// It has helmfile's own flags, such as a selector, but no state values: with one on the command line, helmfile takes any
    /// environment for a known one where its file names none.
    pub fn list(&self, environment: &str) -> Vec<String> {
        let mut line = self.begin(environment);
        line.extend(self.own_flags());
        line.extend(["list", "--output", "json", "--skip-charts"].map(str::to_owned));
        line
    }

    /// Whether the command line says which file helmfile reads, so that none need be in the service's folder.
    pub fn names_its_file(&self) -> bool {
        self.own_flags().iter().any(|flag| flag.starts_with("-f") || flag.starts_with("--file"))
    }

    /// The namespace into which the command line puts every release, if it does. helmfile's list does not say so.
    pub fn namespace(&self) -> Option<String> {
        let mut flags = self.own_flags().into_iter();
        while let Some(flag) = flags.next() {
            if flag == "--namespace" || flag == "-n" {
                return flags.next();
            }
            if let Some(value) = flag.strip_prefix("--namespace=") {
                return Some(value.to_owned());
            }
        }
        None
    }

    fn begin(&self, environment: &str) -> Vec<String> {
        vec![self.program.clone(), "-e".to_owned(), environment.to_owned()]
    }

    /// The flags before the verb, without those that set state values.
    fn own_flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        let mut before = self.arguments.iter().take_while(|argument| !Self::VERBS.contains(&argument.as_str()));
        while let Some(flag) = before.next() {
            if !flag.starts_with("--state-values-") {
                flags.push(flag.clone());
            } else if !flag.contains('=') {
                // Its value is the next argument.
                before.next();
            }
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[String]) -> String {
        line.join(" ")
    }

    #[test]
    fn a_service_is_rolled_as_operators_do_it_by_hand() {
        let plain = Helmfile::default();
        assert_eq!(words(&plain.roll("codfw")), "helmfile -e codfw --state-values-set roll_restart=1 sync");
        assert_eq!(words(&plain.list("codfw")), "helmfile -e codfw list --output json --skip-charts");
        assert_eq!(words(&plain.diff("codfw")), "helmfile -e codfw diff");
    }

    #[test]
    fn the_list_heeds_helmfiles_own_flags_but_no_state_values() {
        let arguments = [
            "--selector",
            "tier=front",
            "--state-values-set=a=b",
            "--state-values-set-string",
            "c=sync",
            "-q",
            "sync",
            "--skip-deps",
        ];
        let site = Helmfile {
            program: "/opt/helmfile".to_owned(),
            arguments: arguments.map(str::to_owned).into(),
            ..Helmfile::default()
        };
        assert_eq!(
            words(&site.list("x")),
            "/opt/helmfile -e x --selector tier=front -q list --output json --skip-charts"
        );
        assert!(words(&site.roll("x")).ends_with("c=sync -q sync --skip-deps"));
        assert!(!site.names_its_file());
        let named = Helmfile { arguments: ["--file", "web.yaml", "sync"].map(str::to_owned).into(), ..site };
        assert!(named.names_its_file());
        assert_eq!(named.namespace(), None);
        for line in [&["-n", "shop", "sync"][..], &["-q", "--namespace", "shop", "sync"], &["--namespace=shop", "sync"]]
        {
            let arguments = line.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(Helmfile { arguments, ..named.clone() }.namespace().as_deref(), Some("shop"), "{line:?}");
        }
    }

    #[test]
    fn the_folder_is_one_of_the_folder_of_services_unless_the_template_says_where() {
        let at = |folder: &str| {
            let site = Helmfile { folder: Some(folder.into()), ..Helmfile::default() };
            site.folder_of("mathoid", "codfw").map(|path| path.display().to_string())
        };
        assert_eq!(at("/srv/services").as_deref(), Some("/srv/services/mathoid"));
        assert_eq!(at("/srv/{cluster}/{service}/deploy").as_deref(), Some("/srv/codfw/mathoid/deploy"));
        assert_eq!(Helmfile::default().folder_of("mathoid", "codfw"), None);
    }

    #[test]
    fn the_environment_is_the_one_asked_for_else_the_sites_else_a_name_of_the_cluster() {
        let plain = Helmfile::default();
        let site = Helmfile { environment: Some("live".to_owned()), ..Helmfile::default() };
        let names = ["wikikube-codfw", "codfw"];
        assert_eq!(plain.environments(Some("staging"), names), ["staging"]);
        assert_eq!(site.environments(Some("staging"), names), ["staging"]);
        assert_eq!(site.environments(None, names), ["live"]);
        assert_eq!(plain.environments(None, names), names);
    }
}
