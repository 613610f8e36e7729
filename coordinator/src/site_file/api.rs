//! `[api]`: which kubeconfig, which context of it, and for which user.

use usher_common::config_file::Table;

use super::values::{CONTEXT_TEMPLATE, KUBECONFIG_TEMPLATE, USER, USER_TEMPLATE};
use crate::site::ApiAccess;

/// `is_named`: whether there is a name that `{cluster}` stands for.
pub(super) fn api(table: &mut Table<'_>, is_named: bool) -> ApiAccess {
    let plain = ApiAccess::default();
    let kubeconfig = table
        .key("kubeconfig", KUBECONFIG_TEMPLATE)
        .says("Path of the kubeconfig, in which {cluster} is the site's name and {user} the user's.")
        .example("/etc/kubernetes/{user}-{cluster}.config")
        .optional("$KUBECONFIG, then ~/.kube/config, then the service account of the pod");
    let context = table
        .key("context", CONTEXT_TEMPLATE)
        .says(
            "Context of the kubeconfig; {cluster} and {user} as above. Needed where the kubeconfig calls the cluster by another \
             name than this file: it says that both are one.",
        )
        .example("admin@eqiad")
        .optional("its current context");
    let needs_a_name = |text: &str| text.contains("{cluster}") && !is_named;
    if kubeconfig.as_ref().is_some_and(|path| needs_a_name(&path.to_string_lossy())) {
        table.mistake("kubeconfig", "{cluster} stands for the site's name, and the file has none: set name");
    }
    if context.as_deref().is_some_and(needs_a_name) {
        table.mistake("context", "{cluster} stands for the site's name, and the file has none: set name");
    }
    ApiAccess {
        kubeconfig,
        context,
        user: table.key("user", USER).says("What {user} stands for, unless --user says otherwise.").or(plain.user),
        service_user: table
            .key("service_user", USER_TEMPLATE)
            .says("What {user} stands for in `usher clusters env CLUSTER SERVICE` without --user.")
            .or(plain.service_user),
        users: table
            .table("users")
            .says("What {user} stands for, by the name that --user gives. A name that is not here stands for itself.")
            .read(|table| {
                table
                    .others("USER", "deploy")
                    .says("The user. {service} stands for SERVICE in `usher clusters env CLUSTER SERVICE`.")
                    .values(&USER_TEMPLATE, "{service}-deploy", |_| Ok(()))
                    .into_iter()
                    .collect()
            }),
    }
}
