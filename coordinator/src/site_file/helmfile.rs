//! `[helmfile]`: the services that helmfile deploys.

use usher_common::config_file::{LIMIT, Table};
use usher_core::helmfile::Helmfile;

use super::values::{ARGUMENTS, PROGRAM, SERVICE_FOLDER, SITE_NAME, USER_TEMPLATE};

/// `is_named`: whether there is a name that `{cluster}` stands for.
pub(super) fn helmfile(table: &mut Table<'_>, is_named: bool) -> Helmfile {
    let plain = Helmfile::default();
    let folder = table
        .key("folder", SERVICE_FOLDER)
        .says(
            "Where the services' helmfiles are: a folder that has one for each service, or a path with {service} in it; {cluster} is \
             filled in too.",
        )
        .example("/srv/deployment-charts/helmfile.d/services")
        .optional("`usher helmfile roll` refuses to run");
    if !is_named && folder.as_ref().is_some_and(|path| path.to_string_lossy().contains("{cluster}")) {
        table.mistake("folder", "{cluster} stands for the site's name, and the file has none: set name");
    }
    let program =
        table.key("program", PROGRAM).says("helmfile: a path, or a name that is found by PATH.").or(plain.program);
    let environment = table
        .key("environment", SITE_NAME)
        .says("The environment of the services' helmfiles that is this cluster's. The flag -e overrides it.")
        .example("eqiad")
        .optional("the cluster's name, or the first of its aliases that the service's helmfile knows");
    let arguments = table
        .key("arguments", ARGUMENTS)
        .says("What follows the environment on helmfile's command line: its flags, then sync or apply.")
        .or(plain.arguments);
    if !arguments.iter().any(|argument| Helmfile::VERBS.contains(&argument.as_str())) {
        table.mistake("arguments", "has neither \"sync\" nor \"apply\", so that helmfile would roll nothing");
    }
    let user = table
        .key("user", USER_TEMPLATE)
        .says(
            "What {user} stands for in [api] kubeconfig and context, for usher and for helmfile: one of [api.users], or itself, in \
             which {service} is filled in. The flag --user overrides it.",
        )
        .example("deploy")
        .optional("as for all other commands");
    let timeout = table
        .key("timeout", LIMIT)
        .says("How long helmfile may take for one service. The flag --timeout overrides it.")
        .or(plain.timeout);
    Helmfile { folder, program, environment, arguments, user, timeout }
}
