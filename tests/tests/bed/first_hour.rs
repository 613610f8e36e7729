//! The first hour on a bare machine: docs/first-hour.md, from a cluster file by looking and the agent's package to the first polite
//! reboot.

use std::{fs, path::Path};

use usher_testkit::bed::Bed;

use crate::turn::on_the_bed;

/// The document's own; below, what a machine needs that tests reboot all day.
const AGENT_TOML: &str = "[tls]
certificate = \"/etc/usher/agent.pem\"
key = \"/etc/usher/agent-key.pem\"
client_ca = \"/etc/usher/ca.pem\"

[allow]
operator = [\"CN=ann\"]

[units.\"kubelet.service\"]

[reboot]
budget_per_day = 1000
";

const MACHINE: &str = "w1";

#[test]
fn the_first_hour_ends_with_a_polite_reboot_by_certificates_and_a_cluster_file_of_ushers_own() {
    on_the_bed(async |bed| {
        let home = tempfile::tempdir()?;
        let ended = first_hour(bed, home.path()).await;
        bed.undo_agent_package(MACHINE).await?;
        ended
    });
}

async fn first_hour(bed: &Bed, home: &Path) -> anyhow::Result<()> {
    let file = home.join("cluster.toml");
    let pki = home.join("pki");
    let (folder, kubeconfig) = (pki.display().to_string(), bed.folder().kubeconfig().display().to_string());
    let usher = async |words: &[&str]| bed.usher_with(&file, words).await;

    // Bare: the bed has brought the agent's files itself, and the package takes them along when it is purged.
    let package = bed.put_agent_package(MACHINE, "0.1.0-1~first").await?;
    bed.shell(MACHINE, &format!("dpkg --install {package} && dpkg --purge usher-agent && rm -f /etc/usher/*.pem"))
        .await?;
    bed.shell(MACHINE, "test ! -e /usr/sbin/usher-agent && test ! -e /var/lib/usher-agent").await?;

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
    bed.shell(MACHINE, &format!("dpkg --install {package}")).await?;
    for (from, to) in [("agents/w1.pem", "agent.pem"), ("agents/w1-key.pem", "agent-key.pem"), ("ca.pem", "ca.pem")] {
        bed.write(MACHINE, &format!("/etc/usher/{to}"), &fs::read_to_string(pki.join(from))?).await?;
    }
    bed.write(MACHINE, "/etc/usher/agent.toml", AGENT_TOML).await?;
    let script = "chown usher-agent: /etc/usher/agent-key.pem && chmod 600 /etc/usher/agent-key.pem
        usher-agent --check-config && systemctl enable --now usher-agent";
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
