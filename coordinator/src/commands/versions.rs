//! `usher versions`: which version of what runs where, and what is wrong with that.

use std::collections::BTreeMap;

use jiff::{civil::Date, tz::TimeZone};
use serde::Serialize;
use usher_common::clock;
use usher_core::versions::{Finding, Instance, Severity, Support, judge};

use super::world;
use crate::{
    cli::Global,
    exit::Exit,
    output::{self, Format},
    problem::Problem,
    show::{self, Kind},
    text,
};

/// Ends of support as the projects publish them.
const SUPPORT: &str = include_str!("versions/support.toml");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions<'a> {
    instances: &'a [Instance],
    findings: &'a [Finding],
}

pub(super) async fn versions(global: &Global) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let wanted = &world.site.versions;
    let support = published()?.with(&wanted.support);
    let instances = world.versions().await?;
    let today = clock::now().to_zoned(TimeZone::UTC).date();
    let findings = judge(&instances, &wanted.targets, &support, today);
    let versions = Versions { instances: &instances, findings: &findings };
    show::show(Kind::VersionList, &versions, global.output, || to_text(&versions, global.output))?;
    Ok(match findings.first().map(|worst| worst.severity) {
        Some(Severity::Wrong) => Exit::Failed,
        Some(Severity::Unknown) => Exit::TimedOut,
        Some(Severity::Notice) | None => Exit::Done,
    })
}

fn published() -> Result<Support, Problem> {
    let days: BTreeMap<String, BTreeMap<String, String>> =
        toml::from_str(SUPPORT).map_err(|error| Problem::failed(format!("the ends of support: {error}")))?;
    let day = |(series, day): (String, String)| {
        let read = day.parse::<Date>().map_err(|error| Problem::failed(format!("the ends of support: {day}: {error}")));
        Ok((series, read?))
    };
    let project = |(project, days): (String, BTreeMap<String, String>)| {
        Ok((project, days.into_iter().map(day).collect::<Result<_, Problem>>()?))
    };
    Ok(Support(days.into_iter().map(project).collect::<Result<_, Problem>>()?))
}

/// A row for each program and version; with more columns, one for each machine.
fn to_text(versions: &Versions<'_>, format: Format) -> String {
    let mut rows: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for instance in versions.instances {
        let version = instance.version.clone().unwrap_or_else(|| "unknown".to_owned());
        let note = if instance.replaced { " (restart wanted)" } else { "" };
        let alone = if format == Format::Wide { instance.machine.clone() } else { String::new() };
        rows.entry((instance.program, alone, format!("{version}{note}"))).or_default().push(instance.machine.clone());
    }
    let row = |((program, _, version), machines): ((_, _, String), Vec<String>)| {
        let program: usher_core::versions::Program = program;
        let count = if machines == [""] { "-".to_owned() } else { machines.len().to_string() };
        let machines = if machines == [""] { "here".to_owned() } else { text::few(&machines) };
        vec![program.name().to_owned(), version, count, machines]
    };
    let table = output::table(&["PROGRAM", "VERSION", "COUNT", "MACHINES"], rows.into_iter().map(row));
    let mut lines = vec![table];
    if !versions.findings.is_empty() {
        lines.push(String::new());
    }
    for finding in versions.findings {
        let word = match finding.severity {
            Severity::Wrong => "wrong",
            Severity::Unknown => "unknown",
            Severity::Notice => "notice",
        };
        lines.push(format!("{word}: {}", finding.message));
        lines.extend(finding.hint.iter().map(|hint| format!("  {hint}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::published;

    #[test]
    fn the_published_ends_of_support_can_be_read() {
        let support = published().unwrap();
        assert!(support.0["kubernetes"].contains_key("1.37"));
    }
}
