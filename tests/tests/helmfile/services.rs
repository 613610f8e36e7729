//! A folder of services and the cluster in which their releases are.

use std::{
    cell::RefCell,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    rc::Rc,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use usher_coordinator::{
    cluster::Cluster,
    helmfile::{Access, Planned, Roll, RollReport, Told, plan},
    interrupt::Interrupt,
    problem::Problem,
    site::Site,
};
use usher_core::helmfile::Helmfile;
use usher_testkit::apiserver::{ApiServer, fixtures::helm_revision};

/// Says what a service's folder says: `releases.ENVIRONMENT`, or how helmfile fails. A sync is the service's own script.
const HELMFILE: &str = r#"#!/bin/sh
echo "$(basename "$PWD"): $* [${KUBECONFIG##*/} ${HELM_KUBECONTEXT-unset} ${HELM_NAMESPACE-unset}]" >> ../../calls
case " $* " in
*" list "*)
    if [ -f broken ]; then
        echo 'in ./helmfile.yaml: error during helmfile.yaml parsing' >&2
        exit 1
    fi
    if [ ! -f "releases.$2" ]; then
        echo "err: no releases found that matches specified selector() and environment($2), in any helmfile" >&2
        exit 3
    fi
    echo 'hook[prepare] logs | ready'
    cat "releases.$2"
    ;;
*) . ./sync.sh ;;
esac
"#;

/// What it lists of a release.
pub(crate) fn listed(name: &str) -> Value {
    json!({"name": name, "namespace": "shop", "enabled": true, "installed": true, "labels": "", "chart": "./chart", "version": ""})
}

pub(crate) struct Services {
    pub(crate) api: ApiServer,
    pub(crate) site: Site,
    folder: TempDir,
    /// What the operator was told, and what helmfile wrote.
    pub(crate) told: Rc<RefCell<Vec<String>>>,
}

impl Services {
    /// A site that is called wikikube-test, with the environment `test` for its alias.
    pub(crate) fn create() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("helmfile");
        fs::write(&path, HELMFILE).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("services")).unwrap();
        let helmfile = Helmfile {
            folder: Some(folder.path().join("services")),
            program: path.display().to_string(),
            ..Helmfile::default()
        };
        let site = Site {
            name: Some("wikikube-test".to_owned()),
            aliases: vec!["test".to_owned()],
            helmfile,
            ..Site::default()
        };
        Self { api: ApiServer::bare(), site, folder, told: Rc::default() }
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.folder.path().join("helmfile")
    }

    pub(crate) fn folder(&self, service: &str) -> PathBuf {
        self.folder.path().join("services").join(service)
    }

    pub(crate) fn write(&self, service: &str, file: &str, text: &str) {
        let folder = self.folder(service);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
    }

    /// A service with these releases in the environment `test`, each at revision 12 unless it has a record. Its sync is this script, in
    /// which the line `upgraded NAMESPACE/NAME NUMBER` means that Helm records that revision.
    pub(crate) fn add(&self, service: &str, releases: &[Value], sync: &str) {
        self.write(service, "helmfile.yaml", "environments:\n  test:\n");
        self.write(service, "releases.test", &json!(releases).to_string());
        self.write(service, "sync.sh", sync);
    }

    /// The same with one release of the service's own name at revision 12, which a sync upgrades.
    pub(crate) fn add_plain(&self, service: &str) {
        self.add(service, &[listed(service)], &format!("echo 'upgraded shop/{service} 13'"));
        self.api.add(helm_revision(&format!("shop/{service}"), 12));
    }

    /// How helmfile was called, with the variables that it got.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Whether a sync was begun.
    pub(crate) fn was_synced(&self) -> bool {
        self.calls().iter().any(|call| call.contains(" sync "))
    }

    pub(crate) fn access(&self) -> Access {
        Access {
            cluster: Cluster::over(self.api.client(), "wikikube-test", "memory"),
            kubeconfig: Some(Path::new("/etc/kubernetes/test.config").to_owned()),
            context: Some("admin@test".to_owned()),
        }
    }

    pub(crate) async fn plan(&self, service: &str) -> Result<Planned, Problem> {
        self.plan_in(service, None).await
    }

    pub(crate) async fn plan_in(&self, service: &str, environment: Option<&str>) -> Result<Planned, Problem> {
        plan(&self.site, service, self.access(), environment).await
    }

    /// Why a service cannot be rolled: the sentence, the details and the hints, a line each.
    pub(crate) async fn refusal(&self, service: &str) -> String {
        let problem = self.plan(service).await.expect_err(service);
        let lines = std::iter::once(problem.to_text()).collect::<Vec<_>>();
        lines.join("\n").replace(&self.folder.path().canonicalize().unwrap().display().to_string(), "/srv")
    }

    /// Rolls services; `act` gets each line that helmfile writes.
    pub(crate) async fn roll(
        &self,
        services: &[Planned],
        interrupt: &Interrupt,
        act: impl Fn(&str, &str),
    ) -> RollReport {
        let tell = |told: Told<'_>| match told {
            Told::Line { service, text } => {
                if let Some(["upgraded", release, number]) = text.split(' ').collect::<Vec<_>>().first_chunk::<3>() {
                    self.api.add(helm_revision(release, number.parse().unwrap()));
                }
                self.told.borrow_mut().push(format!("{service}: {text}"));
                act(service, text);
            }
            Told::Began { service, .. } => self.told.borrow_mut().push(format!("{service} began")),
            Told::Ended { service, state, .. } => self.told.borrow_mut().push(format!("{service} ended: {state:?}")),
        };
        let settings = &self.site.helmfile;
        Roll { settings, limit: settings.timeout, services, interrupt, tell: &tell }.carry_out().await
    }

    /// The same from the plan on, with nobody who interrupts.
    pub(crate) async fn roll_all(&self, services: &[&str]) -> RollReport {
        let mut planned = Vec::new();
        for service in services {
            planned.push(self.plan(service).await.unwrap());
        }
        let (_signals, interrupt) = Interrupt::by_hand();
        self.roll(&planned, &interrupt, |_, _| {}).await
    }
}
