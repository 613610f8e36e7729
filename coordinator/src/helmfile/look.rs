//! One service on its way to helmfile: asked about before the plan, and once more right before its turn.

use std::{
    future::pending,
    path::{Path, PathBuf},
    time::Duration,
};

use usher_common::{chain, clock};
use usher_core::{
    helmfile::{Helmfile, Listed, is_unknown},
    text,
};

use super::{
    others,
    releases::{Made, Records, Releases},
};
use crate::{
    cluster::{Cluster, ClusterError},
    exec::{self, CommandOutcome, Program, Stream},
    problem::{Kind, Problem},
};

/// helmfile renders its templates for a list, which may fetch values from a store of secrets.
const LIST_TIMEOUT: Duration = Duration::from_secs(120);

/// Lines of helmfile's output that a refusal tells.
const TOLD: usize = 10;

/// A service, where it is and how helmfile gets to its cluster.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) service: String,
    pub(super) folder: PathBuf,
    pub(super) cluster: Cluster,
    /// Of helmfile and helm; without a value, those that would lead them elsewhere.
    pub(super) variables: Vec<(String, Option<String>)>,
}

impl Place {
    /// A command line of helmfile as it can be pasted into a shell in the service's folder.
    pub(super) fn command(&self, argv: &[String]) -> String {
        let set = self.variables.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let mut words: Vec<_> = set.map(|(name, value)| format!("{name}={}", text::command(&[value]))).collect();
        words.push(text::command(argv));
        words.join(" ")
    }

    /// The flags that lead helm to the cluster, with a space before each.
    pub(super) fn helm_flags(&self) -> String {
        let value = |wanted: &str| {
            self.variables.iter().find_map(|(name, value)| if name == wanted { value.as_ref() } else { None })
        };
        let flags = [("kubeconfig", value("KUBECONFIG")), ("kube-context", value("HELM_KUBECONTEXT"))];
        let given = flags.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given.map(|(name, value)| format!(" --{name} {}", text::command(&[value]))).collect()
    }

    /// What the service's helmfile has in an environment. None if it does not know it, or has nothing in it.
    pub(super) async fn listed(&self, settings: &Helmfile, environment: &str) -> Result<Option<Vec<Listed>>, Problem> {
        let argv = settings.list(environment);
        let program = Program { argv: &argv, folder: &self.folder, variables: &self.variables, limit: LIST_TIMEOUT };
        let (mut written, mut said) = (Vec::new(), Vec::new());
        let mut read = |stream, line: &str| match stream {
            Stream::Output => written.push(line.to_owned()),
            Stream::Error => said.push(line.to_owned()),
        };
        let outcome = exec::follow(program, pending(), pending(), &mut read).await;
        if is_unknown(outcome.exit, said.iter().chain(&written).map(String::as_str)) {
            return Ok(None);
        }
        let failed = |how: &str, outcome: &CommandOutcome| {
            let command = self.command(&argv);
            let last = outcome.output.iter().skip(outcome.output.len().saturating_sub(TOLD)).cloned();
            Problem::refused(format!("helmfile does not say which releases {} has: {how}", self.service))
                .details(last)
                .hint(format!("see: cd {} && {command}", text::command(&[self.folder.display().to_string()])))
        };
        if !outcome.succeeded() {
            return Err(failed(&outcome.how(), &outcome));
        }
        // A hook of the helmfile may write there as well.
        let json = written.iter().rev().find(|line| line.starts_with('[')).map_or("", String::as_str);
        let listed: Vec<Listed> =
            serde_json::from_str(json).map_err(|error| failed(&format!("its list is no JSON ({error})"), &outcome))?;
        Ok((!listed.is_empty()).then_some(listed))
    }
}

/// A service in an environment, as its helmfile has it.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) place: Place,
    pub(super) environment: String,
    pub(super) releases: Releases,
}

impl Service {
    /// Refuses if the service must not be rolled now; else Helm's records, and what cannot be seen of others.
    pub(super) async fn look(&self, settings: &Helmfile) -> Result<(Records, Vec<String>), Problem> {
        let Place { service, folder, .. } = &self.place;
        let unseen = others::look(&settings.program, folder, service, &self.environment)?;
        let records = self.records().await.map_err(|error| unread(&error))?;
        let deploy = self.place.command(&settings.diff(&self.environment));
        let ways = (self.place.helm_flags(), deploy);
        self.releases.expect_syncable(service, &records, (&ways.0, &ways.1), clock::now())?;
        Ok((records, unseen))
    }

    /// What Helm has recorded of its releases.
    pub(super) async fn records(&self) -> Result<Records, ClusterError> {
        self.releases.records(&self.place.cluster).await
    }

    /// What Helm has made of its releases, if that can be read.
    pub(super) async fn made(&self) -> Option<Made> {
        self.releases.made(&self.place.cluster).await
    }

    pub(super) fn folder(&self) -> &Path {
        &self.place.folder
    }
}

/// So far everything was only read: whatever keeps usher from it is a refusal, unless nobody answers.
fn unread(error: &ClusterError) -> Problem {
    let problem = Problem::new(if error.is_unreachable() { Kind::Failed } else { Kind::Refused }, chain(error));
    match error.is_forbidden() {
        true => problem.hint("helm needs the same right: list on secrets, in the namespaces of the releases"),
        false => problem,
    }
}
