//! Clients of kube over connections that are made here, for what kube does not do: `TCP_NODELAY`, and logging in at a SOCKS5 proxy.
//! Without the first, a small request may wait 40 ms until the server has acknowledged the one before; kubectl sets it as well.
//! Through HTTP proxies, kube's own client is used.

use std::error::Error;

use http::{Uri, uri::Authority};
use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{
        Client as HttpClient,
        connect::{Connection, HttpConnector, proxy::SocksV5},
    },
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
};
use percent_encoding::percent_decode_str;
use tower::{Layer as _, Service};
use tower_http::{decompression::DecompressionLayer, trace::TraceLayer};

/// A client by this configuration. Who calls the API is not its matter: each request says so itself.
pub(super) fn client(config: Config) -> kube::Result<Client> {
    let Some(proxy) = config.proxy_url.clone() else { return over(plain(), &config) };
    if proxy.scheme_str() != Some("socks5") {
        return Client::try_from(config);
    }
    let socks = SocksV5::new(proxy.clone(), plain());
    match Login::of(&proxy) {
        Some(Login { user, password }) => over(socks.with_auth(user, password), &config),
        None => over(socks, &config),
    }
}

fn plain() -> HttpConnector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http
}

/// kube's own layers over connections of this kind.
fn over<C>(connector: C, config: &Config) -> kube::Result<Client>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Error + Send + Sync + 'static,
{
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let client: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new()).build(connector);
    // With two or more -v, each request is logged. One that fails is told by what asked.
    let service = TraceLayer::new_for_http().on_failure(()).layer(client);
    let service = config.extra_headers_layer()?.layer(service);
    let service = DecompressionLayer::new().gzip(!config.disable_compression).layer(service);
    let service = config.base_uri_layer().layer(service);
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// Who asks a SOCKS5 proxy.
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
struct Login {
    user: String,
    password: String,
}

impl Login {
    /// The login in the URL of a proxy: `socks5://USER:PASSWORD@HOST`, with what a URL cannot hold percent-encoded. None if it names
    /// no user.
    fn of(proxy: &Uri) -> Option<Self> {
        let (login, _) = proxy.authority().map(Authority::as_str)?.rsplit_once('@')?;
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Some(Self { user: plain(user), password: plain(password) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // a real socket has the option

    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_socks5_proxy_whose_url_names_a_user_is_logged_in_at_and_what_is_encoded_is_read() {
        let login = |url: &str| Login::of(&url.parse().unwrap());
        let pair = |user: &str, password: &str| Some(Login { user: user.to_owned(), password: password.to_owned() });
        assert_eq!(login("socks5://ann:secret@p:1080"), pair("ann", "secret"));
        assert_eq!(login("socks5://ann%40example:a%3Ab%25:c@p:1080"), pair("ann@example", "a:b%:c"));
        assert_eq!(login("socks5://ann@p:1080"), pair("ann", ""));
        assert_eq!(login("socks5://p:1080"), None);
    }

    #[tokio::test]
    async fn small_requests_are_sent_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let stream = plain().call(server).await.unwrap();
        assert!(stream.inner().nodelay().unwrap());
    }
}
