//! The host the agent runs on, by name.

/// The host name, `localhost` if the kernel has none that is text.
pub(crate) fn name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "localhost".to_owned())
}
