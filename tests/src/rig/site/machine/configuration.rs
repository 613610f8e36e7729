//! What an agent is told.

use std::{fs, path::Path};

use crate::{
    etcd::{self, FakeEtcd},
    rig::site::ports,
};

/// Writes `agent.toml` into a machine's folder, and the files with which the agent asks the member of etcd beside it. The agent may
/// probe its apiserver as well.
pub(super) fn write(folder: &Path, name: &str, units: &[&str], (member, probes): (Option<&FakeEtcd>, bool)) {
    let mut text = configuration(name, units);
    if probes {
        text.push_str(ports::PROBE);
    }
    if let Some(member) = member {
        member.write(folder);
        text.push_str(etcd::CONFIGURATION);
    }
    fs::write(folder.join("agent.toml"), text).unwrap();
}

fn configuration(name: &str, units: &[&str]) -> String {
    let units: String = units.iter().map(|unit| format!("[units.\"{unit}\"]\n")).collect();
    format!(
        "node = '{name}'\nlisten = '127.0.0.1:0'\nstate_directory = 'state'\nhold_file = 'hold'\nboot_id_file = 'boot_id'\n\
         socket = 'agent.sock'\n[tls]\ncertificate = 'agent.pem'\nkey = 'agent-key.pem'\nclient_ca = 'ca.pem'\n\
         [allow]\noperator = ['CN=operator']\n{units}"
    )
}
