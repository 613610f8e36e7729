//! What was asked of the API servers, by their audit logs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, iter,
    time::Duration,
};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{Bed, CONTROL_PLANES, Machine, until};

/// Where `kube-apiserver.service` has its log. The policy logs the administrator's requests alone.
const LOG: &str = "/var/log/kubernetes/audit.log";
/// A server ends what was cut off, and logs it, within moments.
const FLUSH_LIMIT: Duration = Duration::from_secs(30);

/// How many requests of each kind were made, all API servers together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests(BTreeMap<String, usize>);

/// Ends of the logs at one moment, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark(Vec<u64>);

/// An event of `audit.k8s.io/v1`, as far as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "auditID")]
    audit_id: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
}

#[derive(Debug, Deserialize)]
struct ObjectRef {
    #[serde(default)]
    resource: String,
    subresource: Option<String>,
}

impl Requests {
    /// All of them.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// What the lines of a log tell of the clients whose user agent begins with `agent`. A watch has an event at its begin
    /// and one at its end; it is one request.
    fn read<'a>(lines: impl Iterator<Item = &'a str>, agent: &str) -> anyhow::Result<Self> {
        let mut seen = BTreeSet::new();
        let mut requests = Self::default();
        for line in lines {
            let event: Event = serde_json::from_str(line).with_context(|| format!("no audit event: {line}"))?;
            if event.user_agent.starts_with(agent) && seen.insert(event.audit_id.clone()) {
                *requests.0.entry(event.what()).or_default() += 1;
            }
        }
        Ok(requests)
    }
}

impl Event {
    /// `create pods/eviction`; `get /version` of what is no object.
    fn what(&self) -> String {
        match &self.object_ref {
            Some(ObjectRef { resource, subresource: Some(subresource) }) => {
                format!("{} {resource}/{subresource}", self.verb)
            }
            Some(ObjectRef { resource, .. }) => format!("{} {resource}", self.verb),
            None => format!("{} {}", self.verb, self.request_uri),
        }
    }
}

/// `510: 500 create pods/eviction, 2 list pods, ...`, the most frequent first.
impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by_key(|&(what, count)| (std::cmp::Reverse(count), what));
        write!(f, "{}", self.total())?;
        for ((what, count), separator) in sorted.into_iter().zip(iter::once(": ").chain(iter::repeat(", "))) {
            write!(f, "{separator}{count} {what}")?;
        }
        Ok(())
    }
}

impl Bed {
    /// Where the logs end now.
    pub(super) async fn mark_audit(&self) -> anyhow::Result<Mark> {
        let mut ends = Vec::new();
        for machine in CONTROL_PLANES {
            let size = self.shell(machine.name, &format!("stat --format %s {LOG}")).await?.stdout;
            ends.push(size.trim().parse().with_context(|| format!("size of {LOG} on {}: {size:?}", machine.name))?);
        }
        Ok(Mark(ends))
    }

    /// What the administrator's clients whose user agent begins with `agent` have asked since `mark`. They must have ended.
    pub(super) async fn requests_since(&self, mark: &Mark, agent: &str) -> anyhow::Result<Requests> {
        let mut before = mark.clone();
        until("the end of the audit logs", FLUSH_LIMIT, async || {
            let now = self.mark_audit().await?;
            let at_rest = now == before;
            before = now;
            Ok(at_rest.then_some(()))
        })
        .await?;
        let mut logs = Vec::new();
        for ((machine, &begin), &end) in CONTROL_PLANES.iter().zip(&mark.0).zip(&before.0) {
            logs.push(self.log_between(machine, begin, end).await?);
        }
        Requests::read(logs.iter().flat_map(|log| log.lines()), agent)
    }

    async fn log_between(&self, machine: &Machine, begin: u64, end: u64) -> anyhow::Result<String> {
        ensure!(begin <= end, "{} was rotated on {} meanwhile", LOG, machine.name);
        let script = format!("tail --bytes=+{} {LOG} | head --bytes={}", begin + 1, end - begin);
        Ok(self.shell(machine.name, &script).await?.stdout)
    }
}

#[cfg(test)]
mod tests {
    use super::Requests;

    const LOG: &str = r#"
{"auditID":"1","stage":"ResponseComplete","requestURI":"/api/v1/pods","verb":"list","userAgent":"usher/0.1","objectRef":{"resource":"pods"}}
{"auditID":"2","stage":"ResponseStarted","requestURI":"/api/v1/pods","verb":"watch","userAgent":"usher/0.1","objectRef":{"resource":"pods"}}
{"auditID":"3","stage":"ResponseComplete","requestURI":"/e","verb":"create","userAgent":"usher/0.1","objectRef":{"resource":"pods","subresource":"eviction"}}
{"auditID":"4","stage":"ResponseComplete","requestURI":"/e","verb":"create","userAgent":"usher/0.1","objectRef":{"resource":"pods","subresource":"eviction"}}
{"auditID":"2","stage":"ResponseComplete","requestURI":"/api/v1/pods","verb":"watch","userAgent":"usher/0.1","objectRef":{"resource":"pods"}}
{"auditID":"5","stage":"ResponseComplete","requestURI":"/version","verb":"get","userAgent":"kubectl/v1.37.2"}
{"auditID":"6","stage":"ResponseComplete","requestURI":"/version","verb":"get"}
"#;

    fn read(agent: &str) -> String {
        Requests::read(LOG.lines().filter(|line| !line.is_empty()), agent).unwrap().to_string()
    }

    #[test]
    fn requests_are_told_by_verb_and_resource_for_one_client() {
        assert_eq!(read("usher/"), "4: 2 create pods/eviction, 1 list pods, 1 watch pods");
        assert_eq!(read("kubectl/"), "1: 1 get /version");
        assert_eq!(read("other/"), "0");
    }

    #[test]
    fn a_broken_line_is_an_error_that_shows_it() {
        let error = Requests::read(["{}"].into_iter(), "usher/").unwrap_err();
        assert!(error.to_string().contains("{}"), "{error}");
    }
}
