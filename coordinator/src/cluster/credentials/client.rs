//! Clients that show the current credentials with each request: one for the API, one for each single apiserver.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use kube::{Client, Config, client::Body};
use rustls::AlertDescription;
use secrecy::SecretString;
use tower::BoxError;

use super::{Credentials, CredentialsError, Issued, issued::Pair, wire};
use crate::cluster::{apiservers::ApiServerAt, proxy::Proxies};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(in crate::cluster) enum ClientError {
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Config(#[from] kube::Error),
}

/// Makes the clients of one cluster.
pub(in crate::cluster) struct Clients {
    /// All but credentials and proxy.
    config: Config,
    proxies: Proxies,
    credentials: Arc<Credentials>,
    /// The clients of single apiservers.
    direct: Mutex<BTreeMap<ApiServerAt, Client>>,
}

impl Clients {
    pub(in crate::cluster) fn new(config: Config, proxies: Proxies, credentials: Arc<Credentials>) -> Self {
        Self { config, proxies, credentials, direct: Mutex::default() }
    }

    /// The client of the API.
    ///
    /// # Errors
    ///
    /// If the configuration makes none, or credentials that are at hand cannot be used.
    pub(in crate::cluster) fn main(&self) -> Result<Client, ClientError> {
        self.client(self.config.clone())
    }

    /// The client of a single apiserver, made once.
    ///
    /// # Errors
    ///
    /// Why there can be none.
    pub(in crate::cluster) fn direct(&self, at: &ApiServerAt) -> Result<Client, String> {
        let mut direct = self.direct.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = direct.get(at) {
            return Ok(client.clone());
        }
        let address: Uri = at.url.parse().map_err(|error| format!("{:?} is no URL: {error}", at.url))?;
        let proxy_url = self.proxies.on_the_way_to(&address).map_err(|error| error.to_string())?;
        let mut config = self.config.clone();
        (config.cluster_url, config.proxy_url) = (address, proxy_url);
        if at.server_name.is_some() {
            config.tls_server_name.clone_from(&at.server_name);
        }
        // Each look gets a connection of its own: one that was kept may belong to a process that has ended since.
        config.headers.push((header::CONNECTION, HeaderValue::from_static("close")));
        let client = self.client(config).map_err(|error| error.to_string())?;
        direct.insert(at.clone(), client.clone());
        Ok(client)
    }

    fn client(&self, config: Config) -> Result<Client, ClientError> {
        let namespace = config.default_namespace.clone();
        let way = Arc::new(Way { config, credentials: Arc::clone(&self.credentials), connection: Mutex::default() });
        // What is wrong with the configuration shows at once.
        match self.credentials.at_hand()? {
            Some(issued) => way.showing(issued.proof.pair.as_ref())?,
            None => way.make(None)?,
        };
        let service = tower::service_fn(move |request| Arc::clone(&way).send(request));
        Ok(Client::new(service, namespace))
    }
}

/// The way to one server.
struct Way {
    config: Config,
    credentials: Arc<Credentials>,
    /// The client in use, and the certificate that it shows.
    connection: Mutex<Option<(Option<Pair>, Client)>>,
}

impl Way {
    async fn send(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let issued = self.credentials.current().await?;
        let (parts, body) = request.into_parts();
        // Bodies are whole here: usher streams nothing to a server.
        let again = body.try_clone().map(|body| Request::from_parts(parts.clone(), body));
        let answer = self.ask(&issued, Request::from_parts(parts, body)).await;
        if !is_refused(&answer) {
            if answer.is_ok() {
                self.credentials.were_taken();
            }
            return Ok(answer?);
        }
        let newer = self.credentials.after_refusal(&issued).await?;
        let (Some(newer), Some(request)) = (newer, again) else { return Err(self.credentials.refused(&issued).into()) };
        let answer = self.ask(&newer, request).await;
        if is_refused(&answer) {
            return Err(self.credentials.refused(&newer).into());
        }
        Ok(answer?)
    }

    async fn ask(&self, issued: &Issued, mut request: Request<Body>) -> kube::Result<Response<Body>> {
        if let Some(header) = issued.proof.header() {
            request.headers_mut().insert(header::AUTHORIZATION, header.clone());
        }
        let client = self.showing(issued.proof.pair.as_ref())?;
        client.send(request).await
    }

    /// The client that shows this certificate. A certificate that fits no key, as while both are being replaced, is not shown: the
    /// one before may still be good.
    fn showing(&self, pair: Option<&Pair>) -> kube::Result<Client> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((shown, client)) = &*connection
            && shown.as_ref() == pair
        {
            return Ok(client.clone());
        }
        match (self.make(pair), &*connection) {
            (Ok(client), _) => {
                *connection = Some((pair.cloned(), client.clone()));
                Ok(client)
            }
            (Err(error), Some((_, client))) => {
                tracing::warn!(%error, "keeping the client certificate read before");
                Ok(client.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    fn make(&self, pair: Option<&Pair>) -> kube::Result<Client> {
        let mut config = self.config.clone();
        if let Some(pair) = pair {
            config.auth_info.client_certificate_data = Some(STANDARD.encode(pair.certificate()));
            config.auth_info.client_key_data = Some(SecretString::from(STANDARD.encode(pair.key())));
        }
        wire::client(config)
    }
}

/// Whether the server did not take the credentials: most say so with a status, some proxies break off the handshake.
fn is_refused(answer: &kube::Result<Response<Body>>) -> bool {
    match answer {
        Ok(answer) => answer.status() == StatusCode::UNAUTHORIZED,
        Err(error) => {
            let mut cause: Option<&(dyn Error + 'static)> = Some(error);
            while let Some(error) = cause {
                if error.downcast_ref().is_some_and(is_about_our_certificate) {
                    return true;
                }
                // An io::Error hands on the source of what it wraps, not that itself.
                let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
                if wrapped.and_then(|error| error.downcast_ref()).is_some_and(is_about_our_certificate) {
                    return true;
                }
                cause = error.source();
            }
            false
        }
    }
}

fn is_about_our_certificate(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::AlertReceived(
            AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired
                | AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
        )
    )
}
