//! TLS as a client of the bed, for what looks at single connections.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Bed, Client, Generation, Machine};

/// A client that trusts `authority` and proves to be `identity`, both names of files in the bed's PKI folder.
pub(super) fn client(pki: &Path, authority: &str, identity: &str) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(pki, authority)?)?;
    let key = PrivateKeyDer::from_pem_slice(&fs::read(pki.join(format!("{identity}-key.pem")))?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate(pki, identity)?], key)?;
    // A resumed session would skip what a new client has to do.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn certificate(pki: &Path, name: &str) -> anyhow::Result<CertificateDer<'static>> {
    let path = pki.join(format!("{name}.pem"));
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(CertificateDer::from_pem_slice(&text)?)
}

impl Bed {
    /// Which of its certificates a machine's agent shows to a new connection; none if it is an unknown one.
    ///
    /// # Errors
    /// If the agent does not answer.
    pub async fn shown_generation(&self, machine: &Machine) -> anyhow::Result<Option<Generation>> {
        let pki = self.folder.pki();
        let connector = TlsConnector::from(Arc::new(client(&pki, "agents-ca", Client::Operator.name())?));
        let tcp = TcpStream::connect(machine.agent()).await?;
        let tls = connector.connect(ServerName::try_from(machine.name)?, tcp).await?;
        let (_, session) = tls.get_ref();
        let shown = session.peer_certificates().and_then(<[_]>::first).context("no certificate")?;
        for generation in [Generation::First, Generation::Second] {
            if *shown == certificate(&pki, &generation.of(machine))? {
                return Ok(Some(generation));
            }
        }
        Ok(None)
    }
}
