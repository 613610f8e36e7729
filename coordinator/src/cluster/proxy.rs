//! Which proxy the way to an apiserver leads through: the one that kubectl takes.
//!
//! `proxy-url` of the kubeconfig's cluster always counts. Else the environment does, as Go's programs read it
//! (`golang.org/x/net/http/httpproxy`): `HTTPS_PROXY` or `HTTP_PROXY` by the URL's scheme, unless `NO_PROXY` covers the host. The
//! host is that of the API, so one proxy may stand before a balancer and not before single apiservers.

use std::{env, net::IpAddr};

use http::{Uri, uri::Scheme};
use ipnet::IpNet;

/// A proxy that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It is no URL.
    #[error("{url:?} ({from}) is no URL of a proxy")]
    NoUrl {
        /// Without the login in it.
        url: String,
        /// The variable or key that names it.
        from: &'static str,
        source: http::uri::InvalidUri,
    },
    /// Its protocol is none that usher speaks.
    #[error("{url:?} ({from}): usher speaks to proxies over http, https and socks5")]
    Scheme {
        /// Without the login in it.
        url: String,
        from: &'static str,
    },
}

/// What decides about proxies.
#[derive(Debug, Clone, Default)]
pub(super) struct Proxies {
    /// `proxy-url` of the cluster.
    own: Option<String>,
    /// From the environment.
    https: Option<String>,
    http: Option<String>,
    exceptions: Exceptions,
}

impl Proxies {
    /// The cluster's own, else what the environment says.
    pub(super) fn of(own: Option<String>) -> Self {
        Self::read(own, |name| env::var(name).ok())
    }

    /// The upper-case variable wins over the lower-case one, as in Go; an empty one is none.
    fn read(own: Option<String>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let either = |name: &str| set(name).or_else(|| set(&name.to_ascii_lowercase()));
        Self {
            own: own.filter(|url| !url.is_empty()),
            https: either("HTTPS_PROXY"),
            http: either("HTTP_PROXY"),
            exceptions: Exceptions::parse(&either("NO_PROXY").unwrap_or_default()),
        }
    }

    /// The proxy on the way to this URL; None if the way is direct.
    pub(super) fn on_the_way_to(&self, url: &Uri) -> Result<Option<Uri>, ProxyError> {
        if let Some(own) = &self.own {
            return parse(own, "proxy-url in the kubeconfig").map(Some);
        }
        let (proxy, from) = match url.scheme() == Some(&Scheme::HTTP) {
            true => (&self.http, "HTTP_PROXY"),
            false => (&self.https, "HTTPS_PROXY"),
        };
        match proxy {
            Some(proxy) if !self.exceptions.cover(url) => parse(proxy, from).map(Some),
            _ => Ok(None),
        }
    }
}

/// A URL, or `HOST:PORT`, which means http.
fn parse(url: &str, from: &'static str) -> Result<Uri, ProxyError> {
    let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    // A socks5 proxy always gets the host's name, which socks5h says aloud.
    let known = with_scheme.replacen("socks5h://", "socks5://", 1);
    let parsed: Uri = known.parse().map_err(|source| ProxyError::NoUrl { url: without_login(url), from, source })?;
    match parsed.scheme_str() {
        Some("http" | "https" | "socks5") => Ok(parsed),
        _ => Err(ProxyError::Scheme { url: without_login(url), from }),
    }
}

/// The URL as it may stand in a log: a user name and a password are left out.
fn without_login(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let Some((_, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    if scheme.is_empty() { format!("…@{host}") } else { format!("{scheme}://…@{host}") }
}

/// `NO_PROXY`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Exceptions(Vec<Exception>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    /// `*`
    All,
    /// `10.0.0.0/8`
    Network(IpNet),
    /// `10.0.0.1` or `10.0.0.1:6443`
    Address(IpAddr, Option<u16>),
    Name {
        /// With a dot before it.
        suffix: String,
        /// Whether the name itself is meant too: `.example.org` and `*.example.org` mean only what is below.
        itself: bool,
        port: Option<u16>,
    },
}

impl Exceptions {
    fn parse(list: &str) -> Self {
        Self(list.split(',').filter_map(|item| Exception::parse(&item.trim().to_ascii_lowercase())).collect())
    }

    fn cover(&self, url: &Uri) -> bool {
        let host = url.host().unwrap_or_default().to_ascii_lowercase();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_u16().unwrap_or(if url.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 });
        let address: Option<IpAddr> = host.parse().ok();
        // Go asks no proxy for what is on this machine.
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.0.iter().any(|exception| exception.covers(host, address, port))
    }
}

impl Exception {
    fn parse(item: &str) -> Option<Self> {
        if item == "*" {
            return Some(Self::All);
        }
        if let Ok(network) = item.parse() {
            return Some(Self::Network(network));
        }
        let (host, port) = split_port(item);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse() {
            return Some(Self::Address(address, port));
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        match host.strip_prefix('.') {
            _ if host.is_empty() => None,
            Some(_) => Some(Self::Name { suffix: host.to_owned(), itself: false, port }),
            None => Some(Self::Name { suffix: format!(".{host}"), itself: true, port }),
        }
    }

    fn covers(&self, host: &str, address: Option<IpAddr>, at: u16) -> bool {
        match self {
            Self::All => true,
            Self::Network(network) => address.is_some_and(|address| network.contains(&address)),
            Self::Address(own, port) => address == Some(*own) && port.is_none_or(|port| port == at),
            Self::Name { suffix, itself, port } => {
                let is_it = *itself && suffix.strip_prefix('.') == Some(host);
                (host.ends_with(suffix.as_str()) || is_it) && port.is_none_or(|port| port == at)
            }
        }
    }
}

/// A host with its port, if it has one. A bare IPv6 address has colons and no port.
fn split_port(item: &str) -> (&str, Option<u16>) {
    match item.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            port.parse().map_or((item, None), |port| (host, Some(port)))
        }
        _ => (item, None),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn chosen(own: &str, variables: &[(&str, &str)], url: &str) -> Option<String> {
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        let read = |name: &str| variables.get(name).map(|&value| value.to_owned());
        let proxies = Proxies::read(Some(own.to_owned()), read);
        let proxy = proxies.on_the_way_to(&url.parse().unwrap()).unwrap();
        proxy.map(|proxy| proxy.to_string().trim_end_matches('/').to_owned())
    }

    #[test]
    fn the_proxy_is_the_clusters_own_else_that_of_the_environment_by_scheme_and_case() {
        const API: &str = "https://10.77.0.1:6443";
        for (what, own, variables, url, expected) in [
            ("nothing is set", "", &[][..], API, None),
            ("empty is unset", "", &[("HTTPS_PROXY", "")], API, None),
            ("https", "", &[("HTTPS_PROXY", "http://p:3128")], API, Some("http://p:3128")),
            ("lower case", "", &[("https_proxy", "http://p:3128")], API, Some("http://p:3128")),
            (
                "both cases",
                "",
                &[("HTTPS_PROXY", "http://upper:1"), ("https_proxy", "http://lower:1")],
                API,
                Some("http://upper:1"),
            ),
            ("of http URLs alone", "", &[("HTTP_PROXY", "http://p:3128")], API, None),
            ("an http URL", "", &[("http_proxy", "http://p:3128")], "http://10.77.0.1:8080", Some("http://p:3128")),
            ("for all is none of Go's", "", &[("ALL_PROXY", "http://p:3128")], API, None),
            ("without a scheme", "", &[("HTTPS_PROXY", "p:3128")], API, Some("http://p:3128")),
            ("socks5", "", &[("HTTPS_PROXY", "socks5h://p:1080")], API, Some("socks5://p:1080")),
            ("its own", "socks5://own:1", &[("HTTPS_PROXY", "http://p:1")], API, Some("socks5://own:1")),
            ("its own, excepted", "http://own:1", &[("NO_PROXY", "*")], API, Some("http://own:1")),
            ("its own, on this machine", "http://own:1", &[], "https://127.0.0.1:6443", Some("http://own:1")),
            ("on this machine", "", &[("HTTPS_PROXY", "http://p:1")], "https://127.0.0.1:6443", None),
            ("on this machine, IPv6", "", &[("HTTPS_PROXY", "http://p:1")], "https://[::1]:6443", None),
            ("on this machine, by name", "", &[("HTTPS_PROXY", "http://p:1")], "https://localhost:6443", None),
        ] {
            assert_eq!(chosen(own, variables, url).as_deref(), expected, "{what}");
        }
    }

    #[test]
    fn no_proxy_covers_addresses_networks_names_and_what_is_below_them() {
        for (list, url, is_direct) in [
            ("10.77.0.0/16,127.0.0.1", "https://10.77.0.1:6443", true),
            ("10.77.0.1/16", "https://10.77.9.9", true),
            ("10.78.0.0/16", "https://10.77.0.1:6443", false),
            (" 10.1.1.1 , 10.77.0.1 ", "https://10.77.0.1:6443", true),
            ("10.77.0.1:6443", "https://10.77.0.1:6443", true),
            ("10.77.0.1:443", "https://10.77.0.1:6443", false),
            ("10.77.0.1:443", "https://10.77.0.1", true),
            ("fd00::/8", "https://[fd00::1]:6443", true),
            ("fd00::1", "https://[fd00::1]:6443", true),
            ("[fd00::1]:6443", "https://[fd00::1]:6443", true),
            ("[fd00::1]:1", "https://[fd00::1]:6443", false),
            ("10.77.0.0/16", "https://ten.example.org", false),
            ("*", "https://anything:6443", true),
            ("a,*", "https://10.0.0.1", true),
            ("example.org", "https://example.org", true),
            ("example.org", "https://k8s.example.org:6443", true),
            ("example.org", "https://counterexample.org", false),
            (".example.org", "https://k8s.example.org", true),
            (".example.org", "https://example.org", false),
            ("*.example.org", "https://k8s.example.org", true),
            ("*.example.org", "https://example.org", false),
            ("EXAMPLE.org", "https://K8S.Example.ORG", true),
            ("example.org:6443", "https://k8s.example.org:6443", true),
            ("example.org:6443", "https://k8s.example.org", false),
            ("", "https://k8s.example.org", false),
            (",,:80,", "https://k8s.example.org", false),
            ("not an entry/99", "https://k8s.example.org", false),
        ] {
            for name in ["NO_PROXY", "no_proxy"] {
                let proxy = chosen("", &[("HTTPS_PROXY", "http://p:3128"), (name, list)], url);
                assert_eq!(proxy.is_none(), is_direct, "{name}={list} {url}");
            }
        }
    }

    #[test]
    fn a_proxy_that_usher_does_not_speak_to_is_an_error_that_names_its_variable() {
        let way = |proxy: &str| {
            let proxies = Proxies { https: Some(proxy.to_owned()), ..Proxies::default() };
            proxies.on_the_way_to(&Uri::from_static("https://k8s.example.org")).unwrap_err().to_string()
        };
        assert_eq!(
            way("ftp://p:21"),
            "\"ftp://p:21\" (HTTPS_PROXY): usher speaks to proxies over http, https and socks5"
        );
        assert_eq!(
            way("ftp://ann:secret@p:21"),
            "\"ftp://…@p:21\" (HTTPS_PROXY): usher speaks to proxies over http, https and socks5"
        );
        assert_eq!(way("ann:s ecret@p:21"), "\"…@p:21\" (HTTPS_PROXY) is no URL of a proxy");
        assert_eq!(way("http://p q"), "\"http://p q\" (HTTPS_PROXY) is no URL of a proxy");
    }
}
