//! Credential plugins: programs that a kubeconfig names under `exec`, by the contract of `client.authentication.k8s.io`.
//!
//! usher runs them itself. kube would run one several times for each client, on the thread that also renews the lock.

use std::{collections::HashMap, io::IsTerminal as _, time::Duration};

use jiff::Timestamp;
use kube::config::{ExecAuthCluster, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;

use super::issued::{Pair, Proof};
use crate::exec::{self, Captured};

/// The versions of the contract. v1alpha1 ended with Kubernetes 1.24.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// Where a plugin finds its request.
const INFO: &str = "KUBERNETES_EXEC_INFO";

/// A login in a browser takes its time; a plugin that hangs must not hang usher for ever.
const LIMIT: Duration = Duration::from_secs(300);

/// Why a plugin gave no credentials, in words that go on from its name.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{problem}")]
pub(in crate::cluster) struct PluginError {
    problem: String,
    /// What it wrote to standard error, or how to install it.
    pub(in crate::cluster) details: Vec<String>,
}

impl PluginError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), details: Vec::new() }
    }
}

/// A plugin, as a kubeconfig describes it.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct Plugin {
    argv: Vec<String>,
    variables: Vec<(String, String)>,
    version: String,
    mode: ExecInteractiveMode,
    /// The cluster that the credentials are for, if it wants to know.
    cluster: Option<ExecAuthCluster>,
    install_hint: Option<String>,
}

/// The answer on standard output: JSON, or YAML as client-go takes it too.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    kind: Option<String>,
    api_version: Option<String>,
    status: Option<Status>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    expiration_timestamp: Option<Timestamp>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Plugin {
    /// The plugin of a kubeconfig's user; `cluster` is told to it if it asks.
    ///
    /// # Errors
    ///
    /// If the entry names no program, or another version of the contract.
    pub(in crate::cluster) fn of(exec: &ExecConfig, cluster: ExecAuthCluster) -> Result<Self, PluginError> {
        let program = exec.command.clone().filter(|command| !command.is_empty());
        let program = program.ok_or_else(|| PluginError::new("the kubeconfig names no command"))?;
        let version = exec.api_version.clone().unwrap_or_default();
        if !VERSIONS.contains(&version.as_str()) {
            let problem =
                format!("apiVersion is {version:?} in the kubeconfig; usher knows {}", VERSIONS.join(" and "));
            return Err(PluginError::new(problem));
        }
        let variable =
            |entry: &HashMap<String, String>| Some((entry.get("name")?.clone(), entry.get("value")?.clone()));
        Ok(Self {
            argv: std::iter::once(program).chain(exec.args.iter().flatten().cloned()).collect(),
            variables: exec.env.iter().flatten().filter_map(variable).collect(),
            version,
            mode: exec.interactive_mode.clone().unwrap_or(ExecInteractiveMode::IfAvailable),
            cluster: exec.provide_cluster_info.then_some(cluster),
            install_hint: exec.install_hint.clone().filter(|hint| !hint.trim().is_empty()),
        })
    }

    /// The program without its arguments, which may be long.
    pub(in crate::cluster) fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// Runs it, once.
    ///
    /// # Errors
    ///
    /// If it cannot be run, fails, or answers with something else than credentials.
    pub(super) async fn run(&self) -> Result<Proof, PluginError> {
        let attended = self.is_attended(std::io::stdin().is_terminal())?;
        let mut variables = self.variables.clone();
        variables.push((INFO.to_owned(), self.info(attended)));
        let Captured { outcome, answer } = exec::captured(&self.argv, &variables, attended, LIMIT).await;
        if !outcome.succeeded() {
            let mut details = outcome.output.clone();
            if outcome.exit.is_none() {
                details.extend(self.install_hint.iter().flat_map(|hint| hint.lines().map(str::to_owned)));
            }
            return Err(PluginError { problem: outcome.how(), details });
        }
        let mut proof = self.read(&answer);
        if let Err(error) = &mut proof {
            error.details = outcome.output;
        }
        proof
    }

    /// Whether it may ask the operator.
    fn is_attended(&self, at_a_terminal: bool) -> Result<bool, PluginError> {
        match self.mode {
            ExecInteractiveMode::Never => Ok(false),
            ExecInteractiveMode::IfAvailable => Ok(at_a_terminal),
            ExecInteractiveMode::Always if at_a_terminal => Ok(true),
            ExecInteractiveMode::Always => {
                Err(PluginError::new("it must ask the operator (interactiveMode: Always), and there is no terminal"))
            }
        }
    }

    /// What it is told of its task.
    fn info(&self, attended: bool) -> String {
        let mut spec = json!({ "interactive": attended });
        if let Some(cluster) = &self.cluster {
            spec["cluster"] = json!(cluster);
        }
        json!({ "kind": "ExecCredential", "apiVersion": self.version, "spec": spec }).to_string()
    }

    fn read(&self, answer: &str) -> Result<Proof, PluginError> {
        // The parser's words may show a part of the answer, which is a secret.
        let answer: ExecCredential = serde_saphyr::from_str(answer)
            .map_err(|_| PluginError::new("its answer is no ExecCredential: neither JSON nor YAML of one"))?;
        let (kind, version) = (answer.kind.unwrap_or_default(), answer.api_version.unwrap_or_default());
        if kind != "ExecCredential" || version != self.version {
            let problem = format!("its answer is a {kind:?} of {version:?}, not an ExecCredential of {}", self.version);
            return Err(PluginError::new(problem));
        }
        let status = answer.status.unwrap_or_default();
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let pair = match (given(status.client_certificate_data), given(status.client_key_data)) {
            (Some(certificate), Some(key)) => Some(Pair::new(certificate.into_bytes(), key.into_bytes())),
            (None, None) => None,
            _ => {
                return Err(PluginError::new(
                    "it gave a certificate without its key, or a key without its certificate",
                ));
            }
        };
        let token = given(status.token);
        if token.is_none() && pair.is_none() {
            return Err(PluginError::new("it gave neither a token nor a certificate"));
        }
        Proof::new(token.as_deref(), pair, status.expiration_timestamp)
            .map_err(|_| PluginError::new("its token has characters that no header can carry"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(change: impl FnOnce(&mut ExecConfig)) -> Result<Plugin, PluginError> {
        let mut exec = ExecConfig {
            api_version: Some(VERSIONS[0].to_owned()),
            command: Some("sh".into()),
            args: Some(vec!["-c".into(), "exit 0".into()]),
            ..ExecConfig::default()
        };
        change(&mut exec);
        let cluster = ExecAuthCluster { server: Some("https://c".into()), ..ExecAuthCluster::default() };
        Plugin::of(&exec, cluster)
    }

    fn script(script: &str) -> Plugin {
        plugin(|exec| exec.args = Some(vec!["-c".into(), script.into()])).unwrap()
    }

    const ANSWER: &str =
        r#"{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": STATUS}"#;

    #[test]
    fn an_answer_is_a_token_or_a_pair_or_an_error_that_shows_no_secret() {
        let read = |answer: &str| plugin(|_| {}).unwrap().read(answer).map_err(|error| error.to_string());
        let status = |status: &str| read(&ANSWER.replace("STATUS", status));
        let token = status(r#"{"token": "t0", "expirationTimestamp": "2026-11-26T10:00:00Z"}"#).unwrap();
        assert_eq!(token.header().unwrap().as_bytes(), b"Bearer t0");
        assert_eq!(token.expires, Some("2026-11-26T10:00:00Z".parse().unwrap()));
        let pair = status(r#"{"clientCertificateData": "cert", "clientKeyData": "key"}"#).unwrap();
        assert!(pair.pair.is_some() && pair.header().is_none());
        let yaml = "kind: ExecCredential\napiVersion: client.authentication.k8s.io/v1\nstatus:\n  token: t1\n";
        assert_eq!(read(yaml).unwrap().header().unwrap().as_bytes(), b"Bearer t1");
        for (answer, expected) in [
            ("SECRET: [", "its answer is no ExecCredential: neither JSON nor YAML of one"),
            (
                r#"{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1"}"#,
                "its answer is a \"ExecCredential\" of \"client.authentication.k8s.io/v1beta1\", not an ExecCredential of client.authentication.k8s.io/v1",
            ),
        ] {
            assert_eq!(read(answer).unwrap_err(), expected);
        }
        for (given, expected) in [
            ("{}", "it gave neither a token nor a certificate"),
            (r#"{"token": ""}"#, "it gave neither a token nor a certificate"),
            (r#"{"clientKeyData": "key"}"#, "it gave a certificate without its key, or a key without its certificate"),
            (r#"{"token": "a\nb"}"#, "its token has characters that no header can carry"),
        ] {
            assert_eq!(status(given).unwrap_err(), expected, "{given}");
        }
    }

    #[test]
    fn a_plugin_is_told_the_cluster_if_it_asks_and_whether_it_may_ask_the_operator() {
        let quiet = plugin(|exec| exec.interactive_mode = Some(ExecInteractiveMode::Never)).unwrap();
        let told =
            |plugin: &Plugin, attended| serde_json::from_str::<serde_json::Value>(&plugin.info(attended)).unwrap();
        assert_eq!(
            told(&quiet, false),
            json!({"kind": "ExecCredential", "apiVersion": VERSIONS[0], "spec": {"interactive": false}})
        );
        assert!(!quiet.is_attended(true).unwrap());
        let asks = plugin(|exec| exec.provide_cluster_info = true).unwrap();
        assert_eq!(told(&asks, true)["spec"], json!({"interactive": true, "cluster": {"server": "https://c"}}));
        assert!(asks.is_attended(true).unwrap() && !asks.is_attended(false).unwrap());
        let must = plugin(|exec| exec.interactive_mode = Some(ExecInteractiveMode::Always)).unwrap();
        assert!(must.is_attended(true).unwrap() && must.is_attended(false).is_err());
    }

    #[test]
    fn an_entry_without_a_command_or_of_another_version_is_refused() {
        let unnamed = plugin(|exec| exec.command = None).unwrap_err();
        assert_eq!(unnamed.to_string(), "the kubeconfig names no command");
        let old = plugin(|exec| exec.api_version = Some("client.authentication.k8s.io/v1alpha1".into())).unwrap_err();
        assert!(old.to_string().starts_with("apiVersion is \"client.authentication.k8s.io/v1alpha1\""), "{old}");
    }

    #[tokio::test]
    async fn a_plugin_finds_its_variables_and_its_failure_is_told_in_its_own_words() {
        let answer = ANSWER.replace("STATUS", r#"{"token": "'$WHO'"}"#);
        let mut asked = script(&format!("test -n \"$KUBERNETES_EXEC_INFO\" && echo '{answer}'"));
        asked.variables.push(("WHO".into(), "ann".into()));
        assert_eq!(asked.run().await.unwrap().header().unwrap().as_bytes(), b"Bearer ann");

        let error = script("echo 'log in first' >&2; exit 3").run().await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.details), ("exit code 3", vec!["log in first".to_owned()]));
        let missing = plugin(|exec| {
            exec.command = Some("/nonexistent/plugin".into());
            exec.install_hint = Some("apt-get install plugin".into());
        });
        let error = missing.unwrap().run().await.unwrap_err();
        assert!(error.to_string().starts_with("cannot be run: "), "{error}");
        assert_eq!(error.details, ["apt-get install plugin"]);
    }
}
