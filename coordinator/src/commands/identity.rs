//! Who is at the keyboard.

/// The person as user@host: the one behind sudo, else the user of this process.
pub(super) fn requester() -> String {
    let behind_sudo = std::env::var("SUDO_USER").ok().filter(|user| !user.is_empty());
    let own = || nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    let user = behind_sudo.or_else(own).unwrap_or_else(|| format!("uid{}", nix::unistd::getuid()));
    let host = nix::unistd::gethostname().map(|host| host.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{user}@{host}")
}
