//! A stand-in for helmfile with helm: it lists one release of a service, and records a new revision of it as Helm does.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, bail};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

/// The one environment that it knows.
const ENVIRONMENT: &str = "sandbox";

/// Where its releases are.
const NAMESPACE: &str = "shop";

/// Its exit code where no release matches, as helmfile's.
const NO_MATCH: u8 = 3;

/// Writes a folder with one service, `search`, and the program, which `control` carries out.
pub(super) fn write(folder: &Path, control: &Path) -> anyhow::Result<()> {
    let service = folder.join("services/search");
    fs::create_dir_all(&service)?;
    fs::write(service.join("helmfile.yaml"), format!("environments:\n  {ENVIRONMENT}:\n"))?;
    let program = folder.join("helmfile");
    fs::write(&program, format!("#!/bin/sh\nexec '{}' helmfile \"$@\"\n", control.display()))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).context("write the stand-in for helmfile")
}

/// Does what helmfile would do in this folder: says each line to `say`, and returns the exit code.
///
/// # Errors
/// If the API does not answer as it should.
pub async fn helmfile(arguments: &[String], say: &dyn Fn(&str)) -> anyhow::Result<u8> {
    let folder = std::env::current_dir()?;
    let release = folder.file_name().and_then(|name| name.to_str()).context("a folder with a name")?;
    match arguments {
        [flag, environment, ..] if flag == "-e" && environment != ENVIRONMENT => {
            say(&format!(
                "err: no releases found that matches specified selector() and environment({environment}), in any helmfile"
            ));
            Ok(NO_MATCH)
        }
        all if all.iter().any(|word| word == "list") => {
            let release = json!({"name": release, "namespace": NAMESPACE, "enabled": true, "installed": true});
            say(&json!([release]).to_string());
            Ok(0)
        }
        all if all.iter().any(|word| word == "sync") => {
            say(&format!("Upgrading release={release}, chart=./chart, namespace={NAMESPACE}"));
            let number = upgrade(Client::try_default().await?, release).await?;
            say(&format!("Release \"{release}\" has been upgraded. REVISION: {number}"));
            Ok(0)
        }
        _ => bail!("this stand-in lists and syncs, nothing else"),
    }
}

async fn upgrade(client: Client, release: &str) -> anyhow::Result<u64> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let known = secrets.list(&ListParams::default().labels(&format!("owner=helm,name={release}"))).await?;
    let numbers = known.iter().filter_map(|secret| secret.labels().get("version")?.parse::<u64>().ok());
    let number = numbers.max().unwrap_or_default() + 1;
    let secret = |status: &str, number: u64| {
        json!({
            "metadata": {
                "name": format!("sh.helm.release.v1.{release}.v{number}"),
                "labels": {"owner": "helm", "name": release, "version": number.to_string(), "status": status},
            },
            "type": "helm.sh/release.v1",
        })
    };
    secrets.create(&PostParams::default(), &serde_json::from_value(secret("deployed", number))?).await?;
    if let Some(before) = known.iter().last() {
        let status = json!({"metadata": {"labels": {"status": "superseded"}}});
        secrets.patch(&before.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
    }
    let deployments: Api<Deployment> = Api::namespaced(client, NAMESPACE);
    let template = json!({"metadata": {"annotations": {"usher.dev/rolled": number.to_string()}}});
    let rolled = json!({"spec": {"template": template}});
    deployments.patch(release, &PatchParams::default(), &Patch::Merge(rolled)).await?;
    Ok(number)
}
