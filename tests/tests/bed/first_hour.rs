//! The first hour on a machine without an agent: docs/first-hour.md from a cluster file by looking to the first polite reboot.
//!
//! The agent's package is installed from the folder that `USHER_DEBS` names; without it, the files that the bed has installed stay,
//! and only what an operator writes is made anew.

use std::{fs, path::Path};

use usher_testkit::bed::Bed;

use crate::turn::on_the_bed;

const MACHINE: &str = "w1";

#[test]
fn the_first_hour_ends_with_a_polite_reboot_by_certificates_and_a_cluster_file_of_ushers_own() {
    on_the_bed(async |bed| {
        let home = tempfile::tempdir()?;
        let ended = first_hour(bed, home.path()).await;
        bed.shell(MACHINE, "rm -rf /root/debs").await?;
        bed.install_agents().await?;
        ended
    });
}

async fn first_hour(bed: &Bed, home: &Path) -> anyhow::Result<()> {
    let file = home.join("cluster.toml");
    let pki = home.join("pki");
    let (folder, kubeconfig) = (pki.display().to_string(), bed.folder().kubeconfig().display().to_string());
    let usher = async |words: &[&str]| bed.usher_with(&file, words).await;

    // A machine on which nobody has set an agent up.
    bed.shell(MACHINE, "systemctl disable --now usher-agent; rm -rf /etc/usher/*.pem /var/lib/usher-agent").await?;

    // Looking: the control plane is found, and that nothing listens on this machine.
    usher(&["config", "init", "--yes", "--name", "bed", "--kubeconfig", &kubeconfig]).await?.success()?;
    let written = fs::read_to_string(&file)?;
    assert!(written.contains("cp1") && written.contains("Nothing listens on port 7470"), "{written}");
    let examined = usher(&["doctor", "-o", "json"]).await?;
    assert_eq!(examined.code, Some(1), "{examined}");
    usher(&["drain", MACHINE, "--dry-run"]).await?.success()?;

    // Certificates.
    usher(&["certificates", "init", "--folder", &folder]).await?.success()?;
    usher(&["certificates", "issue", "operator", "ann", "--folder", &folder]).await?.success()?;
    usher(&["certificates", "issue", "agent", MACHINE, "--folder", &folder]).await?.success()?;
    let own = |name: &str| pki.join(name).display().to_string();
    let written = written
        .replace("/etc/usher/client.pem", &own("callers/ann.pem"))
        .replace("/etc/usher/client-key.pem", &own("callers/ann-key.pem"))
        .replace("/etc/usher/ca.pem", &own("ca.pem"));
    fs::write(&file, written)?;

    // The agent.
    install(bed).await?;
    for (from, to) in [("agents/w1.pem", "agent.pem"), ("agents/w1-key.pem", "agent-key.pem"), ("ca.pem", "ca.pem")] {
        bed.write(MACHINE, &format!("/etc/usher/{to}"), &fs::read_to_string(pki.join(from))?).await?;
    }
    let script = "sed -i 's/^operator = .*/operator = [\"CN=ann\"]/' /etc/usher/agent.toml
        chown usher-agent: /etc/usher/agent-key.pem && chmod 600 /etc/usher/agent-key.pem
        systemctl enable --now usher-agent && systemctl restart usher-agent";
    bed.shell(MACHINE, script).await?;
    bed.await_agent(usher_testkit::bed::machine(MACHINE)?).await?;

    // Its agent is in order; those of the others know only the bed's own authority.
    let examined = usher(&["doctor", "-o", "json"]).await?.json()?;
    let about = |finding: &&serde_json::Value| finding["machines"].to_string().contains(&format!("\"{MACHINE}\""));
    let wrong = examined["findings"].as_array().into_iter().flatten().filter(|finding| finding["state"] == "wrong");
    let wrong: Vec<_> = wrong.filter(about).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");

    let rebooted = usher(&["reboot", MACHINE, "--reason", "the first one", "--yes"]).await?;
    assert_eq!(rebooted.code, Some(0), "{rebooted}");
    assert!(rebooted.says(&format!("{MACHINE} rebooted in ")), "{rebooted}");
    Ok(())
}

/// Installs the agent's package, if there is one.
async fn install(bed: &Bed) -> anyhow::Result<()> {
    let Some(debs) = std::env::var_os("USHER_DEBS") else { return Ok(()) };
    bed.shell(MACHINE, "mkdir -p /root/debs").await?;
    for entry in fs::read_dir(debs)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("usher-agent_") && name.ends_with(".deb") {
            let put = format!("cat > /root/debs/{name}");
            bed.exec_with_input(MACHINE, &["sh", "-c", &put], &fs::read(&path)?).await?.success()?;
        }
    }
    bed.shell(MACHINE, "DEBIAN_FRONTEND=noninteractive dpkg --force-confold --install /root/debs/*.deb").await?;
    Ok(())
}
