//! What `helmfile list --output json` says.

use serde::Deserialize;

/// helmfile's exit code where no release matches (its `NoMatchingHelmfileError`).
const NO_MATCH: i32 = 3;

/// What it says then. Versions before 0.150 end with another code.
const NO_MATCH_TEXT: &str = "no releases found that matches";

/// A release of a service, as its helmfile has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listed {
    pub name: String,
    /// Empty where the helmfile names none: then it is the kubeconfig's.
    #[serde(default)]
    pub namespace: String,
    /// Whether its `condition` holds. helmfile leaves a release alone whose condition does not.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether it should be there; a sync removes it if not.
    #[serde(default = "yes")]
    pub installed: bool,
}

fn yes() -> bool {
    true
}

/// Whether helmfile said that it has no releases in this environment, which is also what it says of an environment that it does not
/// know. `output` is everything that it wrote.
pub fn is_unknown<'a>(exit: Option<i32>, output: impl IntoIterator<Item = &'a str>) -> bool {
    match exit {
        Some(0) | None => false,
        Some(NO_MATCH) => true,
        Some(_) => output.into_iter().any(|line| line.contains(NO_MATCH_TEXT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_helmfile_is_read_with_what_older_versions_leave_out() {
        let text = r#"[{"name":"web","namespace":"shop","enabled":true,"installed":false,"labels":"tier:front","chart":"./chart",
            "version":""},{"name":"db"}]"#;
        let list: Vec<Listed> = serde_json::from_str(text).unwrap();
        let listed = |name: &str, namespace: &str, installed| Listed {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            enabled: true,
            installed,
        };
        assert_eq!(list, [listed("web", "shop", false), listed("db", "", true)]);
    }

    #[test]
    fn an_unknown_environment_is_told_from_a_helmfile_that_fails() {
        let said = "err: no releases found that matches specified selector() and environment(codwf), in any helmfile";
        assert!(is_unknown(Some(3), [said]));
        assert!(is_unknown(Some(1), ["in ./helmfile.yaml:", said]));
        assert!(!is_unknown(Some(1), ["in ./helmfile.yaml: failed to read helmfile.yaml"]));
        assert!(!is_unknown(Some(0), [said]));
        assert!(!is_unknown(None, [said]), "it was killed");
    }
}
