//! The runbook: each message that asks an operator for action, each exit code and each reason of the contract has an entry, and
//! no entry is left over.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use usher_coordinator::exit::Exit;

const RUNBOOK: &str = "docs/operations.md";
const MESSAGES: &str = "docs/messages.md";

/// Files whose errors reach operators as they are: `#[error("…")]`.
const ERRORS: [&str; 7] = [
    "agents/error.rs",
    "cluster/credentials.rs",
    "cluster/elections",
    "cluster/error.rs",
    "cluster/lock",
    "drain/report",
    "rebalance/report",
];

/// How a message begins in the source. A wrong command line (`usage`) is mended where it is typed, and needs no runbook.
const BEGINNINGS: [&str; 12] = [
    "::refused(",
    "::failed(",
    "::timed_out(",
    "::interrupted(",
    "Kind::Refused,",
    "Kind::Failed,",
    "Kind::TimedOut,",
    "Kind::Unknown,",
    "Kind::Interrupted,",
    "Kind::Locked,",
    "let message = ",
    "#[error(",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// The literal that a source goes on with, if it is one or is formatted: `"…"` or `format!("…"`.
fn literal(source: &str) -> Option<String> {
    let source = source.trim_start();
    let source = source.strip_prefix("format!(").unwrap_or(source).trim_start();
    let mut text = String::new();
    let mut chars = source.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                '\n' => {
                    let rest = chars.as_str().trim_start();
                    chars = rest.chars();
                }
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

/// What is filled in becomes `…`.
fn with_dots(message: &str) -> String {
    let mut text = String::new();
    let mut rest = message;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        text.push('…');
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    text + rest
}

/// Every message in the source of the coordinator and of its core.
fn messages() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in ["coordinator/src", "coordinator/core/src"] {
        sources(&root().join(folder), &mut files);
    }
    let mut found = BTreeSet::new();
    for path in files {
        let source = fs::read_to_string(&path).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let name = path.display().to_string();
        for beginning in BEGINNINGS {
            if beginning == "#[error(" && !ERRORS.iter().any(|file| name.contains(file)) {
                continue;
            }
            if beginning == "let message = " && !source.contains("Problem::") {
                continue;
            }
            let literals = source.match_indices(beginning).filter_map(|(at, it)| literal(&source[at + it.len()..]));
            found.extend(literals.map(|message| with_dots(&message)));
        }
    }
    // What has no words of its own is told under the words of its cause.
    found.retain(|message| message.chars().filter(|char| char.is_alphabetic()).count() > 2);
    found
}

/// The first cells of a page's tables, where they are code.
fn entries(page: &str) -> BTreeSet<String> {
    let first = |line: &str| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned());
    page.lines().filter_map(first).collect()
}

#[test]
fn each_message_that_asks_for_action_has_an_entry_and_each_entry_has_a_message() {
    let (messages, entries) = (messages(), entries(&read(MESSAGES)));
    assert!(messages.len() > 100, "the source is not read as it is written any more: {messages:#?}");
    let reasons = reasons();
    let missing: Vec<_> = messages.difference(&entries).collect();
    // Some messages are put together from parts, and some errors are of files most of whose errors are of the command line.
    let composed = [
        "the cluster file describes …, but the kubeconfig leads to …",
        "there is no … … in namespace …",
        "there is no … … in the namespace …",
        "… was not met behind … in … new connections within …",
        "nobody leads …: its lease is free",
        "nobody leads …: it has no lease",
        "the lease of … is held by …, which does not renew it: nobody leads …",
        "… is led by …, which is none of the control-plane machines",
        "… is led by …, which several control-plane machines could be: …",
        "… was told to reboot … ago and has not answered with a new boot since",
        "…: … after …",
        "cannot …: …",
        "…: what answers at … cannot prove that it is this machine's agent",
        "…: its agent at … does not trust our certificate",
    ];
    let left_over: Vec<_> = entries
        .iter()
        .filter(|entry| !messages.contains(*entry) && !reasons.contains(*entry) && !composed.contains(&entry.as_str()))
        .collect();
    assert!(missing.is_empty(), "{MESSAGES} has no entry for {missing:#?}");
    assert!(left_over.is_empty(), "no code says any more {left_over:#?}");
}

/// The reasons of the contract, from the file that lists them.
fn reasons() -> BTreeSet<String> {
    let source = read("proto/src/reason.rs");
    let named = |line: &str| Some(line.strip_prefix("pub const ")?.split_once(": &str")?.0.to_owned());
    source.lines().filter_map(named).filter(|name| name != "DOMAIN").collect()
}

#[test]
fn each_reason_of_the_contract_has_an_entry() {
    let (reasons, entries) = (reasons(), entries(&read(MESSAGES)));
    assert!(reasons.len() > 20, "{reasons:?}");
    let missing: Vec<_> = reasons.difference(&entries).collect();
    assert!(missing.is_empty(), "{MESSAGES} has no entry for {missing:?}");
}

#[test]
fn each_exit_code_has_a_row_in_the_runbook() {
    let runbook = read(RUNBOOK);
    for exit in Exit::ALL {
        let row = format!("\n| {} | ", exit.code());
        assert!(runbook.contains(&row), "{RUNBOOK} has no row of exit {}", exit.code());
    }
}

/// Links of the pages to headings of their own folder.
#[test]
fn each_link_to_a_heading_of_the_runbook_leads_to_one() {
    for page in [RUNBOOK, MESSAGES, "docs/security.md"] {
        let text = read(page);
        let links = text.match_indices("](").filter_map(|(at, _)| Some(text[at + 2..].split_once(')')?.0));
        for link in links {
            let Some((file, heading)) = link.split_once('#') else { continue };
            if link.contains("://") {
                continue;
            }
            let target = if file.is_empty() { text.clone() } else { read(&format!("docs/{file}")) };
            let anchors: Vec<_> = target.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
            assert!(anchors.contains(&heading.to_owned()), "{page}: no heading {link}; there are {anchors:?}");
        }
    }
}

#[test]
fn each_alert_has_a_row_in_the_runbook_and_leads_to_a_heading() {
    let (rules, runbook) = (read("packaging/prometheus/usher.rules.yml"), read(RUNBOOK));
    let values = |key: &str| rules.lines().filter_map(|line| line.trim().strip_prefix(key)).collect::<Vec<_>>();
    let (alerts, links) = (values("- alert: "), values("runbook: "));
    assert!(!alerts.is_empty() && alerts.len() == links.len(), "{alerts:?} {links:?}");
    for alert in alerts {
        assert!(runbook.contains(&format!("\n| {alert} | ")), "{RUNBOOK} has no row of {alert}");
    }
    for link in links {
        let (file, heading) = link.split_once('#').unwrap();
        let anchors: Vec<_> = read(file).lines().filter(|line| line.starts_with('#')).map(anchor).collect();
        assert!(anchors.contains(&heading.to_owned()), "no heading {link}");
    }
}

/// A heading as forges make its anchor.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|char| char.is_alphanumeric() || " -_".contains(*char))
        .map(|char| if char == ' ' { '-' } else { char })
        .collect()
}
