//! From TOML to a [`Config`]: every key, what it is, and its default.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use usher_common::{
    config_file::{COUNT, FLAG, LIMIT, ListOf, PATH, POSITIVE, TEXT, Table},
    unit,
};

use super::{
    ClientCertificate, Config, Limits, Probe, Retention, TlsFiles, Trust, UnitPolicy, Url,
    allow::{allow, deny},
    etcd::etcd,
    values::{LISTEN, STATUS, URL},
};

/// Configuration management of which the node's status tells that it runs, or that somebody has disabled it: Debian's Puppet.
const LOCK_FILES: [&str; 2] =
    ["/var/cache/puppet/state/agent_catalog_run.lock", "/var/cache/puppet/state/agent_disabled.lock"];

/// Above systemd's own default of 90 s for a start or a stop.
const JOB_TIMEOUT: Duration = Duration::from_secs(120);

/// For the example: what a probe of these two must be like.
const SELF_SIGNED: &str = r#"# kube-scheduler and kube-controller-manager make a self-signed certificate at each start.
[units."kube-scheduler.service".probe]
url = "https://127.0.0.1:10259/readyz"
fallback_url = "https://127.0.0.1:10259/healthz"
verify = false

[units."kube-controller-manager.service".probe]
url = "https://127.0.0.1:10257/healthz"
verify = false"#;

pub(super) fn config(root: &mut Table<'_>) -> Config {
    Config {
        listen: root.key("listen", LISTEN).says("Where the agent listens.").or(SocketAddr::from(([0; 16], 7470))),
        node: root
            .key("node", TEXT)
            .says("The node's name as Kubernetes knows it.")
            .example("worker1")
            .optional("the host name")
            .unwrap_or_else(crate::host::name),
        state_directory: root
            .key("state_directory", PATH)
            .says("The folder of past operations (who, why, when, what came of it) and of the highest epoch seen.")
            .or("/var/lib/usher-agent"),
        hold_file: root
            .key("hold_file", PATH)
            .says(
                "While this file exists, the agent neither restarts nor stops a unit, nor reboots the node; it shows the \
                 file's text to those who try. Starting a stopped unit stays possible.",
            )
            .or("/etc/usher/hold"),
        socket: root
            .key("socket", PATH)
            .says(
                "The Unix socket on which the node's own root asks: for the node's status, for restarts, and for holds. The \
                 folder must exist.",
            )
            .or("/run/usher-agent/agent.sock"),
        sole_control_plane: root
            .key("sole_control_plane", FLAG)
            .says(
                "This node is its cluster's only control plane: the agent itself carries out what root asks for with \
                 `usher-agent request-restart --if-sole`. Where there are others, leave it out, or two of them may restart at \
                 once.",
            )
            .or(false),
        boot_id_file: root
            .key("boot_id_file", PATH)
            .says("Where the kernel tells the boot id.")
            .or("/proc/sys/kernel/random/boot_id"),
        reflection: root
            .key("reflection", FLAG)
            .says("Serve gRPC reflection, for grpcurl and its like, to callers on the allow-list.")
            .or(true),
        bus: root
            .key("bus", TEXT)
            .says("D-Bus address of a peer that plays systemd and login1, for a sandbox.")
            .example("unix:path=/run/sandbox/bus")
            .optional("the system bus"),
        lock_files: root
            .key("lock_files", ListOf(PATH))
            .says(
                "Lock files of configuration management. The node's status tells which of them exist. The folder of Debian's \
                 Puppet is open to others once Puppet has run as root; where another's is not, a drop-in of the agent's unit with \
                 SupplementaryGroups= lets the agent look.",
            )
            .or(LOCK_FILES.map(PathBuf::from)),
        tls: root
            .table("tls")
            .says(
                "Mutual TLS, always. The certificate must carry the name under which usher calls this agent (by default the \
                 node's name) as a DNS name. The agent reads these files again when they change.",
            )
            .read(tls),
        allow: root
            .table("allow")
            .says(
                "Who may call: names in callers' certificates, matched exactly, as CN=NAME, O=ORGANISATION, DNS:NAME or \
                 URI:URI. A certificate of the right CA is not enough. The agent reads this table again when it changes. A \
                 name that is taken out loses its rights even while something else in the file is wrong.",
            )
            .read(allow),
        deny: root
            .table("deny")
            .says(
                "Certificates that are refused although a name in them is listed, as after a theft. The agent reads this table \
                 again when it changes, and open connections are refused, too.",
            )
            .read(deny),
        limits: root.table("limits").says("What callers may cost the agent.").read(limits),
        metrics: root.table("metrics").says("Metrics for Prometheus: GET /metrics.").read(metrics),
        operations: root.table("operations").says("How long the agent remembers past operations.").read(operations),
        reboots_per_day: root.table("reboot").says("Reboots of the node.").read(|table| {
            table
                .key("budget_per_day", COUNT)
                .says("Reboots within 24 hours that the agent accepts: a brake on loops.")
                .or(4_u32)
        }),
        etcd: etcd(root),
        units: root
            .table("units")
            .says(
                "The units that usher may restart, stop and start; the agent refuses all others. polkit's rule must allow \
                 them too.",
            )
            .read(|table| {
                table.shows(SELF_SIGNED);
                let units = table.others("UNIT", "kube-apiserver.service").says("One unit, with its suffix.").tables(managed_unit);
                units.into_iter().collect()
            }),
    }
}

fn tls(table: &mut Table<'_>) -> TlsFiles {
    // Without one of them there is no configuration.
    TlsFiles {
        certificate: table
            .key("certificate", PATH)
            .says("The agent's certificate, followed by its intermediates, PEM.")
            .example("agent.pem")
            .required()
            .unwrap_or_default(),
        key: table.key("key", PATH).says("Its key, PEM.").example("agent-key.pem").required().unwrap_or_default(),
        client_ca: table
            .key("client_ca", PATH)
            .says("The CAs that sign callers' certificates, PEM.")
            .example("ca.pem")
            .required()
            .unwrap_or_default(),
        client_crl: table
            .key("client_crl", PATH)
            .says(
                "Revocation lists of these CAs, PEM. A certificate on one of them is refused, on open connections, too. A CA \
                 without a list here revokes nobody.",
            )
            .example("crl.pem")
            .optional("none"),
        server_name: table
            .key("server_name", TEXT)
            .says(
                "The DNS name that the agent's certificate must carry: the one that agents.server_name in the cluster file makes \
                 of this node.",
            )
            .example("worker1.example")
            .optional("the node's name, alone or with a domain behind it"),
    }
}

fn limits(table: &mut Table<'_>) -> Limits {
    Limits {
        handshakes: count(
            table
                .key("handshakes", POSITIVE)
                .says(
                    "Peers at once that have not shown a listed certificate. Beyond that the oldest of them is dropped, and \
                     never the newest refused.",
                )
                .or(128_u32),
        ),
        handshakes_per_address: count(
            table
                .key("handshakes_per_address", POSITIVE)
                .says("The same for one address, or one /64 of IPv6.")
                .or(8_u32),
        ),
        handshake_timeout: table
            .key("handshake_timeout", LIMIT)
            .says("How long a TLS handshake may take.")
            .or(Duration::from_secs(3)),
        connections: count(
            table
                .key("connections", POSITIVE)
                .says(
                    "Connections of listed callers at once. Beyond that the one that has been idle for longest is closed; if \
                     none is idle, a new one waits.",
                )
                .or(64_u32),
        ),
        operator_connections: count(
            table
                .key("operator_connections", COUNT)
                .says("How many of these are for operators alone; at most half of them.")
                .or(8_u32),
        ),
        connections_per_certificate: count(
            table
                .key("connections_per_certificate", POSITIVE)
                .says("Connections at once with one certificate. Beyond that its longest idle one is closed.")
                .or(16_u32),
        ),
        first_call_timeout: table
            .key("first_call_timeout", LIMIT)
            .says("How long a connection may live before its first call.")
            .or(Duration::from_secs(10)),
        idle_timeout: table
            .key("idle_timeout", LIMIT)
            .says("How long a connection may live without a call on it.")
            .or(Duration::from_secs(10 * 60)),
        connection_age: table
            .key("connection_age", LIMIT)
            .says("How long a connection takes new calls. Then the caller is told to make a new one.")
            .or(Duration::from_secs(15 * 60)),
        connection_grace: table
            .key("connection_grace", LIMIT)
            .says("How long calls in progress may go on after that.")
            .or(Duration::from_secs(60)),
    }
}

fn metrics(table: &mut Table<'_>) -> Option<SocketAddr> {
    let listen = table
        .key("listen", LISTEN)
        .says("Where metrics are served, over plain HTTP to every process of the machine: a loopback address.")
        .example("127.0.0.1:7471")
        .optional("no metrics")?;
    if !listen.ip().is_loopback() {
        table.mistake("listen", "must be a loopback address: metrics are served without TLS");
        return None;
    }
    Some(listen)
}

fn operations(table: &mut Table<'_>) -> Retention {
    Retention {
        keep: table
            .key("keep", LIMIT)
            .says("Operations that began longer ago are forgotten, but for the newest 100.")
            .or(Duration::from_secs(90 * 24 * 60 * 60)),
        keep_count: count(
            table
                .key("keep_count", POSITIVE)
                .says(
                    "At most this many operations are kept, the newest, and with them all of the last 7 days. Starts that found \
                     their unit active do not count.",
                )
                .or(1000_u32),
        ),
    }
}

fn managed_unit(name: &str, table: &mut Table<'_>) -> (String, UnitPolicy) {
    if unit::check_name(name) == Err(unit::BadName::Template) {
        table.wrong(format!("is a template; name an instance of it (example: {})", name.replace('@', "@1")));
    } else if unit::check_name(name).is_err() {
        table.wrong(format!(
            "is no name of a unit that can be managed; write it with its suffix, one of {} (example: kube-scheduler.service)",
            unit::SUFFIXES.join(" ")
        ));
    }
    let policy = UnitPolicy {
        job_timeout: table.key("job_timeout", LIMIT).says("How long systemd's job may take.").or(JOB_TIMEOUT),
        probe: table
            .table("probe")
            .says(
                "An HTTPS request whose answer says whether the unit is healthy. Without a probe it is once systemd calls it \
                 active.",
            )
            .read_if_present(probe)
            .flatten(),
    };
    (name.to_owned(), policy)
}

fn probe(table: &mut Table<'_>) -> Option<Probe> {
    let url = table.key("url", URL).says("What to ask.").example("https://127.0.0.1:6443/readyz").required();
    let fallback_url = table
        .key("fallback_url", URL)
        .says("What to ask instead where url answers 404: kube-scheduler has no /readyz before Kubernetes 1.31.")
        .example("https://127.0.0.1:6443/healthz")
        .optional("none");
    let loopback = [&url, &fallback_url].into_iter().flatten().all(Url::is_loopback);
    let trust = trust(table, loopback);
    let certificate = client_certificate(table);
    let token_file = table
        .key("token_file", PATH)
        .says("A file whose first line is the bearer token that the probe sends.")
        .example("/etc/usher/probe-token")
        .optional("none");
    let server_name = table
        .key("server_name", TEXT)
        .says(
            "The name that the server's certificate must carry. kubeadm's apiserver has kubernetes and the node's addresses, but \
             not 127.0.0.1.",
        )
        .example("kubernetes")
        .optional("the URL's host");
    let status = table.key("status", STATUS).says("The HTTP status that means healthy.").or(200_u16);
    let successes = table.key("successes", POSITIVE).says("How many such answers in a row.").or(3_u32);
    let interval = table.key("interval", LIMIT).says("Time between two requests.").or(Duration::from_secs(1));
    let timeout = table.key("timeout", LIMIT).says("How long one answer may take.").or(Duration::from_secs(5));
    let deadline =
        table.key("deadline", LIMIT).says("How long the unit has to become healthy.").or(Duration::from_secs(60));
    if interval.saturating_mul(successes.saturating_sub(1)) > deadline {
        table.wrong(format!(
            "{successes} answers, one every {interval:?}, cannot come within the deadline of {deadline:?}"
        ));
    }
    Some(Probe {
        url: url?,
        fallback_url,
        trust: trust?,
        certificate,
        token_file,
        server_name,
        status,
        successes,
        interval,
        timeout,
        deadline,
    })
}

fn trust(table: &mut Table<'_>, loopback: bool) -> Option<Trust> {
    let ca = table
        .key("ca", PATH)
        .says("The CAs that may have signed the server's certificate, PEM.")
        .example("/etc/kubernetes/pki/ca.crt")
        .optional("none; needed unless verify is false");
    let verify = table
        .key("verify", FLAG)
        .says(
            "Check the server's certificate. false is for loopback alone: kube-scheduler and kube-controller-manager sign \
             their own at each start.",
        )
        .or(true);
    match (ca, verify) {
        (Some(ca), true) => Some(Trust::Ca(ca)),
        (None, false) if loopback => Some(Trust::Nobody),
        (None, false) => {
            table.wrong("verify = false is for loopback alone; name a ca");
            None
        }
        // One that is there but wrong has been reported.
        (None, true) if table.has("ca") => None,
        _ => {
            table.wrong("needs either ca (a PEM file) or, on loopback, verify = false");
            None
        }
    }
}

fn client_certificate(table: &mut Table<'_>) -> Option<ClientCertificate> {
    let certificate = table
        .key("certificate", PATH)
        .says(
            "The probe's own certificate, PEM. kube-apiserver with --anonymous-auth=false answers 401 to a probe without a \
             certificate or a token.",
        )
        .example("/etc/usher/probe.pem")
        .optional("none");
    let key = table
        .key("key", PATH)
        .says("The key of the probe's certificate, PEM.")
        .example("/etc/usher/probe-key.pem")
        .optional("none; needed with certificate");
    match (certificate, key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
        // One that is there but wrong has been reported.
        (None, Some(_)) if table.has("certificate") => None,
        (Some(_), None) if table.has("key") => None,
        _ => {
            table.wrong("certificate and key go together");
            None
        }
    }
}

/// A number that counts what is in memory.
fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
