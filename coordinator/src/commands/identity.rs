//! Who is at the keyboard, and names for operations.

/// The person as user@host: the one behind sudo, else the user of this process.
pub(super) fn requester() -> String {
    let behind_sudo = std::env::var("SUDO_USER").ok().filter(|user| !user.is_empty());
    let own = || nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    let user = behind_sudo.or_else(own).unwrap_or_else(|| format!("uid{}", nix::unistd::getuid()));
    let host = nix::unistd::gethostname().map(|host| host.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{user}@{host}")
}

/// A new operation's id: five letters and digits that cannot be mistaken for one another when read aloud.
pub(super) fn operation() -> String {
    const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
    let random = uuid::Uuid::new_v4();
    random.as_bytes().iter().take(5).map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn operations_have_five_letters() {
        let id = super::operation();
        assert_eq!(id.len(), 5);
        assert!(id.chars().all(|char| char.is_ascii_alphanumeric()));
    }
}
