//! How a command shows what it found: text for people, or one document for programs.
//!
//! Each document says what it is on top, as objects of Kubernetes do. A command prints at most one, so that a program that
//! reads it need not expect several.

mod jsonpath;

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::Value;

pub(crate) use self::jsonpath::Template;
use crate::{
    exit::Exit,
    output::{self, Format},
    problem::Problem,
};

const API_VERSION: &str = "usher.dev/v1";

/// Whether this command has printed its document.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// What a document is. Scripts ask for these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// `usher agent status`.
    AgentStatus,
    /// `usher agent audit`.
    AuditRecordList,
    /// `usher certificates`.
    CertificateList,
    /// `usher clusters show`.
    Cluster,
    /// `usher clusters env`.
    ClusterEnvironment,
    /// `usher clusters list`.
    ClusterList,
    /// `usher clusters use`.
    ClusterUse,
    /// `usher config check`.
    ConfigCheck,
    /// The same of a folder of sites.
    ConfigCheckList,
    /// `usher config init`.
    ConfigInit,
    /// `usher config view`.
    ConfigView,
    /// `usher cronjobs list`.
    CronJobList,
    /// `usher doctor`.
    Doctor,
    /// Any command that ended without a result.
    Failure,
    /// `usher helmfile roll` with `--dry-run`.
    HelmfilePlan,
    /// `usher helmfile roll`.
    HelmfileReport,
    /// `usher jobs list`.
    JobList,
    /// What `usher job delete` and `usher cronjob refresh` would do.
    JobPlan,
    /// What they did.
    JobReport,
    /// `usher leaders`.
    LeaderList,
    /// `usher lock show`.
    Lock,
    /// `usher nodes`.
    NodeList,
    /// `usher agent restart`, `usher agent reboot` and `usher agent cancel`.
    Task,
    /// A change with `--dry-run`.
    Plan,
    /// `usher pods list`.
    PodList,
    /// `usher preflight`.
    Preflight,
    /// A change that was begun.
    Report,
    /// `usher report`.
    ReportPage,
    /// `usher rollout status`.
    RolloutList,
    /// `usher rollout restart` and `usher rollout undo` with `--dry-run`.
    RolloutPlan,
    /// `usher rollout restart` and `usher rollout undo`.
    RolloutReport,
    /// `usher staging switch` with `--dry-run`, or with nothing to do.
    StagingPlan,
    /// `usher staging switch`.
    StagingReport,
    /// `usher staging status`.
    StagingStatus,
    /// `usher status`.
    Status,
    /// `usher agent units`.
    UnitList,
    /// `usher version`.
    Version,
    /// `usher versions`.
    VersionList,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a, T> {
    api_version: &'static str,
    kind: Kind,
    #[serde(flatten)]
    content: &'a T,
}

#[derive(Serialize)]
struct Items<'a, T> {
    items: &'a [T],
}

/// Why there is no result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    exit: Exit,
    exit_code: u8,
    message: &'a str,
    details: &'a [String],
    hints: &'a [String],
}

/// Shows a value that has named fields, none of them `kind` or `apiVersion`. `text` is what people get.
///
/// # Errors
///
/// If the value cannot be serialised, which would be a mistake of ours.
pub fn show<T: Serialize>(kind: Kind, value: &T, format: Format, text: impl FnOnce() -> String) -> Result<(), Problem> {
    let has_names = format != Format::Name || kind.listed().is_some();
    if format.is_structured() && has_names {
        output::result(&document(kind, value, format)?);
        SHOWN.store(true, Ordering::Relaxed);
    } else {
        output::result(&text());
    }
    Ok(())
}

/// Shows the report of a change that was begun. People read on standard error what did not go well.
///
/// # Errors
///
/// As of [`show`].
pub fn report<T: Serialize>(
    kind: Kind,
    report: &T,
    exit: Exit,
    format: Format,
    text: impl FnOnce() -> String,
) -> Result<Exit, Problem> {
    if exit == Exit::Done || format.is_structured() {
        show(kind, report, format, text)?;
    } else {
        output::progress(&text());
    }
    Ok(exit)
}

/// Shows several values of one kind: as `items`.
///
/// # Errors
///
/// As of [`show`].
pub fn list<T: Serialize>(
    kind: Kind,
    items: &[T],
    format: Format,
    text: impl FnOnce() -> String,
) -> Result<(), Problem> {
    show(kind, &Items { items }, format, text)
}

/// Prints why a command failed, unless the document that it has already printed says so. For programs alone: people read it
/// on standard error.
pub fn problem(problem: &Problem, format: Format) {
    if !format.is_structured() || SHOWN.load(Ordering::Relaxed) {
        return;
    }
    if !matches!(format, Format::Json | Format::Yaml) {
        // A list of names has no place for it; standard error says it.
        return;
    }
    let Problem { message, details, hints, .. } = problem;
    let exit = problem.exit();
    let failed = Failed { exit, exit_code: exit.code(), message, details, hints };
    if let Ok(document) = document(Kind::Failure, &failed, format) {
        output::result(&document);
    }
}

fn document<T: Serialize>(kind: Kind, content: &T, format: Format) -> Result<String, Problem> {
    let document = Document { api_version: API_VERSION, kind, content };
    let failed = |error: &dyn std::error::Error| Problem::failed(format!("cannot write the result: {error}"));
    match format {
        Format::Name => Ok(names(kind, &to_value(&document)?)),
        Format::JsonPath(template) => {
            let template = Template::parse(template).map_err(|error| failed(&error))?;
            Ok(template.render(&to_value(&document)?))
        }
        Format::Yaml => serde_saphyr::to_string(&document).map_err(|error| failed(&error)),
        _ => serde_json::to_string_pretty(&document).map_err(|error| failed(&error)),
    }
}

fn to_value(document: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(document).map_err(|error| Problem::failed(format!("cannot write the result: {error}")))
}

impl Kind {
    /// Where the things are that a document lists, what one of them is called, and the field with its name; None if it lists none.
    fn listed(self) -> Option<(&'static str, &'static str, &'static str)> {
        Some(match self {
            Self::NodeList => ("items", "node", "name"),
            Self::Status => ("machines", "node", "name"),
            Self::LeaderList => ("items", "component", "component"),
            Self::ClusterList => ("items", "cluster", "name"),
            Self::CronJobList => ("items", "cronjob", "name"),
            Self::JobList => ("items", "job", "name"),
            Self::PodList => ("items", "pod", "name"),
            Self::UnitList => ("items", "unit", "name"),
            _ => return None,
        })
    }
}

/// `node/w1`, a line each. As with kubectl, a namespace is left out.
fn names(kind: Kind, document: &Value) -> String {
    let Some((list, one, field)) = kind.listed() else { return String::new() };
    let items = document.get(list).and_then(Value::as_array).into_iter().flatten();
    let names = items.filter_map(|item| item.get(field)?.as_str()).map(|name| format!("{one}/{name}"));
    names.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Machine {
        name: &'static str,
    }

    #[test]
    fn a_document_says_first_what_it_is() {
        let json = document(Kind::Version, &Machine { name: "w1" }, Format::Json).unwrap();
        assert_eq!(json, "{\n  \"apiVersion\": \"usher.dev/v1\",\n  \"kind\": \"Version\",\n  \"name\": \"w1\"\n}");
        let yaml = document(Kind::NodeList, &Items { items: &[Machine { name: "w1" }] }, Format::Yaml).unwrap();
        assert_eq!(yaml, "apiVersion: usher.dev/v1\nkind: NodeList\nitems:\n- name: w1\n");
    }

    #[test]
    fn a_list_is_printed_as_names_or_by_a_template() {
        let items = Items { items: &[Machine { name: "w1" }, Machine { name: "w2" }] };
        let printed = |kind, format| document(kind, &items, format);
        assert_eq!(printed(Kind::NodeList, Format::Name).unwrap(), "node/w1\nnode/w2");
        let template = Format::JsonPath("{.kind}{range .items[*]} {.name}{end}");
        assert_eq!(printed(Kind::NodeList, template).unwrap(), "NodeList w1 w2");
    }
}
