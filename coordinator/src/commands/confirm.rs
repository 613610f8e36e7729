//! Confirmation: the operator types the cluster's name. Never asked where nobody can answer.

use std::io::IsTerminal as _;

use crate::{output, problem::Problem};

/// Asks for the cluster's name, unless `yes`.
pub(super) fn confirm(cluster: &str, yes: bool) -> Result<(), Problem> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Problem::usage("this changes the cluster and nobody can be asked: there is no terminal")
            .hint("to say yes beforehand: --yes; to see the plan: --dry-run"));
    }
    let typed = output::ask(&format!("Type the cluster's name ({cluster}) to go on: "));
    match typed {
        Some(typed) if typed == cluster => Ok(()),
        Some(typed) => Err(Problem::refused(format!("{typed:?} is not {cluster:?}"))),
        None => Err(Problem::refused("nothing was typed")),
    }
}
