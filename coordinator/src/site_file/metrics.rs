//! `[metrics]`: what changes tell Prometheus.

use usher_common::config_file::Table;

use super::values::TEXTFILE;
use crate::site::Metrics;

pub(super) fn metrics(table: &mut Table<'_>) -> Metrics {
    let textfile = table
        .key("textfile", TEXTFILE)
        .says(
            "A file NAME.prom that node-exporter's textfile collector reads; {cluster} is filled in. It is written when a change of \
             machines begins and ends. $USHER_METRICS_TEXTFILE wins over it.",
        )
        .example("/var/lib/prometheus/node-exporter/usher-{cluster}.prom")
        .optional("no file");
    Metrics { textfile }
}
