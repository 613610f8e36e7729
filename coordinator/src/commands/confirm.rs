//! Confirmation: the operator types the cluster's name, and of a large change how many machines it is for. Never asked where nobody can
//! answer.

use std::io::IsTerminal as _;

use crate::{output, problem::Problem};

/// A change of more machines than this is one that an operator may have meant to be smaller.
const MANY: usize = 10;

/// Asks for the cluster's name, unless `yes`.
pub(super) fn confirm(cluster: &str, yes: bool) -> Result<(), Problem> {
    ask("the cluster's name", cluster, yes)
}

/// The same for a change of this many machines: of a large one the number is typed as well, so that a selector that matches too much is
/// seen.
pub(super) fn confirm_machines(cluster: &str, machines: usize, yes: bool) -> Result<(), Problem> {
    match machines > MANY {
        true => ask("the cluster's name and the number of machines", &format!("{cluster} {machines}"), yes),
        false => confirm(cluster, yes),
    }
}

fn ask(what: &str, expected: &str, yes: bool) -> Result<(), Problem> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Problem::usage("this changes the cluster and nobody can be asked: there is no terminal")
            .hint("to say yes beforehand: --yes; to see the plan: --dry-run"));
    }
    let typed = output::ask(&format!("Type {what} ({expected}) to go on: "));
    match typed {
        Some(typed) if typed.split_whitespace().eq(expected.split_whitespace()) => Ok(()),
        Some(typed) => Err(Problem::refused(format!("{typed:?} is not {expected:?}"))),
        None => Err(Problem::refused("nothing was typed")),
    }
}
