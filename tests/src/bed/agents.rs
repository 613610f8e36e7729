//! The agent on the machines, installed as its package would, and the cluster files with which `usher` reaches them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use tokio::net::TcpStream;

use super::{
    Bed, Client, Generation, MACHINES, Machine, Output, Role, files::File, folder::work_tree, template::fill, until,
};

const CONFIGURATION: &str = include_str!("../../machines/config/agent.toml");
const UNITS: &str = include_str!("../../machines/config/agent-units.toml");
const ETCD: &str = include_str!("../../machines/config/agent-etcd.toml");
const DROP_IN: &str = include_str!("../../machines/units/usher-agent-bed.conf");
const BOOT_ID: &str = include_str!("../../machines/config/boot-id.tmpfiles");
/// In place of the drop-in: systemd 257 sets a unit's own /proc up after its bind mounts.
const BOOT_ID_FILE: &str = "boot_id_file = \"/run/boot-id\"\n";
const CLUSTER_FILE: &str = include_str!("../../machines/config/cluster.toml");
const POOL_COMMANDS: &str = include_str!("../../machines/config/pool-commands.toml");

/// The files of the package: where they are in the work tree, and where they go.
const PACKAGED: [(&str, &str); 3] = [
    ("systemd/usher-agent.service", "/usr/lib/systemd/system/usher-agent.service"),
    ("polkit/50-usher-agent.rules", "/usr/share/polkit-1/rules.d/50-usher-agent.rules"),
    ("sysusers/usher-agent.conf", "/usr/lib/sysusers.d/usher-agent.conf"),
];
/// Where administrators put polkit's rules. One here comes before the package's of the same name.
const RULE: &str = "/etc/polkit-1/rules.d/50-usher-agent.rules";

/// What a package's maintainer scripts do after unpacking.
const POST_INSTALL: &str = "
    systemd-sysusers
    systemd-tmpfiles --create /etc/tmpfiles.d/boot-id.conf
    chgrp usher-agent /etc/usher/agent-key.pem
    [ ! -e /etc/usher/etcd-key.pem ] || chgrp usher-agent /etc/usher/etcd-key.pem
    systemctl daemon-reload
    systemctl try-restart polkit.service
    systemctl enable --quiet usher-agent.service
    systemctl restart usher-agent.service
";
const START_LIMIT: Duration = Duration::from_secs(30);

impl Bed {
    /// Runs `usher` as the operator, with the cluster file whose commands know the balancer's pool.
    ///
    /// # Errors
    /// If it cannot be run. How it ended is no error.
    pub async fn usher(&self, words: &[&str]) -> anyhow::Result<Output> {
        self.usher_with(&self.folder.cluster_file(), words).await
    }

    /// Runs `usher` with another cluster file.
    ///
    /// # Errors
    /// As for [`Bed::usher`].
    pub async fn usher_with(&self, cluster_file: &Path, words: &[&str]) -> anyhow::Result<Output> {
        self.usher_watched(cluster_file, words, async |_| {}).await
    }

    /// Runs `usher` with an eye on its process.
    pub(super) async fn usher_watched(
        &self,
        cluster_file: &Path,
        words: &[&str],
        watch: impl AsyncFnOnce(u32),
    ) -> anyhow::Result<Output> {
        let program = self.settings.usher.join("usher");
        let arguments: Vec<_> = ["--cluster-file".as_ref(), cluster_file.as_os_str()]
            .into_iter()
            .chain(words.iter().map(AsRef::as_ref))
            .collect();
        let mut output = Output::watched(program, &arguments, &[], watch).await?;
        output.command = format!("usher {}", words.join(" "));
        Ok(output)
    }

    /// Runs `usher` with another client's certificate.
    ///
    /// # Errors
    /// As for [`Bed::usher`].
    pub async fn usher_as(&self, client: Client, words: &[&str]) -> anyhow::Result<Output> {
        self.usher_with(&self.cluster_file_of(client), words).await
    }

    /// Installs the agents again if their binary or their packaging has changed since.
    ///
    /// # Errors
    /// If an agent does not come up.
    pub async fn refresh_agents(&self, say: super::Progress<'_>) -> anyhow::Result<()> {
        if fs::read_to_string(self.stamp_path()).ok() != Some(self.stamp()?) {
            self.install_agents().await?;
            say("agents brought up to date");
        }
        Ok(())
    }

    /// Installs the agent with its configuration on all machines, and waits until each listens.
    ///
    /// # Errors
    /// If an agent does not come up, with its journal.
    pub async fn install_agents(&self) -> anyhow::Result<()> {
        let stamp = self.stamp()?;
        try_join_all(MACHINES.iter().map(|machine| self.install_agent(machine))).await?;
        fs::write(self.stamp_path(), stamp)?;
        Ok(())
    }

    pub(super) async fn install_agent(&self, machine: &Machine) -> anyhow::Result<()> {
        let mut files = self.agent_configuration(machine)?;
        files.push(File::new("/usr/sbin/usher-agent", read(&self.settings.usher.join("usher-agent"))?).mode(0o755));
        for (from, to) in PACKAGED {
            files.push(File::new(to, read(&work_tree().join("packaging").join(from))?));
        }
        if machine.role == Role::ControlPlane {
            files.push(File::new(RULE, polkit_rule()?));
        }
        self.put(machine, &files).await?;
        self.shell(machine.name, POST_INSTALL).await?;
        self.await_agent(machine).await
    }

    /// Puts the agent's own configuration and certificates back as they were installed, and restarts it.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn reset_agent(&self, machine: &Machine) -> anyhow::Result<()> {
        self.put(machine, &self.agent_configuration(machine)?).await?;
        self.shell(machine.name, POST_INSTALL).await?;
        self.await_agent(machine).await
    }

    /// Gives a machine's agent another certificate by the same authority, as a renewal would: one file, then the other.
    ///
    /// # Errors
    /// If the machine is off.
    pub async fn renew_certificate(&self, machine: &Machine, generation: Generation) -> anyhow::Result<()> {
        self.put(machine, &self.agent_identity(machine, generation)?).await?;
        self.shell(machine.name, "chgrp usher-agent /etc/usher/agent-key.pem").await.map(drop)
    }

    /// Waits until a machine's agent listens.
    ///
    /// # Errors
    /// If it does not in time, with the end of its journal.
    pub async fn await_agent(&self, machine: &Machine) -> anyhow::Result<()> {
        let listening = format!("the agent of {}", machine.name);
        let connection = until(&listening, START_LIMIT, async || Ok(Some(TcpStream::connect(machine.agent()).await?)));
        if let Err(error) = connection.await {
            let journal = self.journal(machine.name, "usher-agent.service").await.unwrap_or_default();
            return Err(error.context(format!("its journal:\n{journal}")));
        }
        Ok(())
    }

    fn agent_configuration(&self, machine: &Machine) -> anyhow::Result<Vec<File>> {
        let mut text = fill(CONFIGURATION, &[("node", machine.name)])?;
        if machine.debian == "trixie" {
            text.insert_str(0, BOOT_ID_FILE);
        }
        if machine.role == Role::ControlPlane {
            text.push_str(UNITS);
            text.push_str(ETCD);
        }
        let mut files = self.agent_identity(machine, Generation::First)?;
        if machine.role == Role::ControlPlane {
            files.extend(self.etcd_client()?);
        }
        files.push(File::new("/etc/usher/agent.toml", text));
        if machine.debian != "trixie" {
            files.push(File::unit("usher-agent.service.d/bed.conf", DROP_IN));
        }
        files.push(File::new("/etc/tmpfiles.d/boot-id.conf", BOOT_ID));
        files.push(File::new("/etc/usher/ca.pem", read(&self.folder.pki().join("agents-ca.pem"))?));
        Ok(files)
    }

    /// What a control plane's agent asks its member of etcd with. The member's own certificate is none of the agent's to read.
    fn etcd_client(&self) -> anyhow::Result<Vec<File>> {
        let pki = self.folder.pki();
        Ok(vec![
            File::new("/etc/usher/etcd-ca.pem", read(&pki.join("ca.pem"))?),
            File::new("/etc/usher/etcd.pem", read(&pki.join("etcd-client.pem"))?),
            File::new("/etc/usher/etcd-key.pem", read(&pki.join("etcd-client-key.pem"))?).mode(0o640),
        ])
    }

    fn agent_identity(&self, machine: &Machine, generation: Generation) -> anyhow::Result<Vec<File>> {
        let (pki, name) = (self.folder.pki(), generation.of(machine));
        Ok(vec![
            File::new("/etc/usher/agent.pem", read(&pki.join(format!("{name}.pem")))?),
            File::new("/etc/usher/agent-key.pem", read(&pki.join(format!("{name}-key.pem")))?).mode(0o640),
        ])
    }

    /// Writes the cluster files, and the scripts with which a person uses the bed.
    pub(super) fn write_site(&self) -> anyhow::Result<()> {
        for client in Client::ALL {
            fs::write(self.cluster_file_of(client), self.cluster_text(client)? + &self.pool_text()?)?;
        }
        fs::write(self.folder.cluster_file_without_pool(), self.cluster_text(Client::Operator)?)?;
        let enter = format!("exec nsenter --net={}", self.sandbox.network().display());
        let usher = format!(
            "#!/bin/sh\nexport USHER_CLUSTER_FILE=\"${{USHER_CLUSTER_FILE:-{}}}\"\n{enter} {} \"$@\"\n",
            self.folder.cluster_file().display(),
            self.settings.usher.join("usher").display()
        );
        let kubectl = format!(
            "#!/bin/sh\n{enter} {} --kubeconfig {} \"$@\"\n",
            self.kubernetes_program("kubectl").display(),
            self.folder.kubeconfig().display()
        );
        for (name, text) in [("usher", usher), ("kubectl", kubectl)] {
            let path = self.folder.scripts().join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    fn cluster_text(&self, client: Client) -> anyhow::Result<String> {
        fill(CLUSTER_FILE, &[("client", client.name())])
    }

    fn pool_text(&self) -> anyhow::Result<String> {
        let (bed, folder) = (self.settings.bed.to_string_lossy(), self.folder.path().to_string_lossy());
        fill(POOL_COMMANDS, &[("bed", &bed), ("folder", &folder)])
    }

    fn cluster_file_of(&self, client: Client) -> std::path::PathBuf {
        match client {
            Client::Operator => self.folder.cluster_file(),
            _ => self.folder.path().join(format!("cluster-{}.toml", client.name())),
        }
    }

    fn stamp_path(&self) -> std::path::PathBuf {
        self.folder.path().join("agents.stamp")
    }

    /// What the agents' installation is made of: sizes and times tell a change well enough.
    fn stamp(&self) -> anyhow::Result<String> {
        let packaging = work_tree().join("packaging");
        let files =
            PACKAGED.iter().map(|(from, _)| packaging.join(from)).chain([self.settings.usher.join("usher-agent")]);
        let lines = files.map(|path| {
            let metadata = fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let changed = metadata.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_millis();
            Ok(format!("{} {} {changed}\n", path.display(), metadata.len()))
        });
        lines.chain([CONFIGURATION, UNITS, ETCD, DROP_IN, BOOT_ID].map(|text| Ok(text.to_owned()))).collect()
    }
}

/// The package's rule with etcd's unit added, as an administrator adds it who lets usher restart the members.
fn polkit_rule() -> anyhow::Result<String> {
    let packaged = String::from_utf8(read(&work_tree().join("packaging/polkit/50-usher-agent.rules"))?)?;
    let last = "\"kube-scheduler.service\"]";
    ensure!(packaged.contains(last), "polkit's rule has no list of units that ends with {last}");
    Ok(packaged.replace(last, "\"kube-scheduler.service\", \"etcd.service\"]"))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
