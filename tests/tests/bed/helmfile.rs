//! Rolls of a Helmfile service by real helmfile and helm, whose pods real controllers replace.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::process::Command;
use usher_testkit::bed::{Bed, until};

use crate::{drain::tenant::Tenant, run::Run, turn::on_the_bed};

/// From the change of a template to pods that are all of the new one.
const REPLACED: std::time::Duration = std::time::Duration::from_secs(180);

/// The folder with helm and helmfile: `tests/machines/helmfile.sh` finds or builds them.
async fn programs() -> anyhow::Result<PathBuf> {
    let script = machines().join("helmfile.sh");
    let output = Command::new(&script).stderr(Stdio::inherit()).output().await.context("run helmfile.sh")?;
    ensure!(output.status.success(), "{} ended with {}", script.display(), output.status);
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

fn machines() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("machines")
}

/// The bed's cluster file with the sample service, whose releases are in the tenant's namespace.
async fn cluster_file(tenant: &Tenant<'_>) -> anyhow::Result<PathBuf> {
    let (bed, programs) = (tenant.bed, programs().await?);
    let helm = programs.join("helm");
    let text = fs::read_to_string(bed.folder().cluster_file())?;
    let helmfile = format!(
        "\n[helmfile]\nfolder = {:?}\nprogram = {:?}\narguments = [\"--helm-binary\", {helm:?}, \"--namespace\", {:?}, \
         \"--state-values-set\", \"roll_restart=1\", \"sync\"]\n",
        machines().join("services"),
        programs.join("helmfile"),
        tenant.name,
    );
    // Beside it, for its paths.
    let path = bed.folder().cluster_file().with_file_name("cluster-helmfile.toml");
    fs::write(&path, text + &helmfile)?;
    Ok(path)
}

/// Deploys the service, as somebody does by hand.
async fn deploy(tenant: &Tenant<'_>) -> anyhow::Result<()> {
    let programs = programs().await?;
    let mut helmfile = Command::new(programs.join("helmfile"));
    helmfile.args(["-e", "bed", "--namespace", &tenant.name, "--helm-binary"]).arg(programs.join("helm")).arg("sync");
    helmfile.current_dir(machines().join("services/shop")).env("KUBECONFIG", tenant.bed.folder().kubeconfig());
    let output = helmfile.kill_on_drop(true).output().await.context("run helmfile")?;
    ensure!(output.status.success(), "helmfile sync: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

async fn usher(bed: &Bed, cluster_file: &Path, words: &[&str]) -> anyhow::Result<Run> {
    let words = [&["helmfile", "roll", "shop", "--output", "json", "--progress", "json"], words].concat();
    Ok(Run::read(bed.usher_with(cluster_file, &words).await?))
}

/// The uids of the tenant's pods, once there are four that stay, and none of `gone` among them.
async fn pods(tenant: &Tenant<'_>, gone: &[String]) -> anyhow::Result<Vec<String>> {
    until("four pods of the service", REPLACED, async || {
        let pods = tenant.pods().await?;
        let stays = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none() && usher_testkit::bed::is_ready(pod);
        let uids: Vec<_> = pods.iter().filter(stays).filter_map(|pod| pod.uid()).collect();
        Ok((pods.len() == 4 && uids.len() == 4 && !uids.iter().any(|uid| gone.contains(uid))).then_some(uids))
    })
    .await
}

#[test]
fn a_roll_replaces_every_pod_of_the_service_and_a_pending_release_is_left_alone() {
    on_the_bed(async |bed| {
        Tenant::with(bed, async |tenant| {
            let file = cluster_file(tenant).await?;
            usher(bed, &file, &["--dry-run"]).await?.assert_exit(3);
            deploy(tenant).await?;
            let before = pods(tenant, &[]).await?;

            let planned = usher(bed, &file, &["--dry-run"]).await?;
            planned.assert_exit(0);
            assert_eq!(planned.report["services"][0]["releases"][0]["revision"], 1, "{}", planned.output);

            let rolled = usher(bed, &file, &["--yes"]).await?;
            rolled.assert_exit(0);
            let moved: Vec<_> = rolled.report["services"][0]["releases"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|release| (release["name"].as_str(), release["before"].as_u64(), release["after"].as_u64()))
                .collect();
            assert_eq!(
                moved,
                [(Some("back"), Some(1), Some(2)), (Some("front"), Some(1), Some(2))],
                "{}",
                rolled.output
            );
            let after = pods(tenant, &before).await?;

            // As a helm that was killed leaves it.
            let labels = json!({"metadata": {"labels": {"status": "pending-upgrade"}}});
            let secrets = tenant.api::<Secret>();
            secrets.patch("sh.helm.release.v1.front.v2", &PatchParams::default(), &Patch::Merge(labels)).await?;
            let refused = usher(bed, &file, &["--yes"]).await?;
            refused.assert_exit(3);
            refused.assert_says("has been pending-upgrade for ");
            assert_eq!(pods(tenant, &[]).await?.len(), after.len());
            assert!(pods(tenant, &[]).await?.iter().all(|uid| after.contains(uid)), "nothing was replaced");
            Ok(())
        })
        .await
    });
}
