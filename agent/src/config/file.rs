//! The file as it is written. Values that need a look stay text with their place, so that all can be complained about at once.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<Spanned<String>>,
    pub(super) node: Option<Spanned<String>>,
    pub(super) state_directory: Option<PathBuf>,
    pub(super) hold_file: Option<PathBuf>,
    pub(super) boot_id_file: Option<PathBuf>,
    pub(super) reflection: Option<bool>,
    pub(super) bus: Option<Spanned<String>>,
    pub(super) lock_files: Option<Vec<PathBuf>>,
    pub(super) tls: TlsTable,
    #[serde(default)]
    pub(super) allow: AllowTable,
    #[serde(default)]
    pub(super) limits: LimitsTable,
    #[serde(default)]
    pub(super) operations: OperationsTable,
    #[serde(default)]
    pub(super) reboot: RebootTable,
    #[serde(default)]
    pub(super) units: BTreeMap<Spanned<String>, UnitTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsTable {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_ca: PathBuf,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AllowTable {
    pub(super) viewer: Vec<Spanned<String>>,
    pub(super) operator: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsTable {
    pub(super) connections: Option<Spanned<usize>>,
    pub(super) handshake_timeout: Option<Spanned<String>>,
    pub(super) idle_timeout: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OperationsTable {
    pub(super) keep: Option<Spanned<String>>,
    pub(super) keep_count: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RebootTable {
    pub(super) budget_per_day: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitTable {
    pub(super) job_timeout: Option<Spanned<String>>,
    pub(super) probe: Option<Spanned<ProbeTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbeTable {
    pub(super) url: Spanned<String>,
    pub(super) fallback_url: Option<Spanned<String>>,
    pub(super) ca: Option<PathBuf>,
    pub(super) verify: Option<bool>,
    pub(super) server_name: Option<Spanned<String>>,
    pub(super) status: Option<Spanned<u16>>,
    pub(super) successes: Option<Spanned<u32>>,
    pub(super) interval: Option<Spanned<String>>,
    pub(super) timeout: Option<Spanned<String>>,
    pub(super) deadline: Option<Spanned<String>>,
}
