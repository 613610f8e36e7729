use nix::unistd::Pid;
use tokio::{sync::oneshot, time::timeout};

use super::*;

const LONG: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

/// Whether a process is gone, or dead and not yet reaped by init. A busy machine takes a while to carry out a kill.
#[allow(clippy::disallowed_methods)] // /proc is no disk
async fn ends(process: Pid) -> bool {
    let patience = Instant::now() + LONG;
    while Instant::now() < patience {
        let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn a_command_ends_with_its_code_and_its_output() {
    let outcome = run(&shell("echo one; echo two >&2; exit 3"), &[], LONG).await;
    let mut output = outcome.output.clone();
    output.sort();
    assert_eq!((outcome.exit, outcome.succeeded(), output), (Some(3), false, vec!["one".into(), "two".into()]));
    assert_eq!(outcome.how(), "exit code 3");
    assert!(run(&shell("true"), &[], LONG).await.succeeded());
}

#[tokio::test]
async fn values_are_filled_in_and_nothing_else_is() {
    let argv = ["printf", "%s", "{node} {address} {other} $HOME"].map(str::to_owned);
    let outcome = run(&argv, &[("node", "cp1"), ("address", "10.0.0.1")], LONG).await;
    assert_eq!(outcome.output, ["cp1 10.0.0.1 {other} $HOME"]);
    assert_eq!(outcome.argv[2], "cp1 10.0.0.1 {other} $HOME");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_its_children() {
    let script = "trap '' TERM; sleep 300 & echo $!; wait; sleep 300";
    let outcome = run(&shell(script), &[], Duration::from_secs(2)).await;
    assert_eq!((outcome.exit, outcome.timed_out), (None, true));
    assert_eq!(outcome.how(), "not done after 2.0s, killed");
    let child = Pid::from_raw(outcome.output[0].parse().unwrap());
    assert!(ends(child).await, "{child} goes on");
}

#[tokio::test]
async fn a_process_left_behind_does_not_hold_us() {
    let started = Instant::now();
    let outcome = run(&shell("echo done; sleep 60 & exit 0"), &[], LONG).await;
    assert!(outcome.succeeded());
    assert_eq!(outcome.output, ["done"]);
    assert!(started.elapsed() < LONG);
}

#[tokio::test]
async fn a_process_left_behind_that_goes_on_writing_does_not_hold_us() {
    let script = "(while sleep 0.1; do echo more; done) & echo $!";
    let outcome = timeout(LONG, run(&shell(script), &[], LONG)).await.unwrap();
    assert!(outcome.succeeded() && outcome.took < LONG / 2, "{outcome:?}");
    assert!(outcome.output.contains(&"more".to_owned()), "{outcome:?}");
    let left = Pid::from_raw(outcome.output[0].parse().unwrap());
    // Its pipe is closed, so its next line ends it.
    assert!(ends(left).await, "{left} goes on");
}

#[tokio::test]
async fn a_command_that_does_not_exist_or_is_killed_is_said() {
    let outcome = run(&["/nonexistent/confctl".to_owned()], &[], LONG).await;
    assert_eq!(outcome.how(), "cannot be run: No such file or directory (os error 2)");
    let outcome = run(&shell("kill -9 $$"), &[], LONG).await;
    assert_eq!((outcome.how().as_str(), outcome.exit), ("killed by SIGKILL", None));
}

#[tokio::test]
async fn only_the_last_lines_of_much_output_are_kept() {
    let outcome = run(&shell("seq 1 2000"), &[], LONG).await;
    assert_eq!(outcome.output.len(), KEPT_LINES);
    assert_eq!(outcome.output.last().unwrap(), "2000");
}

/// A script that is followed in a folder; what it wrote, and how it ended. `act` gets each line and what stops and leaves it.
async fn followed(
    script: &str,
    limit: Duration,
    mut act: impl FnMut(&str, &mut Option<oneshot::Sender<()>>, &mut Option<oneshot::Sender<()>>),
) -> CommandOutcome {
    let (stop, stopped) = oneshot::channel();
    let (leave, left) = oneshot::channel();
    let (mut stop, mut leave) = (Some(stop), Some(leave));
    let variables = [("GIVEN".to_owned(), Some("here".to_owned())), ("HOME".to_owned(), None)];
    let argv = shell(script);
    let program = Program { argv: &argv, folder: Path::new("/"), variables: &variables, limit };
    let until = async |sender: oneshot::Receiver<()>| {
        if sender.await.is_err() {
            pending::<()>().await;
        }
    };
    follow(program, until(stopped), until(left), &mut |_, line| act(line, &mut stop, &mut leave)).await
}

fn send(sender: &mut Option<oneshot::Sender<()>>) {
    if let Some(sender) = sender.take() {
        sender.send(()).unwrap();
    }
}

#[tokio::test]
async fn a_program_that_is_followed_works_in_its_folder_with_its_variables_and_its_lines_come_at_once() {
    let mut lines = Vec::new();
    let long = "x".repeat(2 * KEPT_CHARACTERS);
    let script = format!("pwd; echo ${{GIVEN}} ${{HOME:-none}} >&2; echo {long}");
    let argv = shell(&script);
    let variables = [("GIVEN".to_owned(), Some("here".to_owned())), ("HOME".to_owned(), None)];
    let program = Program { argv: &argv, folder: Path::new("/"), variables: &variables, limit: LONG };
    let outcome =
        follow(program, pending(), pending(), &mut |stream, line| lines.push((stream, line.to_owned()))).await;
    assert!(outcome.succeeded(), "{outcome:?}");
    let of = |wanted: Stream| lines.iter().filter(move |(stream, _)| *stream == wanted).map(|(_, line)| line.as_str());
    assert_eq!(of(Stream::Output).collect::<Vec<_>>(), ["/", &long]);
    assert_eq!(of(Stream::Error).collect::<Vec<_>>(), ["here none"]);
    assert!(outcome.output.iter().all(|line| line.len() <= KEPT_CHARACTERS));
}

#[tokio::test]
async fn a_program_that_is_stopped_gets_one_sigint_and_all_the_time_that_it_needs() {
    let script = "trap 'echo asked; n=$((n+1))' INT; echo begun; while [ -z \"$n\" ]; do sleep 0.05; done; sleep 0.3; exit $((40+n))";
    let outcome = followed(script, LONG, |line, stop, _| {
        if line == "begun" {
            send(stop);
        }
    })
    .await;
    assert_eq!(
        (outcome.exit, outcome.timed_out, outcome.output),
        (Some(41), false, vec!["begun".into(), "asked".into()])
    );
}

#[tokio::test]
async fn a_program_that_is_left_is_ended_with_its_children_whatever_it_does() {
    let script = "trap '' INT TERM; sleep 300 & echo $!; wait; sleep 300";
    let outcome = followed(script, LONG, |_, stop, leave| {
        send(stop);
        send(leave);
    })
    .await;
    assert_eq!((outcome.how().as_str(), outcome.timed_out), ("killed by SIGKILL", false));
    let child = Pid::from_raw(outcome.output[0].parse().unwrap());
    assert!(ends(child).await, "{child} goes on");
}

#[tokio::test]
async fn a_program_that_takes_too_long_may_clean_up_first() {
    let script = "trap 'echo cleaned up; exit 130' INT; while :; do sleep 0.05; done";
    let outcome = followed(script, Duration::from_millis(300), |_, _, _| {}).await;
    assert_eq!((outcome.exit, outcome.timed_out), (None, true));
    assert_eq!((outcome.how().as_str(), outcome.output), ("not done after 0.3s, killed", vec!["cleaned up".into()]));
}

#[tokio::test]
async fn a_limit_may_be_longer_than_any_clock() {
    assert!(followed("true", Duration::MAX, |_, _, _| {}).await.succeeded());
    assert!(run(&shell("true"), &[], Duration::MAX).await.succeeded());
}
