//! Real helmfile and helm on a real API server: what they list, record and refuse is what `usher helmfile roll` counts on.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Secret},
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use usher_coordinator::{
    cluster::Cluster,
    exit::Exit,
    helmfile::{Access, Planned, Roll, RollReport, plan},
    interrupt::Interrupt,
    problem::Problem,
    site::Site,
};
use usher_core::helmfile::Helmfile;

use crate::{cases::Server as _, real};

const NAMESPACE: &str = "rolled";

/// The folder with helm and helmfile. The script finds them, or builds them once.
fn programs() -> anyhow::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("machines/helmfile.sh");
    let output = std::process::Command::new(&script).stderr(Stdio::inherit()).output().context("run helmfile.sh")?;
    if !output.status.success() {
        bail!("{} ended with {}", script.display(), output.status);
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// The sample service, in the site `bed`.
struct Shop {
    site: Site,
    access: Access,
    client: Client,
}

impl Shop {
    fn of(server: &real::RealServer, programs: &Path) -> anyhow::Result<Self> {
        let helm = programs.join("helm").display().to_string();
        let flags = ["--helm-binary", &helm, "--namespace", NAMESPACE, "--state-values-set", "roll_restart=1", "sync"];
        let helmfile = Helmfile {
            folder: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("machines/services")),
            program: programs.join("helmfile").display().to_string(),
            arguments: flags.map(str::to_owned).into(),
            ..Helmfile::default()
        };
        let client = server.client();
        let access = Access {
            cluster: Cluster::over(client.clone(), "bed", "real"),
            kubeconfig: Some(server.write_kubeconfig()?),
            context: Some("real".to_owned()),
        };
        Ok(Self { site: Site { name: Some("bed".to_owned()), helmfile, ..Site::default() }, access, client })
    }

    async fn plan(&self, environment: Option<&str>) -> Result<Planned, Problem> {
        plan(&self.site, "shop", self.access.clone(), environment).await
    }

    async fn roll(&self) -> RollReport {
        let planned = [self.plan(None).await.expect("a plan")];
        let (_signals, interrupt) = Interrupt::by_hand();
        let settings = &self.site.helmfile;
        let roll = Roll { settings, limit: settings.timeout, services: &planned, interrupt: &interrupt, tell: &|_| {} };
        roll.carry_out().await
    }

    /// Deploys the service, as somebody does by hand.
    async fn deploy(&self) {
        let settings = Helmfile { arguments: self.without_state_values(), ..self.site.helmfile.clone() };
        let argv = settings.roll("bed");
        let mut command = tokio::process::Command::new(&argv[0]);
        command.args(&argv[1..]).current_dir(settings.folder_of("shop", "bed").unwrap());
        command.env("KUBECONFIG", self.access.kubeconfig.as_ref().unwrap());
        let output = command.kill_on_drop(true).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn without_state_values(&self) -> Vec<String> {
        let arguments = self.site.helmfile.arguments.iter();
        arguments.filter(|it| *it != "--state-values-set" && *it != "roll_restart=1").cloned().collect()
    }

    /// The annotation of each Deployment's pods that a roll changes.
    async fn rolled(&self) -> Vec<String> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), NAMESPACE);
        let list = deployments.list(&ListParams::default()).await.unwrap();
        let annotation =
            |deployment: Deployment| deployment.spec?.template.metadata?.annotations?.remove("usher.dev/rolled");
        list.into_iter().filter_map(annotation).collect()
    }

    /// Gives the newest record of a release another status.
    async fn mark(&self, release: &str, number: u64, status: &str) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let labels = json!({"metadata": {"labels": {"status": status}}});
        let name = format!("sh.helm.release.v1.{release}.v{number}");
        secrets.patch(&name, &PatchParams::default(), &Patch::Merge(labels)).await.unwrap();
    }
}

#[tokio::test]
async fn real_helmfile_and_helm_are_read_and_rolled_as_the_suite_with_a_script_has_it() {
    let programs = programs().expect("helm and helmfile");
    let binaries = real::binaries().expect("the binaries of the test bed");
    let server = real::RealServer::start(&binaries).await.expect("a kube-apiserver");
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
    Api::<Namespace>::all(server.client()).create(&PostParams::default(), &namespace).await.unwrap();
    let shop = Shop::of(&server, &programs).unwrap();

    // Neither is deployed: a roll would install them.
    let refused = shop.plan(None).await.unwrap_err();
    assert_eq!(
        refused.message, "shop: the release rolled/back is not there, so a roll would install it",
        "{refused:#?}"
    );
    assert_eq!(refused.details, ["the release rolled/front is not there, so a roll would install it"]);
    let refused = shop.plan(Some("codwf")).await.unwrap_err();
    assert_eq!(refused.message, "the helmfile of shop knows no environment \"codwf\", or has no release in it");

    shop.deploy().await;
    assert_eq!(shop.rolled().await, ["", ""]);
    let plan = shop.plan(None).await.unwrap().plan;
    let releases: Vec<_> = plan.releases.iter().map(|it| format!("{} {} {}", it.id, it.revision, it.status)).collect();
    assert_eq!(releases, ["rolled/back 1 deployed", "rolled/front 1 deployed"]);

    let report = shop.roll().await;
    assert_eq!(report.exit, Exit::Done, "{report:#?}");
    assert_eq!(report.details, ["shop: rolled/back 1 → 2", "shop: rolled/front 1 → 2"]);
    assert_eq!(report.services[0].releases[0].changed, Some(vec!["deployment/back".to_owned()]));
    let annotations = shop.rolled().await;
    assert!(annotations.len() == 2 && annotations.iter().all(|it| !it.is_empty()), "{annotations:?}");

    // Helm refuses as well what usher refuses; usher names the way out.
    shop.mark("front", 2, "pending-upgrade").await;
    let refused = shop.plan(None).await.unwrap_err();
    assert!(
        refused.message.starts_with("shop: the release rolled/front has been pending-upgrade for "),
        "{refused:#?}"
    );
    let kubeconfig = shop.access.kubeconfig.as_ref().unwrap().display();
    let way = format!("helm rollback front 1 -n rolled --kubeconfig {kubeconfig} --kube-context real");
    assert!(refused.hints[1].ends_with(&way), "{refused:#?}");
    shop.mark("front", 2, "deployed").await;
    assert_eq!(shop.roll().await.details, ["shop: rolled/back 2 → 3", "shop: rolled/front 2 → 3"]);
}
