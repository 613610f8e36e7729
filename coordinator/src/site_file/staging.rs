//! `_staging.toml` in the folder of sites: how the active staging cluster is switched.

use std::{path::Path, time::Duration};

use usher_common::config_file::{self, DURATION, FLAG, FileError, LIMIT, ListOf, Record, TEXT, Table};
use usher_core::staging::{Preflight, Staging, Step};

use super::values::{LOOK, SITE_NAME, SWITCH_COMMAND, SWITCH_TEXT, machine};

/// What the file is, in errors.
const WHAT: &str = "the staging file";

/// One call of a site's command-line tool, a run of a configuration manager included.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);

/// Name servers and proxies take over a change within a minute or two.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(120);

/// More steps, for the example.
const MORE: &str = r#"# Puppet: the key in Hiera that says which cluster is the active one. The script makes the change, merges it and waits for it; usher
# asks you before.
[steps.hiera]
says = "Hiera's staging_active is {to}"
check = ["/usr/local/bin/staging-hiera", "is", "{to}"]
apply = ["/usr/local/bin/staging-hiera", "set", "{to}", "--reason", "{reason}"]
undo = ["/usr/local/bin/staging-hiera", "set", "{from}", "--reason", "undo: {reason}"]
confirm = true
timeout = "10m"
"#;

/// Reads the file.
///
/// # Errors
///
/// If it cannot be read, or says something that makes no sense: then everything that is wrong.
pub fn load(path: &Path) -> Result<Staging, FileError> {
    let staging = config_file::load(path, WHAT, staging)?.value;
    // A file without mistakes names two.
    staging.ok_or_else(|| FileError::Invalid { problems: Vec::new() })
}

/// Every key that the file may have.
pub fn describe() -> Record {
    config_file::describe(staging)
}

/// None only if a mistake is recorded.
fn staging(root: &mut Table<'_>) -> Option<Staging> {
    let clusters = root
        .key("clusters", ListOf(SITE_NAME))
        .says("The two clusters, by the names of their sites.")
        .example(["staging-eqiad", "staging-codfw"])
        .required();
    let clusters: Option<[String; 2]> = clusters.and_then(|names| match <[String; 2]>::try_from(names) {
        Ok([one, other]) if one != other => Some([one, other]),
        _ => {
            root.mistake("clusters", "must be two clusters");
            None
        }
    });
    let preflight =
        root.table("preflight").says("What must be true of the cluster that becomes the active one.").read(preflight);
    let steps = root
        .table("steps")
        .says("The steps of the switch, in the order of the file.")
        .read(|table| {
            table.shows(MORE);
            table
                .others("STEP", "dns")
                .says(
                    "One step. Its commands are your own; usher runs them without a shell, and fills in {from} and {to}, the names \
                     of the clusters, {from_data_centre}, {to_data_centre} and {reason}.",
                )
                .tables(step)
        });
    if steps.is_empty() {
        root.mistake("steps", "there is no step, so that nothing says which cluster is the active one");
    }
    Some(Staging { clusters: clusters?, preflight, steps: steps.into_iter().flatten().collect() })
}

fn preflight(table: &mut Table<'_>) -> Preflight {
    Preflight {
        ignore: table
            .key("ignore", ListOf(LOOK))
            .says(
                "Looks that forbid nothing, as --ignore: nodes, apiservers, agents, workloads, versions, missing, images. What \
                 they find is still told.",
            )
            .example(["agents"])
            .or([]),
        ignore_namespaces: table
            .key("ignore_namespaces", ListOf(TEXT))
            .says("Namespaces whose workloads are neither looked at nor compared.")
            .example(["sandbox"])
            .or([]),
    }
}

fn step(name: &str, table: &mut Table<'_>) -> Option<Step> {
    if machine(name).is_err() {
        table.misnamed("no name of a step (lower-case letters, digits and '-')");
        return None;
    }
    let command = |verb: &'static str| ["/usr/local/bin/staging-dns", verb, "{to_data_centre}"];
    let says = table
        .key("says", SWITCH_TEXT)
        .says("What is true once the step is done.")
        .example("the discovery record points to {to_data_centre}")
        .required();
    let check = table
        .key("check", SWITCH_COMMAND)
        .says(
            "Ends with exit code 0 if the step is done, and with 1 if it is not; any other end is no answer. A switch that was cut \
             off goes on where the checks say.",
        )
        .example(command("is-active"))
        .required();
    let apply = table.key("apply", SWITCH_COMMAND).says("Does the step.").example(command("activate")).required();
    let verify = table
        .key("verify", SWITCH_COMMAND)
        .says("Ends with exit code 0 once the step has its effect; usher runs it again until it does.")
        .example(command("is-seen"))
        .optional("the check");
    let undo = table
        .key("undo", SWITCH_COMMAND)
        .says("Takes the step back when it, or a later one, fails.")
        .example(["/usr/local/bin/staging-dns", "activate", "{from_data_centre}"])
        .optional("the step stays as it is, and the report says so");
    let confirm = table.key("confirm", FLAG).says("Whether usher asks you right before the step.").or(false);
    let timeout = table.key("timeout", LIMIT).says("How long one command may take.").or(COMMAND_TIMEOUT);
    let verify_timeout = table
        .key("verify_timeout", LIMIT)
        .says("How long the effect may take from the end of the command.")
        .or(VERIFY_TIMEOUT);
    let settle = table
        .key("settle", DURATION)
        .says("Wait this long once the step has its effect, for caches that live on.")
        .or(Duration::ZERO);
    Some(Step {
        name: name.to_owned(),
        says: says?,
        check: check?,
        apply: apply?,
        verify,
        undo,
        confirm,
        timeout,
        verify_timeout,
        settle,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Staging>, String> {
        let read = config_file::parse(text, Path::new("_staging.toml"), Path::new("/etc"), staging);
        read.map(|contents| contents.value).map_err(|error| error.to_string())
    }

    const STEP: &str = "says = 'x'\ncheck = ['c', '{to}']\napply = ['a']\n";

    #[test]
    fn steps_are_read_in_the_order_of_the_file_with_defaults() {
        let text =
            format!("clusters = ['a', 'b']\n[steps.zone]\n{STEP}[steps.alias]\n{STEP}undo = ['u']\nconfirm = true\n");
        let staging = read(&text).unwrap().unwrap();
        let names: Vec<_> = staging.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!((names, &staging.clusters), (vec!["zone", "alias"], &["a".to_owned(), "b".to_owned()]));
        let [zone, alias] = &staging.steps[..] else { panic!("{staging:?}") };
        assert_eq!(
            (zone.undo.is_none(), zone.confirm, zone.settle, zone.timeout.as_secs()),
            (true, false, Duration::ZERO, 120)
        );
        assert_eq!((alias.undo.as_deref(), alias.confirm), (Some(&["u".to_owned()][..]), true));
    }

    #[test]
    fn a_broken_file_is_refused_with_line_key_and_what_would_be_right() {
        for (text, expected) in [
            (
                format!("[steps.dns]\n{STEP}"),
                "_staging.toml: clusters: is missing (The two clusters, by the names of their sites)",
            ),
            (format!("clusters = ['a']\n[steps.dns]\n{STEP}"), "_staging.toml:1: clusters: must be two clusters"),
            (format!("clusters = ['a', 'a']\n[steps.dns]\n{STEP}"), "_staging.toml:1: clusters: must be two clusters"),
            (
                "clusters = ['a', 'b']".to_owned(),
                "_staging.toml: steps: there is no step, so that nothing says which cluster is the active one",
            ),
            (
                format!("clusters = ['a', 'b']\n[steps.dns]\n{STEP}unod = ['x']"),
                "_staging.toml:6: steps.dns.unod: unknown key; did you mean \"undo\"?",
            ),
            (
                format!("clusters = ['a', 'b']\n[steps.dns]\n{STEP}undo = ['x', '{{form}}']"),
                "_staging.toml:6: steps.dns.undo: \"{form}\" has an unknown placeholder {form}; did you mean {from}?",
            ),
            (
                format!("clusters = ['a', 'b']\n[steps.dns]\n{STEP}verify = 'dig x'"),
                "_staging.toml:6: steps.dns.verify: a list of arguments is wanted, as no shell is run: [\"dig\", \"x\"]",
            ),
            (
                format!("clusters = ['a', 'b']\n[preflight]\nignore = ['node']\n[steps.dns]\n{STEP}"),
                "_staging.toml:3: preflight.ignore: \"node\" is no look; did you mean \"nodes\"?",
            ),
            (
                format!("clusters = ['a', 'b']\n[steps.'a b']\n{STEP}"),
                "_staging.toml:2: steps.\"a b\": no name of a step (lower-case letters, digits and '-')",
            ),
            (
                "clusters = ['a', 'b']\n[steps.dns]\nsays = 'x'\ncheck = ['c']".to_owned(),
                "_staging.toml:2: steps.dns.apply: is missing (Does the step)",
            ),
        ] {
            assert_eq!(read(&text).unwrap_err(), expected, "{text}");
        }
    }
}
