//! `[versions]`: which versions the site wants.

use std::collections::BTreeMap;

use jiff::civil::Date;
use toml::de::DeValue;
use usher_common::config_file::{Scalar, Shape, Table, Value, nearest, text};
use usher_core::versions::{Number, Support};

use crate::site::Versions;

/// The projects whose releases are told apart.
const PROJECTS: [&str; 5] = ["kubernetes", "etcd", "containerd", "cri-o", "usher"];

/// A series of releases, or a whole version.
const VERSION: Scalar<String> = Scalar::text("version", |value, _| {
    let version = text(value)?;
    match Number::read(&version) {
        Some(_) => Ok(version),
        None => {
            Err(format!("\"{version}\" is no version: write a series as \"1.37\" or a whole version as \"1.37.2\""))
        }
    }
});

/// A day.
const DATE: Scalar<Date> =
    Scalar { name: "date", shape: Shape::Text, read: date, write: |day| Value::Text(day.to_string()) };

fn date(value: &DeValue<'_>, _: &std::path::Path) -> Result<Date, String> {
    let day = text(value)?;
    day.parse().map_err(|_| format!("\"{day}\" is no day: write it as \"2027-10-28\""))
}

pub(super) fn versions(table: &mut Table<'_>) -> Versions {
    let targets = table
        .table("target")
        .says("What should run: a series, whose patches may differ, or a whole version.")
        .read(|table| {
            let targets =
                table.others("PROJECT", "kubernetes").says("The version that the site wants of this project.");
            targets.values(&VERSION, "1.37", project).into_iter().collect()
        });
    let support = table
        .table("support")
        .says("Ends of support that differ from the project's own, as a vendor's.")
        .read(|table| {
            let projects = table.others("PROJECT", "kubernetes").says("One project.");
            let days = |name: &str, table: &mut Table<'_>| -> (String, BTreeMap<String, Date>) {
                if let Err(wrong) = project(name) {
                    table.misnamed(wrong);
                }
                let days = table.others("SERIES", "1.33").says("The last day of its support.");
                (name.to_owned(), days.values(&DATE, "2027-06-28", series).into_iter().collect())
            };
            projects.tables(days).into_iter().collect()
        });
    Versions { targets, support: Support(support) }
}

fn project(name: &str) -> Result<(), String> {
    if PROJECTS.contains(&name) {
        return Ok(());
    }
    let meant = nearest(name, PROJECTS).map_or_else(String::new, |meant| format!("; did you mean \"{meant}\"?"));
    Err(format!("\"{name}\" is no project that usher knows{meant}"))
}

fn series(name: &str) -> Result<(), String> {
    Number::read(name).map(drop).ok_or_else(|| format!("\"{name}\" is no series of releases such as \"1.33\""))
}
