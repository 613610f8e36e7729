//! The entries of a kubeconfig, with the flags over them, as what a client needs.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::config::{AuthInfo, Cluster, ExecAuthCluster, Kubeconfig};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};

use crate::cluster::{
    access::{Access, ConnectError},
    credentials::{Credentials, Part, Parts, Plugin},
    kubeconfig::{self, Entries},
};

/// What a client is made of.
#[derive(Debug)]
pub(super) struct Entry {
    /// The way, and who is impersonated; without credentials and without a proxy.
    pub(super) config: kube::Config,
    /// The cluster's own `proxy-url`.
    pub(super) proxy_url: Option<String>,
    pub(super) credentials: Arc<Credentials>,
}

impl Entry {
    /// The kubeconfig's entries; without a kubeconfig what `--server` names, else the service account of the pod.
    pub(super) fn read(file: Option<&Kubeconfig>, access: &Access) -> Result<Self, ConnectError> {
        let Entries { name, mut cluster, user, mut auth, namespace } = match file {
            Some(file) => kubeconfig::entries(file, access)?,
            None if !access.entries_named().is_empty() => {
                return Err(ConnectError::NoKubeconfig(access.entries_named()));
            }
            // The token of a pod is for the pod's own cluster, and for no server that somebody names.
            None if access.server.is_some() => Entries::default(),
            None => return Self::of_the_pod(access),
        };
        override_cluster(&mut cluster, access);
        override_user(&mut auth, access);
        let whose = |what: &str| format!("{what} of the cluster {name:?}");
        let server = cluster
            .server
            .clone()
            .filter(|server| !server.is_empty())
            .ok_or_else(|| ConnectError::Entry { what: whose("server"), problem: "it is not set".to_owned() })?;
        let mut config = kube::Config::new(url(&server, &cluster, &auth)?);
        config.default_namespace = namespace.unwrap_or(config.default_namespace);
        (config.root_cert, config.root_cert_file) = authorities(&cluster, &whose)?;
        config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or_default();
        config.disable_compression = cluster.disable_compression.unwrap_or_default();
        config.tls_server_name.clone_from(&cluster.tls_server_name);
        impersonate(&mut config, &auth);
        let credentials = credentials(&cluster, user.as_deref(), auth, &mut config, access)?;
        Ok(Self { config, proxy_url: cluster.proxy_url, credentials })
    }

    fn of_the_pod(access: &Access) -> Result<Self, ConnectError> {
        let mut config = kube::Config::incluster().map_err(|error| {
            tracing::debug!(%error, "this is no pod");
            ConnectError::Nothing
        })?;
        let mut auth = std::mem::take(&mut config.auth_info);
        override_user(&mut auth, access);
        config.tls_server_name.clone_from(&access.tls_server_name);
        config.accept_invalid_certs = access.insecure_skip_tls_verify;
        if let Some(path) = &access.certificate_authority {
            config.root_cert = Some(
                certificates(&read(path)?)
                    .map_err(|problem| ConnectError::Entry { what: path.display().to_string(), problem })?,
            );
            config.root_cert_file = Some(path.clone());
        }
        impersonate(&mut config, &auth);
        let credentials = credentials(&Cluster::default(), None, auth, &mut config, access)?;
        Ok(Self { config, proxy_url: None, credentials })
    }
}

fn override_cluster(cluster: &mut Cluster, access: &Access) {
    cluster.server = access.server.clone().or(cluster.server.take());
    cluster.tls_server_name = access.tls_server_name.clone().or(cluster.tls_server_name.take());
    if let Some(path) = &access.certificate_authority {
        // Who names an authority wants the server checked.
        cluster.insecure_skip_tls_verify = None;
        cluster.certificate_authority_data = None;
        cluster.certificate_authority = Some(path.to_string_lossy().into_owned());
    }
    if access.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = Some(true);
    }
}

fn override_user(auth: &mut AuthInfo, access: &Access) {
    if let Some(token) = &access.token {
        // The token alone says who calls; a certificate beside it would win at some servers.
        let impersonation = AuthInfo {
            impersonate: auth.impersonate.take(),
            impersonate_uid: auth.impersonate_uid.take(),
            impersonate_groups: auth.impersonate_groups.take(),
            impersonate_user_extra: auth.impersonate_user_extra.take(),
            ..AuthInfo::default()
        };
        *auth = AuthInfo { token: Some(token.clone().into()), ..impersonation };
    }
    auth.impersonate = access.impersonate.clone().or(auth.impersonate.take());
    auth.impersonate_uid = access.impersonate_uid.clone().or(auth.impersonate_uid.take());
    if !access.impersonate_groups.is_empty() {
        auth.impersonate_groups = Some(access.impersonate_groups.clone());
    }
}

/// Only what stays the same: the rest of the entry is the credentials' business.
fn impersonate(config: &mut kube::Config, auth: &AuthInfo) {
    config.auth_info = AuthInfo {
        impersonate: auth.impersonate.clone(),
        impersonate_uid: auth.impersonate_uid.clone(),
        impersonate_groups: auth.impersonate_groups.clone(),
        impersonate_user_extra: auth.impersonate_user_extra.clone(),
        ..AuthInfo::default()
    };
}

/// The server's URL. Without a scheme it is https where the entry speaks of certificates, else http, as to kubectl.
fn url(server: &str, cluster: &Cluster, auth: &AuthInfo) -> Result<http::Uri, ConnectError> {
    let has_tls = cluster.certificate_authority.is_some()
        || cluster.certificate_authority_data.is_some()
        || cluster.insecure_skip_tls_verify.unwrap_or_default()
        || auth.client_certificate.is_some()
        || auth.client_certificate_data.is_some();
    let whole = match server.contains("://") {
        true => server.to_owned(),
        false => format!("{}://{server}", if has_tls { "https" } else { "http" }),
    };
    whole.parse().map_err(|source| ConnectError::Server { server: server.to_owned(), source })
}

type Authorities = (Option<Vec<Vec<u8>>>, Option<PathBuf>);

/// Whom the server's certificate must be signed by. A file is read again while usher works: an authority is renewed too.
fn authorities(cluster: &Cluster, whose: &impl Fn(&str) -> String) -> Result<Authorities, ConnectError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(data) = given(&cluster.certificate_authority_data) {
        let what = || whose("certificate-authority-data");
        let pem = decode(&data).map_err(|problem| ConnectError::Entry { what: what(), problem })?;
        let found = certificates(&pem).map_err(|problem| ConnectError::Entry { what: what(), problem })?;
        return Ok((Some(found), None));
    }
    let Some(path) = given(&cluster.certificate_authority).map(PathBuf::from) else { return Ok((None, None)) };
    let found = certificates(&read(&path)?)
        .map_err(|problem| ConnectError::Entry { what: whose("certificate-authority"), problem })?;
    Ok((Some(found), Some(path)))
}

fn credentials(
    cluster: &Cluster,
    user: Option<&str>,
    auth: AuthInfo,
    config: &mut kube::Config,
    access: &Access,
) -> Result<Arc<Credentials>, ConnectError> {
    let whose = |what: &str| format!("{what} of the user {:?}", user.unwrap_or_default());
    if auth.auth_provider.is_some() || (auth.username.is_some() && auth.password.is_some()) {
        // Ways of old clusters, which kube knows.
        config.auth_info = auth;
        return Ok(Credentials::kept(whose("the password"), Parts::default(), || None));
    }
    let parts = parts(&auth, &whose)?;
    if let (Some(exec), None, None) = (&auth.exec, &parts.token, &parts.token_file) {
        let told = ExecAuthCluster::try_from(cluster)
            .map_err(|error| ConnectError::Entry { what: whose("exec"), problem: error.to_string() })?;
        let plugin = Plugin::of(exec, told)
            .map_err(|error| ConnectError::Entry { what: whose("exec"), problem: error.to_string() })?;
        return Ok(Credentials::of_plugin(plugin));
    }
    let what = match (&parts.token_file, &parts.token, &parts.certificate) {
        (Some(path), ..) => format!("the token in {}", path.display()),
        (None, Some(_), _) if access.token.is_some() => "the token of --token".to_owned(),
        (None, Some(_), _) => whose("the token"),
        (None, None, Some((Part::File(path), _))) => format!("the client certificate {}", path.display()),
        (None, None, _) => whose("the client certificate"),
    };
    let (from, server) = (access.clone(), cluster.server.clone());
    let again = move || {
        // A login writes what it got into the kubeconfig, where the same user is read again.
        let file = kubeconfig::read(from.kubeconfig.as_deref()).ok().flatten()?;
        let mut entries = kubeconfig::entries(&file, &from).ok()?;
        override_cluster(&mut entries.cluster, &from);
        if entries.cluster.server != server {
            // It leads elsewhere by now, and this server must not see what is meant for that one.
            return None;
        }
        override_user(&mut entries.auth, &from);
        self::parts(&entries.auth, &|what| what.to_owned()).ok()
    };
    Ok(Credentials::kept(what, parts, again))
}

fn parts(auth: &AuthInfo, whose: &impl Fn(&str) -> String) -> Result<Parts, ConnectError> {
    let part = |data: Option<&str>, file: &Option<String>, what: &str| -> Result<Option<Part>, ConnectError> {
        match (data, file) {
            (Some(data), _) if !data.is_empty() => {
                let wrong = |problem| ConnectError::Entry { what: whose(what), problem };
                let pem = decode(data).map_err(wrong)?;
                let pem = String::from_utf8(pem).map_err(|_| wrong("it is no PEM".to_owned()))?;
                Ok(Some(Part::Data(SecretString::from(pem))))
            }
            (_, Some(path)) if !path.is_empty() => Ok(Some(Part::File(path.into()))),
            _ => Ok(None),
        }
    };
    let key_data = auth.client_key_data.as_ref().map(|key| key.expose_secret());
    let certificate =
        part(auth.client_certificate_data.as_deref(), &auth.client_certificate, "client-certificate-data")?;
    let certificate = match (certificate, part(key_data, &auth.client_key, "client-key-data")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            let problem = "there is no client-key to it".to_owned();
            return Err(ConnectError::Entry { what: whose("client-certificate"), problem });
        }
        (None, Some(_)) => {
            let problem = "there is no client-certificate to it".to_owned();
            return Err(ConnectError::Entry { what: whose("client-key"), problem });
        }
    };
    let token = auth.token.clone().filter(|token| !token.expose_secret().is_empty());
    let token_file = auth.token_file.clone().filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(Parts { token, token_file, certificate })
}

fn decode(data: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(data).map_err(|error| format!("it is no base64: {error}"))
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).map(|found| found.map(|der| der.to_vec())).collect();
    match found {
        Ok(found) if found.is_empty() => Err("it has no certificate".to_owned()),
        found => found.map_err(|error| format!("it is no PEM: {error}")),
    }
}

#[allow(clippy::disallowed_methods)] // a file that a kubeconfig or a flag names
fn read(path: &Path) -> Result<Vec<u8>, ConnectError> {
    fs::read(path).map_err(|source| ConnectError::CertificateAuthority { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
