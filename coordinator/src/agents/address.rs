//! Where a machine's agent listens.

use std::{borrow::Cow, collections::BTreeMap};

use super::AgentError;
use crate::site::AgentAccess;

/// The machine's own address, else the template for all, else its InternalIPs and the common port. Never empty.
pub(super) fn of(
    access: &AgentAccess,
    internal_ips: &BTreeMap<String, Vec<String>>,
    node: &str,
) -> Result<Vec<String>, AgentError> {
    if let Some(own) = access.addresses.get(node) {
        return Ok(vec![own.clone()]);
    }
    if let Some(template) = &access.address {
        return Ok(vec![template.replace("{node}", node)]);
    }
    match internal_ips.get(node).filter(|ips| !ips.is_empty()) {
        Some(ips) => Ok(ips.iter().map(|ip| format!("{}:{}", in_url(ip), access.port)).collect()),
        None => Err(AgentError::Config {
            problem: format!("{node}: the address of its agent is not known: no Node with an InternalIP has this name"),
            advice: Some(format!("Name it in the cluster file: [agents.addresses] {node} = \"HOST:{}\"", access.port)),
            source: None,
        }),
    }
}

/// The host of `HOST:PORT`, without the brackets of an IPv6 address.
pub(super) fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// A host as it stands in a URL: IPv6 addresses in brackets, all else as it is.
pub fn in_url(host: &str) -> Cow<'_, str> {
    if host.contains(':') && !host.starts_with('[') { Cow::Owned(format!("[{host}]")) } else { Cow::Borrowed(host) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Site;

    #[test]
    fn the_machines_own_address_wins_then_the_template_then_the_internal_ip() {
        let mut access = Site::default().agents;
        let list = |ips: &[&str]| ips.iter().map(|&ip| ip.to_owned()).collect();
        let ips = BTreeMap::from([
            ("w1".to_owned(), list(&["10.0.0.1"])),
            ("w6".to_owned(), list(&["fd00::6", "10.0.0.6"])),
            ("none".to_owned(), list(&[])),
        ]);
        let found = |access: &AgentAccess, node| of(access, &ips, node).map(|found| found.join(" "));
        assert_eq!(found(&access, "w1").unwrap(), "10.0.0.1:7470");
        assert_eq!(found(&access, "w6").unwrap(), "[fd00::6]:7470 10.0.0.6:7470", "all of them");
        assert!(found(&access, "none").is_err());
        let error = found(&access, "w2").unwrap_err();
        assert_eq!(
            error.to_string(),
            "w2: the address of its agent is not known: no Node with an InternalIP has this name"
        );
        assert_eq!(error.hint().unwrap(), "Name it in the cluster file: [agents.addresses] w2 = \"HOST:7470\"");

        access.address = Some("{node}.example:7471".into());
        assert_eq!(found(&access, "w1").unwrap(), "w1.example:7471");
        access.addresses.insert("w1".into(), "192.0.2.1:7472".into());
        assert_eq!(found(&access, "w1").unwrap(), "192.0.2.1:7472");
    }

    #[test]
    fn the_host_of_an_address_stands_alone_or_in_a_url() {
        for (address, bare, url) in [
            ("10.0.0.1:7470", "10.0.0.1", "10.0.0.1"),
            ("w1.example:7470", "w1.example", "w1.example"),
            ("[fd00::1]:7470", "fd00::1", "[fd00::1]"),
        ] {
            assert_eq!(host(address), bare);
            assert_eq!(in_url(host(address)), url);
        }
    }
}
