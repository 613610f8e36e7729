//! The configuration files: their examples, references and schemas.

use usher_common::config_file::Record;

use super::{Page, example, page, schema};

struct File {
    /// The example's name under packaging/examples, without suffix.
    example: &'static str,
    /// The reference's name under docs/reference, without suffix.
    reference: &'static str,
    title: &'static str,
    /// Above the example and the reference.
    intro: &'static str,
    describe: fn() -> Record,
}

const FILES: [File; 3] = [
    File {
        example: "cluster",
        reference: "cluster-file",
        title: "The cluster file",
        intro: "The cluster file of usher: /etc/usher/cluster.toml, or ~/.config/usher/cluster.toml, or wherever --cluster-file \
                or $USHER_CLUSTER_FILE says. Several clusters have a file each in a folder, clusters.d in the same places, in which \
                _common.toml has the keys that all of them share. Every key has a default that fits a plain three-node control plane, so that an \
                empty file is a valid one. Unknown keys are errors. Relative paths begin at this file's folder. Durations are \
                written like 10s, 5m, 1h30m. Check it with `usher config check`; see what applies, and where it comes from, \
                with `usher config view --show-origin`.",
        describe: usher_coordinator::site_file::describe,
    },
    File {
        example: "staging",
        reference: "staging-file",
        title: "The staging file",
        intro: "How the active one of two staging clusters is switched: _staging.toml in the folder of cluster files. Unknown keys \
                are errors. Durations are written like 10s, 5m. `usher config check` checks it with the clusters; `usher staging \
                switch NAME --dry-run` prints what would be done.",
        describe: usher_coordinator::site_file::describe_staging,
    },
    File {
        example: "agent",
        reference: "agent-file",
        title: "The agent's configuration",
        intro: "The configuration of usher-agent: /etc/usher/agent.toml. Unknown keys are errors. The agent reads this \
                file and those of [tls] again when they change; a file with a mistake is not used, and what was in force stays. \
                listen, node, state_directory, socket, boot_id_file, reflection, bus, [limits], [metrics] and the paths in [tls] need \
                a restart of the agent. Relative paths begin at this \
                file's folder. Durations are written like 10s, 5m, 90d. Check it with `usher-agent --config \
                /etc/usher/agent.toml --check-config`, before the certificates are there with --check-config=syntax.",
        describe: usher_agent::config::describe,
    },
];

pub(super) fn pages() -> anyhow::Result<Vec<Page>> {
    let mut pages = Vec::new();
    for file in FILES {
        let record = (file.describe)();
        let reference = |suffix: &str| format!("docs/reference/{}.{suffix}", file.reference);
        pages.push(Page {
            path: format!("packaging/examples/{}.toml", file.example),
            text: example::example(file.intro, &record),
        });
        pages.push(Page { path: reference("md"), text: page::page(file.title, file.intro, &record) });
        pages.push(Page { path: reference("schema.json"), text: schema::schema(file.title, &record)? });
    }
    Ok(pages)
}
