use clap::Parser as _;

use super::*;
use crate::{
    cli::{Cli, DryRun},
    workloads::rollout::{Kind, fixtures::workload},
};

fn outcome(entries: &[(&str, Ended)], stop: Option<Stop>) -> Outcome {
    let entry = |&(name, ended): &(&str, Ended)| Entry {
        workload: workload(Kind::Deployment, name),
        changed: ended != Ended::NotBegun,
        ended,
        seconds: 1.0,
        why: Vec::new(),
    };
    Outcome { entries: entries.iter().map(entry).collect(), stop }
}

#[test]
fn what_was_not_done_decides_how_usher_ends() {
    use Ended::{Begun, Complete, Failed, NotBegun, TimedOut, UnderWay};
    for (ended, stop, expected) in [
        (vec![Complete, Complete], None, Exit::Done),
        (vec![Complete, Begun], None, Exit::Done),
        (vec![Failed], Some(Stop::Failures), Exit::Failed),
        (vec![Failed, NotBegun], Some(Stop::Failures), Exit::Failed),
        (vec![Complete, Failed, NotBegun], Some(Stop::Failures), Exit::Partly),
        (vec![Complete, TimedOut, NotBegun], Some(Stop::TimedOut), Exit::TimedOut),
        (vec![Complete, UnderWay], Some(Stop::Failures), Exit::TimedOut),
        (vec![Complete, NotBegun], Some(Stop::Interrupted), Exit::Interrupted),
        // It came too late to stop anything.
        (vec![Complete, Complete], Some(Stop::Interrupted), Exit::Done),
    ] {
        let entries: Vec<_> = ended.iter().map(|ended| ("web", *ended)).collect();
        assert_eq!(exit(&outcome(&entries, stop), &[]), expected, "{ended:?}");
    }
}

#[test]
fn the_report_prints_what_goes_on_and_what_takes_it_back() {
    let global = Cli::try_parse_from(["usher", "status", "--context", "eqiad"]).unwrap().global;
    let change = ObjectChangeFlags { reason: Some("new CA".to_owned()), dry_run: DryRun::None, yes: true };
    let doing = Doing::Restart { at: "2026-11-25T12:00:00Z".to_owned(), change: &change };
    let entries = [
        ("a", Ended::Complete),
        ("b", Ended::Failed),
        ("c", Ended::TimedOut),
        ("d", Ended::NotBegun),
        ("e", Ended::NotBegun),
    ];
    let outcome = outcome(&entries, Some(Stop::TimedOut));
    assert_eq!(
        go_on(&global, &outcome, &doing),
        [
            "usher rollout restart deployment/d deployment/e -n shop -r 'new CA' --context=eqiad",
            "usher rollout status deployment/c -n shop --wait --context=eqiad",
        ]
    );
    assert_eq!(
        undo(&global, &outcome, &doing),
        [
            "usher rollout undo deployment/a deployment/b deployment/c -n shop --restarted-at=2026-11-25T12:00:00Z --context=eqiad",
        ]
    );
    assert_eq!(
        summary(&outcome, &doing, Duration::from_secs(72)),
        "5 workloads: 1 restarted and complete, 1 failed, 1 still under way, 2 not begun; took 1m12s"
    );
}
