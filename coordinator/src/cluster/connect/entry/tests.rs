//! Kubeconfigs as operators have them, and flags over them.

use kube::config::Kubeconfig;

use super::*;

const FILE: &str = "
clusters:
- {name: eqiad, cluster: {server: 'https://eqiad:6443', proxy-url: 'socks5://p:1080', insecure-skip-tls-verify: true}}
- {name: codfw, cluster: {server: '10.0.0.1:6443'}}
- {name: nowhere, cluster: {}}
users:
- {name: ann, user: {token: t, as: root}}
- {name: half, user: {client-certificate: /c.pem}}
contexts:
- {name: e, context: {cluster: eqiad, user: ann, namespace: shop}}
- {name: gone, context: {cluster: drained, user: ann}}
- {name: nobody, context: {cluster: codfw, user: ''}}
";

fn read(text: &str, access: &Access) -> Result<Entry, String> {
    let file: Kubeconfig = Kubeconfig::from_yaml(text).unwrap();
    Entry::read(Some(&file), access).map_err(|error| error.to_string())
}

fn flags(context: &str, cluster: &str, user: &str) -> Access {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Access { context: some(context), cluster: some(cluster), user: some(user), ..Access::default() }
}

#[tokio::test]
async fn the_entries_that_a_context_or_the_flags_name_make_the_client() {
    let entry = read(FILE, &flags("e", "", "")).unwrap();
    assert_eq!(entry.config.cluster_url.to_string(), "https://eqiad:6443/");
    assert_eq!((entry.config.default_namespace.as_str(), entry.config.accept_invalid_certs), ("shop", true));
    assert_eq!(entry.proxy_url.as_deref(), Some("socks5://p:1080"));
    assert_eq!(entry.config.auth_info.impersonate.as_deref(), Some("root"));
    assert!(entry.config.auth_info.token.is_none(), "the credentials have it");
    for (what, access, expected) in [
        ("another cluster of the same user", flags("e", "codfw", ""), Ok("http://10.0.0.1:6443/")),
        ("a cluster without any context", flags("", "codfw", ""), Ok("http://10.0.0.1:6443/")),
        ("a context without a user", flags("nobody", "", ""), Ok("http://10.0.0.1:6443/")),
        ("another server", Access { server: Some("https://x".into()), ..flags("e", "", "") }, Ok("https://x/")),
        (
            "no context at all",
            flags("", "", ""),
            Err(
                "the kubeconfig has no current context (name one with --context, or set [api] context in the cluster file)",
            ),
        ),
        ("a context that is not there", flags("x", "", ""), Err("the kubeconfig has no context \"x\"")),
        ("a cluster that is not there", flags("gone", "", ""), Err("the kubeconfig has no cluster \"drained\"")),
        ("a user that is not there", flags("e", "", "bob"), Err("the kubeconfig has no user \"bob\"")),
        (
            "a cluster without a server",
            flags("e", "nowhere", ""),
            Err("server of the cluster \"nowhere\" in the kubeconfig cannot be used: it is not set"),
        ),
        (
            "half a certificate",
            flags("e", "", "half"),
            Err(
                "client-certificate of the user \"half\" in the kubeconfig cannot be used: there is no client-key to it",
            ),
        ),
    ] {
        let found = read(FILE, &access).map(|entry| entry.config.cluster_url.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{what}");
    }
}

#[tokio::test]
async fn without_a_kubeconfig_flags_that_mean_one_are_refused_and_a_server_gets_no_service_account() {
    let read = |access: &Access| Entry::read(None, access).map_err(|error| error.to_string());
    let refused = read(&flags("eqiad", "", "ann")).unwrap_err();
    assert_eq!(
        refused,
        "--context eqiad --user ann means an entry of a kubeconfig, and there is none (set --kubeconfig or $KUBECONFIG)"
    );
    let named = read(&Access { server: Some("https://x:6443".into()), ..Access::default() }).unwrap();
    assert_eq!(named.config.cluster_url.to_string(), "https://x:6443/");
}

#[tokio::test]
async fn a_plugin_that_cannot_be_one_and_data_that_is_none_are_errors_that_name_the_entry() {
    let with = |cluster: &str, user: &str| {
        let text = format!(
            "{{clusters: [{{name: c, cluster: {{server: 'https://c'{cluster}}}}}], users: [{{name: u, user: {{{user}}}}}],
              contexts: [{{name: x, context: {{cluster: c, user: u}}}}], current-context: x}}"
        );
        read(&text, &Access::default()).map(|_| ()).unwrap_err()
    };
    assert_eq!(
        with(", certificate-authority-data: 'AA%'", ""),
        "certificate-authority-data of the cluster \"c\" in the kubeconfig cannot be used: it is no base64: Invalid symbol 37, offset 2."
    );
    assert_eq!(
        with(", certificate-authority-data: 'QUJD'", ""),
        "certificate-authority-data of the cluster \"c\" in the kubeconfig cannot be used: it has no certificate"
    );
    assert_eq!(
        with("", "exec: {apiVersion: client.authentication.k8s.io/v1}"),
        "exec of the user \"u\" in the kubeconfig cannot be used: the kubeconfig names no command"
    );
}
