mod requests;

use std::time::Duration;

use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_says_in_its_help_how_it_can_end() {
    fn silent(command: &clap::Command, above: &str) -> Vec<String> {
        let name = format!("{above} {}", command.get_name());
        if command.has_subcommands() {
            return command.get_subcommands().flat_map(|below| silent(below, &name)).collect();
        }
        let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        if help.starts_with("Exit codes: ") { Vec::new() } else { vec![name] }
    }
    assert_eq!(silent(&Cli::command(), ""), [""; 0]);
}

#[test]
fn a_change_needs_a_reason_but_a_dry_run_does_not() {
    assert!(Cli::try_parse_from(["usher", "restart", "kube-scheduler"]).is_err());
    assert!(Cli::try_parse_from(["usher", "restart", "kube-scheduler", "-r", " "]).is_err());
    assert!(Cli::try_parse_from(["usher", "restart", "kube-scheduler", "--dry-run"]).is_ok());
    assert!(Cli::try_parse_from(["usher", "reboot", "w1", "-r", "kernel"]).is_ok());
    assert!(Cli::try_parse_from(["usher", "drain", "w1", "--dry-run=server"]).is_ok());
    assert!(Cli::try_parse_from(["usher", "drain", "w1", "--dry-run", "--ignore-daemonsets"]).is_ok());
}

#[test]
fn kubectls_flags_of_a_drain_mean_what_they_mean_there() {
    let parse = |flags: &[&str]| {
        let all = ["usher", "drain", "w1", "-r", "x"].iter().chain(flags);
        match Cli::try_parse_from(all).unwrap().command {
            Command::Drain(drain) => drain,
            other => panic!("{other:?}"),
        }
    };
    let plain = parse(&[]);
    assert!(plain.eviction.ignore_daemonsets && plain.change.dry_run == DryRun::None);
    assert_eq!((plain.eviction.grace_period, plain.eviction.chunk_size), (-1, 500));
    assert!(!parse(&["--ignore-daemonsets=false"]).eviction.ignore_daemonsets);
    assert_eq!(parse(&["--dry-run"]).change.dry_run, DryRun::Client);
    assert_eq!(parse(&["--timeout", "0"]).eviction.drain_timeout, Some(Duration::ZERO));
    assert_eq!(parse(&["--skip-wait-for-delete-timeout=30"]).eviction.skip_wait_for_delete_timeout, Some(30));
    let all =
        parse(&["--force", "--delete-emptydir-data", "--disable-eviction", "--pod-selector=a=b", "--chunk-size=0"]);
    assert!(all.eviction.force && all.eviction.delete_emptydir_data && all.eviction.disable_eviction);
    assert_eq!(
        (all.eviction.pod_selector.map(|it| it.to_string()).as_deref(), all.eviction.chunk_size),
        (Some("a=b"), 0)
    );
}

#[test]
fn nodes_are_named_or_selected_but_not_both() {
    assert!(Cli::try_parse_from(["usher", "cordon", "-r", "x"]).is_err());
    assert!(Cli::try_parse_from(["usher", "cordon", "w1", "-l", "a=b", "-r", "x"]).is_err());
    assert!(Cli::try_parse_from(["usher", "cordon", "-l", "a=b", "-r", "x"]).is_ok());
}
