//! Whether somebody else's helmfile is at work on the same service.

use std::path::{Path, PathBuf};

/// The commands of helmfile that change a cluster.
const CHANGING: [&str; 4] = ["sync", "apply", "destroy", "delete"];

/// What a script's process is called: the script is its first argument.
const INTERPRETERS: [&str; 5] = ["sh", "bash", "dash", "python3", "ruby"];

/// A process of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub id: i32,
    /// Whose it is.
    pub user: String,
    pub arguments: Vec<String>,
    /// The folder in which it works. None if that is hidden from this user.
    pub folder: Option<PathBuf>,
}

/// What a process means to a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// None.
    None,
    /// It changes the same environment of some service: of which one is hidden.
    Perhaps,
    /// It changes the same service in the same environment.
    Same,
}

/// What a process means to the roll of the service in `folder` in an environment. `program` is what helmfile is called here.
pub fn concern(process: &Process, program: &str, folder: &Path, environment: &str) -> Concern {
    let Some(arguments) = of_helmfile(&process.arguments, program) else { return Concern::None };
    if !arguments.iter().any(|argument| CHANGING.contains(&argument.as_str())) {
        return Concern::None;
    }
    // Its environment may also stand in a variable, which nobody else can read.
    if environment_of(arguments).is_some_and(|other| other != environment) {
        return Concern::None;
    }
    match &process.folder {
        None => Concern::Perhaps,
        Some(other) if other == folder => Concern::Same,
        Some(_) => Concern::None,
    }
}

/// The arguments of helmfile, if the process is one.
fn of_helmfile<'a>(arguments: &'a [String], program: &str) -> Option<&'a [String]> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let is_helmfile = |path: &str| [name(program), "helmfile".to_owned()].contains(&name(path));
    match arguments {
        [first, rest @ ..] if is_helmfile(first) => Some(rest),
        [first, second, rest @ ..] if INTERPRETERS.contains(&name(first).as_str()) && is_helmfile(second) => Some(rest),
        _ => None,
    }
}

fn environment_of(arguments: &[String]) -> Option<&str> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "-e" || argument == "--environment" {
            return arguments.next().map(String::as_str);
        }
        let attached = argument.strip_prefix("--environment=").or_else(|| argument.strip_prefix("-e="));
        if let Some(value) = attached.or_else(|| argument.strip_prefix("-e")) {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(line: &str, folder: Option<&str>) -> Process {
        let arguments = line.split(' ').map(str::to_owned).collect();
        Process { id: 7, user: "ann".to_owned(), arguments, folder: folder.map(PathBuf::from) }
    }

    #[test]
    fn only_a_helmfile_that_changes_the_same_service_in_the_same_environment_is_in_the_way() {
        let here = Some("/srv/mathoid");
        for (line, folder, expected) in [
            ("helmfile -e codfw sync", here, Concern::Same),
            ("/usr/bin/helmfile --environment=codfw -i apply", here, Concern::Same),
            ("helmfile --environment codfw destroy", here, Concern::Same),
            ("helmfile -ecodfw sync", here, Concern::Same),
            ("bash /usr/local/bin/helmfile -e codfw apply", here, Concern::Same),
            ("/opt/hf-1.8 -e codfw apply", here, Concern::Same),
            // Its environment may stand in a variable.
            ("helmfile apply", here, Concern::Same),
            ("helmfile --enable-live-output apply", here, Concern::Same),
            ("helmfile -e codfw apply", None, Concern::Perhaps),
            ("helmfile -e eqiad apply", here, Concern::None),
            ("helmfile -e codfw apply", Some("/srv/blubber"), Concern::None),
            ("helmfile -e codfw diff", here, Concern::None),
            ("vim helmfile apply", here, Concern::None),
            ("helm upgrade web", here, Concern::None),
        ] {
            let found = concern(&process(line, folder), "/opt/hf-1.8", Path::new("/srv/mathoid"), "codfw");
            assert_eq!(found, expected, "{line}");
        }
    }
}
