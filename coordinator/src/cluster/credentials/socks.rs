//! A client whose way leads through a SOCKS5 proxy that wants a user name and a password. kube's own sends none to such a proxy; for
//! everything else its client is used.

use http::{Uri, uri::Authority};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{
        Client as HttpClient,
        connect::{HttpConnector, proxy::SocksV5},
    },
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
};
use percent_encoding::percent_decode_str;
use tower::Layer as _;
use tower_http::decompression::DecompressionLayer;

/// A SOCKS5 proxy and who asks it.
pub(super) struct Login {
    proxy: Uri,
    user: String,
    password: String,
}

impl Login {
    /// The login in the URL of a proxy: `socks5://USER:PASSWORD@HOST`, with what a URL cannot hold percent-encoded. None if it names
    /// no user, or is of another kind.
    pub(super) fn of(proxy: &Uri) -> Option<Self> {
        let at = proxy.authority().map(Authority::as_str).filter(|_| proxy.scheme_str() == Some("socks5"))?;
        let (login, _) = at.rsplit_once('@')?;
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Some(Self { proxy: proxy.clone(), user: plain(user), password: plain(password) })
    }

    /// kube's own layers over a connection that the proxy has made. Who calls the API is not its matter: each request says so itself.
    pub(super) fn client(self, config: &Config) -> kube::Result<Client> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        let socks = SocksV5::new(self.proxy, http).with_auth(self.user, self.password);
        let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(socks)?);
        connector.set_connect_timeout(config.connect_timeout);
        connector.set_read_timeout(config.read_timeout);
        connector.set_write_timeout(config.write_timeout);
        connector.set_reset_reader_on_write(config.reset_reader_on_write);
        let client: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new()).build(connector);
        let service = config.extra_headers_layer()?.layer(client);
        let service = DecompressionLayer::new().gzip(!config.disable_compression).layer(service);
        let service = config.base_uri_layer().layer(service);
        Ok(Client::new(service, config.default_namespace.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socks5_proxy_with_a_user_is_logged_in_at_and_what_is_encoded_is_read() {
        let login = |url: &str| Login::of(&url.parse().unwrap()).map(|login| (login.user, login.password));
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(login("socks5://ann:secret@p:1080"), pair("ann", "secret"));
        assert_eq!(login("socks5://ann%40example:a%3Ab%25:c@p:1080"), pair("ann@example", "a:b%:c"));
        assert_eq!(login("socks5://ann@p:1080"), pair("ann", ""));
        assert_eq!(login("socks5://p:1080"), None);
        assert_eq!(login("http://ann:secret@p:3128"), None, "kube logs in there itself");
    }
}
