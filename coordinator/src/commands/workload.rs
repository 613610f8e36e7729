//! What the commands on pods and jobs have in common.

use std::{borrow::Cow, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use usher_common::{clock, config_file::nearest};

use super::{cluster, propose::namespaces, site};
use crate::{
    cli::{Global, Listed},
    cluster::Cluster,
    exit::Exit,
    output::{self, Format},
    problem::Problem,
    show::{self, Kind},
    text,
    workloads::Namespaces,
};

/// As much of a reason as a table shows without `-o wide`.
const LONGEST_REASON: usize = 100;

/// The cluster alone: neither Nodes nor agents are needed.
pub(super) async fn connect(global: &Global) -> Result<Cluster, Problem> {
    cluster(global, &site(global)?).await
}

/// A list that was asked for: of what, and how it is shown.
pub(super) struct Listing {
    pub(super) cluster: Cluster,
    pub(super) namespaces: Namespaces,
    /// Which labels, in kubectl's notation.
    pub(super) selector: Option<String>,
    /// More columns, whole reasons and images. Programs get everything as well.
    pub(super) wide: bool,
    format: Format,
    kind: Kind,
    /// Such as `cron jobs`.
    what: &'static str,
}

impl Listing {
    /// Connects, and reads the flags. `what` names the objects in a sentence.
    pub(super) async fn open(
        global: &Global,
        listed: &Listed,
        kind: Kind,
        what: &'static str,
    ) -> Result<Self, Problem> {
        let cluster = connect(global).await?;
        let namespaces = namespaces(&cluster, &listed.namespaced).await?;
        Ok(Self {
            cluster,
            namespaces,
            selector: listed.selector.as_ref().map(ToString::to_string),
            wide: global.output != Format::Table,
            format: global.output,
            kind,
            what,
        })
    }

    /// Nothing on a node that nobody knows is a mistake. Who may not look at Nodes is believed.
    pub(super) async fn expect_node(&self, name: Option<&str>, found: usize) -> Result<(), Problem> {
        let Some(name) = name.filter(|_| found == 0) else { return Ok(()) };
        match self.cluster.node(name).await {
            Err(error) if error.is_not_found() => {
                let there = self.cluster.nodes().await.unwrap_or_default();
                let meant = nearest(name, there.keys().map(String::as_str));
                Err(Problem::refused(format!("there is no node {name}")).meant(meant).hint("see them: usher nodes"))
            }
            Err(error) if !error.is_forbidden() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Shows the rows; `cells` gives the row's namespace and the rest of it, with ages as of now.
    pub(super) fn show<T: Serialize>(
        &self,
        header: Vec<&'static str>,
        rows: &[T],
        cells: impl Fn(&T, Timestamp) -> (&str, Vec<String>),
    ) -> Result<Exit, Problem> {
        let now = clock::now();
        show::list(self.kind, rows, self.format, || self.table(header, rows, |row| cells(row, now)))?;
        self.say_if_none(rows.len());
        Ok(Exit::Done)
    }

    /// A table, with the namespaces if there may be several.
    fn table<T>(&self, mut header: Vec<&'static str>, rows: &[T], cells: impl Fn(&T) -> (&str, Vec<String>)) -> String {
        let all = self.namespaces == Namespaces::All;
        if all {
            header.insert(0, "NAMESPACE");
        }
        output::columns(&header, rows, |row| {
            let (namespace, mut cells) = cells(row);
            if all {
                cells.insert(0, namespace.to_owned());
            }
            cells
        })
    }

    /// Says on standard error that nothing was found: an empty table alone could be a mistake.
    fn say_if_none(&self, found: usize) {
        if found > 0 {
            return;
        }
        let matching = self.selector.as_ref().map(|selector| format!(" with the labels {selector}"));
        let place = self.namespaces.name().map(|name| format!(" in the namespace {name}"));
        output::progress(&format!("no {}{}{}", self.what, matching.unwrap_or_default(), place.unwrap_or_default()));
    }
}

pub(super) fn age(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(dash, |at| text::age(at, now))
}

pub(super) fn dash() -> String {
    "-".to_owned()
}

pub(super) fn or_dash(text: Option<&str>) -> String {
    text.map_or_else(dash, str::to_owned)
}

/// A reason as a cell: in one line, and not longer than a line may be unless it is wanted whole.
pub(super) fn reason(text: Option<&str>, whole: bool) -> String {
    let Some(text) = text else { return dash() };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) if !whole => format!("{}…", &line[..end]),
        _ => line,
    }
}

/// Images as a cell, without the registry and its folders unless they are wanted whole.
pub(super) fn images(images: &[String], whole: bool) -> String {
    let short = |image: &str| image.rsplit('/').next().unwrap_or(image).to_owned();
    let cells: Vec<Cow<'_, str>> =
        images.iter().map(|image| if whole { image.into() } else { short(image).into() }).collect();
    if cells.is_empty() { dash() } else { cells.join(",") }
}

/// A limit of zero is none.
pub(super) fn limit(timeout: Duration) -> Option<Duration> {
    (!timeout.is_zero()).then_some(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_unless_it_is_wanted_whole() {
        let long = "a b\n  c ".repeat(40);
        assert_eq!(reason(Some(&long), false).chars().count(), LONGEST_REASON + 1);
        assert_eq!(reason(Some(&long), true).chars().count(), 239);
        assert_eq!(reason(None, true), "-");
    }

    #[test]
    fn an_image_keeps_its_name_tag_and_digest() {
        let all = ["registry.example:5000/team/report:1".to_owned(), "busybox".to_owned()];
        assert_eq!(images(&all, false), "report:1,busybox");
        assert_eq!(images(&all, true), "registry.example:5000/team/report:1,busybox");
    }
}
