//! systemd units: which names can be managed, and what counts as active.

/// The kinds of unit that usher restarts. All of them have an InvocationID, which proves a restart, and systemd can
/// restart them; slices, scopes, devices and swaps are left out.
pub const SUFFIXES: [&str; 6] = [".service", ".socket", ".target", ".timer", ".path", ".mount"];

/// The longest name that systemd accepts (`UNIT_NAME_MAX`, terminating zero not counted).
const NAME_LIMIT: usize = 255;

/// Why a name is not that of a unit that can be managed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadName {
    /// It would be one with a suffix, `.service` for example.
    NoSuffix,
    /// Empty, too long, or with characters that systemd does not allow (`unit_name_is_valid`).
    Malformed,
    /// It is a template, such as `getty@.service`: only its instances run.
    Template,
}

/// Checks the name of a unit that is to be managed: `kube-scheduler.service`.
///
/// # Errors
///
/// [`BadName`] if no unit can have this name, or none of a kind in [`SUFFIXES`].
pub fn check_name(name: &str) -> Result<(), BadName> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    if name.is_empty() || name.len() > NAME_LIMIT || !name.bytes().all(valid) {
        return Err(BadName::Malformed);
    }
    match SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)) {
        Some("") => Err(BadName::Malformed),
        Some(stem) if stem.ends_with('@') => Err(BadName::Template),
        Some(_) => Ok(()),
        None => Err(BadName::NoSuffix),
    }
}

/// Whether a unit in this ActiveState runs: a reload or refresh under way does not stop it.
pub fn is_active(active_state: &str) -> bool {
    matches!(active_state, "active" | "reloading" | "refreshing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_named_with_the_suffix_of_a_kind_that_can_be_restarted() {
        for (name, expected) in [
            ("kube-scheduler.service", Ok(())),
            ("getty@tty1.service", Ok(())),
            ("multi-user.target", Ok(())),
            ("getty@.service", Err(BadName::Template)),
            ("var-lib-etcd.mount", Ok(())),
            ("kube-scheduler", Err(BadName::NoSuffix)),
            ("user.slice", Err(BadName::NoSuffix)),
            (".service", Err(BadName::Malformed)),
            ("a b.service", Err(BadName::Malformed)),
            ("", Err(BadName::Malformed)),
        ] {
            assert_eq!(check_name(name), expected, "{name:?}");
        }
        assert_eq!(check_name(&format!("{}.service", "a".repeat(250))), Err(BadName::Malformed));
    }

    #[test]
    fn a_unit_that_reloads_still_runs() {
        assert!(["active", "reloading", "refreshing"].into_iter().all(is_active));
        assert!(!["activating", "deactivating", "failed", "inactive"].into_iter().any(is_active));
    }
}
