//! The URLs of what the agent asks on its machine.

/// An `https://` URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port, 443 unless the URL names another.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub path: String,
    text: String,
}

impl Url {
    /// Takes an `https://` URL without user information apart. `None` if it is anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let uri: http::Uri = text.parse().ok()?;
        let host = uri.host()?;
        let userinfo = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if uri.scheme_str() != Some("https") || host.is_empty() || userinfo {
            return None;
        }
        Some(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(443),
            path: uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned(),
            text: text.to_owned(),
        })
    }

    /// Host and port as they stand in a URL, with an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// The URL as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the host is this machine itself. A name is not: it may resolve to anything.
    pub fn is_loopback(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}
