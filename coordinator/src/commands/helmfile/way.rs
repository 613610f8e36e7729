//! The way to the cluster of a service, for usher and for helmfile alike.

use crate::{
    cli::Global,
    cluster::{self, Cluster, Destination},
    commands::choose,
    helmfile::Access,
    output,
    problem::Problem,
    site::Site,
};

/// A connection, and the kubeconfig and context that lead helmfile to the same place. Nobody is asked.
pub(super) async fn access(global: &Global, site: &Site, service: &str) -> Result<Access, Problem> {
    let access = choose::access_for(global, site, service)?;
    expect_plain(&access)?;
    expect_the_same_server(&access)?;
    let cluster =
        Cluster::connect(site.name.as_deref(), &access).await?.with_notices(output::progress).with_credentials().await;
    Ok(Access { cluster, kubeconfig: access.kubeconfig, context: access.context })
}

/// helmfile has a kubeconfig and its context, and nothing of the flags that change single values of these.
fn expect_plain(access: &cluster::Access) -> Result<(), Problem> {
    let given = [
        ("--user", access.user.is_some()),
        ("--server", access.server.is_some()),
        ("--token", access.token.is_some()),
        ("--as", access.impersonate.is_some()),
        ("--as-group", !access.impersonate_groups.is_empty()),
        ("--as-uid", access.impersonate_uid.is_some()),
        ("--certificate-authority", access.certificate_authority.is_some()),
        ("--tls-server-name", access.tls_server_name.is_some()),
        ("--insecure-skip-tls-verify", access.insecure_skip_tls_verify),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => {
            Err(Problem::usage(format!("{flag} means nothing to helmfile: it goes by a kubeconfig and a context"))
                .hint("write a kubeconfig that says the same, and name it: --kubeconfig FILE --context NAME"))
        }
        None => Ok(()),
    }
}

/// `--cluster` may name a cluster of the kubeconfig that is not the context's: usher would look at the one and helmfile roll the other.
fn expect_the_same_server(access: &cluster::Access) -> Result<(), Problem> {
    let Some(cluster) = &access.cluster else { return Ok(()) };
    let named = Destination::describe(access)?.server;
    let contexts = Destination::describe(&cluster::Access { cluster: None, ..access.clone() })?.server;
    if named == contexts {
        return Ok(());
    }
    let server = |server: Option<String>| server.unwrap_or_else(|| "no server".to_owned());
    Err(Problem::usage(format!(
        "helmfile would roll another cluster: {cluster:?} is at {}, and the kubeconfig's context leads to {}",
        server(named),
        server(contexts)
    ))
    .hint("name the context: --context NAME, or [api] context in the cluster file"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // the files that an operator writes

    use super::*;

    #[test]
    fn helmfile_is_led_to_the_cluster_that_usher_looks_at_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let text = "{clusters: [{name: c, cluster: {server: 'https://c'}}, {name: d, cluster: {server: 'https://d'}},
            {name: alias, cluster: {server: 'https://c/'}}], users: [{name: u, user: {}}],
            contexts: [{name: x, context: {cluster: c, user: u}}, {name: y, context: {cluster: d, user: u}}],
            current-context: x}";
        std::fs::write(&path, text).unwrap();
        let plain = cluster::Access { kubeconfig: Some(path), ..cluster::Access::default() };
        let with = |cluster: &str, context: Option<&str>| cluster::Access {
            cluster: Some(cluster.to_owned()),
            context: context.map(str::to_owned),
            ..plain.clone()
        };
        assert!(expect_the_same_server(&plain).is_ok());
        assert!(expect_the_same_server(&with("c", None)).is_ok());
        assert!(expect_the_same_server(&with("alias", None)).is_ok());
        assert!(expect_the_same_server(&with("d", Some("y"))).is_ok());
        let refused = expect_the_same_server(&with("d", None)).unwrap_err();
        assert!(
            refused.message.ends_with("\"d\" is at https://d, and the kubeconfig's context leads to https://c"),
            "{refused}"
        );
        for access in [
            cluster::Access { token: Some("t".to_owned()), ..plain.clone() },
            cluster::Access { impersonate_groups: vec!["g".to_owned()], ..plain.clone() },
            cluster::Access { insecure_skip_tls_verify: true, ..plain.clone() },
        ] {
            assert!(expect_plain(&access).unwrap_err().message.contains("means nothing to helmfile"));
        }
        assert!(expect_plain(&plain).is_ok());
    }
}
