//! A program that answers on its standard output, for this process alone: a credential plugin.

use std::{future::pending, process::Stdio, time::Duration};

use tokio::{
    process::Command,
    time::{Instant, timeout},
};

use super::{
    CommandOutcome,
    process::{Ended, Limits, Process, Stream, TERM},
};

/// How the program ended, and its answer.
#[derive(Debug)]
pub struct Captured {
    /// Its output has the lines of standard error alone: the answer may be a secret.
    pub outcome: CommandOutcome,
    /// What it wrote to standard output.
    pub answer: String,
}

/// Runs a program for at most `limit`, with these variables beside usher's own.
///
/// At the terminal (`attended`) it has usher's input, standard error and process group, so that it can ask the operator, and a ^C
/// ends it. Otherwise it has none of them, as the site's commands.
///
/// This never fails: the outcome says what went wrong.
pub async fn captured(argv: &[String], variables: &[(String, String)], attended: bool, limit: Duration) -> Captured {
    let started = Instant::now();
    let mut captured = Captured { outcome: CommandOutcome::of(argv.to_vec()), answer: String::new() };
    match super::command(argv) {
        Ok(mut command) => {
            command.envs(variables.iter().map(|(name, value)| (name, value)));
            match attended {
                true => at_the_terminal(command, limit, &mut captured).await,
                false => apart(command, limit, &mut captured).await,
            }
        }
        Err(problem) => captured.outcome.problem = Some(problem),
    }
    captured.outcome.took = started.elapsed();
    captured
}

async fn apart(mut command: Command, limit: Duration, captured: &mut Captured) {
    let process = match Process::start(&mut command) {
        Ok(process) => process,
        Err(problem) => {
            captured.outcome.problem = Some(problem);
            return;
        }
    };
    let limits = Limits {
        stop: pending::<()>(),
        leave: pending::<()>(),
        deadline: Instant::now().checked_add(limit),
        ladder: &[TERM],
    };
    let Captured { outcome, answer } = captured;
    let ended = process.follow(limits, |stream, text| match stream {
        Stream::Output => {
            answer.push_str(&text);
            answer.push('\n');
        }
        Stream::Error => outcome.keep(&text),
    });
    let ended = ended.await;
    outcome.end(ended, limit);
}

async fn at_the_terminal(mut command: Command, limit: Duration, captured: &mut Captured) {
    command.stdin(Stdio::inherit()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let ended = match command.spawn() {
        Ok(child) => timeout(limit, child.wait_with_output()).await,
        Err(error) => {
            captured.outcome.problem = Some(format!("cannot be run: {error}"));
            return;
        }
    };
    let ended = match ended {
        Ok(Ok(output)) => {
            captured.answer = String::from_utf8_lossy(&output.stdout).into_owned();
            Ended { status: Ok(output.status), timed_out: false }
        }
        Ok(Err(error)) => Ended { status: Err(error), timed_out: false },
        Err(_) => {
            captured.outcome.timed_out = true;
            captured.outcome.problem = Some(format!("not done after {}, killed", crate::text::took(limit)));
            return;
        }
    };
    captured.outcome.end(ended, limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_answer_is_kept_apart_from_what_is_said_beside_it() {
        let argv = ["sh", "-c", "echo $GIVEN; echo beside >&2; cat"].map(str::to_owned);
        let variables = [("GIVEN".to_owned(), "secret".to_owned())];
        let Captured { outcome, answer } = captured(&argv, &variables, false, Duration::from_secs(20)).await;
        assert!(outcome.succeeded(), "without a terminal its input is empty: {outcome:?}");
        assert_eq!((answer.as_str(), outcome.output), ("secret\n", vec!["beside".to_owned()]));
        let missing = captured(&["/nonexistent/plugin".to_owned()], &[], false, Duration::from_secs(1)).await;
        assert!(missing.outcome.how().starts_with("cannot be run: "), "{missing:?}");
    }
}
