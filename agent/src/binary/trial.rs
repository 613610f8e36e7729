//! Trying out a binary before it is executed in place of the agent: a machine whose new agent does not start has none.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

/// How long one question may take. Answers take milliseconds; systemd's watchdog is fed meanwhile.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How much is told of what it says.
const WORDS: usize = 500;

/// Asks the binary for its version, and whether it would start with this configuration.
pub(super) async fn run(program: &Path, config: &Path) -> (String, Result<(), String>) {
    let says = match ask(program, &["--version".as_ref()]).await {
        Ok(says) => says,
        Err(problem) => return (String::new(), Err(problem)),
    };
    let Some(version) = says.trim().strip_prefix("usher-agent ") else {
        let program = program.display();
        return (String::new(), Err(format!("{program} is no usher-agent: asked for its version, it says {says:?}")));
    };
    let version = version.to_owned();
    let question = ["--config".as_ref(), config.as_os_str(), "--check-config".as_ref()];
    (version, ask(program, &question).await.map(drop))
}

/// What it prints, or why it fails, in its own words.
async fn ask(program: &Path, question: &[&std::ffi::OsStr]) -> Result<String, String> {
    let shown = program.display();
    #[allow(clippy::disallowed_methods)] // nothing else tells whether a binary starts
    let mut command = Command::new(program);
    command.args(question).stdin(Stdio::null()).kill_on_drop(true);
    let output = match timeout(ANSWERS_WITHIN, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("{shown} cannot be executed: {error}")),
        Err(_) => return Err(format!("{shown} does not answer within {} s", ANSWERS_WITHIN.as_secs())),
    };
    if output.status.success() {
        return Ok(shortened(&output.stdout));
    }
    let said = shortened(&output.stderr).replace('\n', "; ");
    Err(if said.is_empty() { format!("{shown} fails: {}", output.status) } else { said })
}

/// The beginning of what was printed, on a terminal's terms.
fn shortened(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    said.trim().chars().filter(|letter| *letter == '\n' || !letter.is_control()).take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    async fn tried(script: &str) -> (String, Result<(), String>) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("usher-agent");
        #[allow(clippy::disallowed_methods)] // the test's own file
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        run(&program, Path::new("/etc/usher/agent.toml")).await
    }

    #[tokio::test]
    async fn a_binary_that_would_start_says_its_version_and_one_that_would_not_says_why() {
        let asked = "#!/bin/sh\ncase \"$*\" in --version) echo usher-agent 0.2.0;; \
                     '--config /etc/usher/agent.toml --check-config') ";
        assert_eq!(tried(&format!("{asked} ;; esac")).await, ("0.2.0".to_owned(), Ok(())));
        let fails = "echo 'line 3: unknown key' >&2; echo '\u{1b}[31mline 4' >&2; exit 1";
        let why = "line 3: unknown key; [31mline 4".to_owned();
        assert_eq!(tried(&format!("{asked} {fails};; esac")).await, ("0.2.0".to_owned(), Err(why)));
        let (version, other) = tried("#!/bin/sh\necho nginx 1.2").await;
        assert!(version.is_empty() && other.unwrap_err().contains("is no usher-agent"));
        let (version, broken) = tried("#!/nonexistent\n").await;
        assert!(version.is_empty() && broken.unwrap_err().contains("cannot be executed"));
        let (_, ends) = tried("#!/bin/sh\nkill -SEGV $$").await;
        assert!(ends.unwrap_err().contains("signal: 11"));
    }
}
