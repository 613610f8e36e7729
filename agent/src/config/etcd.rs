//! `[etcd]`: the node's member of etcd, and how the agent asks it.

use std::{path::PathBuf, time::Duration};

use usher_common::{
    config_file::{LIMIT, PATH, TEXT, Table},
    unit,
};

use super::{ClientCertificate, Url, values::URL};

/// The node's member of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// Its client URL.
    pub url: Url,
    /// The CAs that may have signed the member's certificate, PEM. Read again for each question.
    pub ca: PathBuf,
    /// What the agent shows the member, which knows its clients by certificates. Both files are read again for each question.
    pub certificate: ClientCertificate,
    /// The name that the member's certificate must carry. Default: the URL's host.
    pub server_name: Option<String>,
    /// Its systemd unit, which need not be one that the agent manages. Default `etcd.service`.
    pub unit: String,
    /// How long the member may take to answer. Default 3 s.
    pub timeout: Duration,
}

/// `[etcd]` of the file, if it is there.
pub(super) fn etcd(root: &mut Table<'_>) -> Option<Etcd> {
    root.table("etcd")
        .says(
            "The node's member of etcd, whose state usher reads before it restarts a member or reboots its node, and whose \
             leadership it moves. The agent speaks etcd's gRPC API over mutual TLS. Without this table usher knows nothing of it.",
        )
        .read_if_present(member)
        .flatten()
}

fn member(table: &mut Table<'_>) -> Option<Etcd> {
    let url = table
        .key("url", URL)
        .says("The member's own client URL. The agent asks this member alone, and takes it for the node's.")
        .example("https://127.0.0.1:2379")
        .required();
    let mut file = |key: &'static str, says: &'static str, example: &'static str| {
        table.key(key, PATH).says(says).example(example).required()
    };
    let ca =
        file("ca", "The CAs that may have signed the member's certificate, PEM.", "/etc/kubernetes/pki/etcd/ca.crt");
    let certificate = file("certificate", "The agent's certificate as a client of etcd, PEM.", "/etc/usher/etcd.pem");
    let key = file("key", "Its key, PEM.", "/etc/usher/etcd-key.pem");
    let server_name = table
        .key("server_name", TEXT)
        .says("The name that the member's certificate must carry.")
        .example("cp1.example")
        .optional("the URL's host");
    let name = table
        .key("unit", TEXT)
        .says("Its systemd unit: who may restart that, may move etcd's leadership. The agent need not manage it.")
        .or("etcd.service");
    if unit::check_name(&name).is_err() {
        table.mistake("unit", "is no name of a unit; write it with its suffix (example: etcd.service)");
    }
    let timeout =
        table.key("timeout", LIMIT).says("How long the member may take to answer.").or(Duration::from_secs(3));
    let certificate = ClientCertificate { certificate: certificate?, key: key? };
    Some(Etcd { url: url?, ca: ca?, certificate, server_name, unit: name, timeout })
}
