//! Names of hosts.

/// Whether two names are those of one host, one of them perhaps without its domain.
pub fn is_same_host(a: &str, b: &str) -> bool {
    let (longer, shorter) = if a.len() < b.len() { (b, a) } else { (a, b) };
    let longer = longer.to_ascii_lowercase();
    longer.strip_prefix(&shorter.to_ascii_lowercase()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_same_with_and_without_its_domain() {
        for (a, b, same) in [
            ("cp1", "cp1", true),
            ("cp1", "CP1.example.org", true),
            ("cp1.example.org", "cp1", true),
            ("cp1", "cp10", false),
            ("cp1", "cp", false),
            ("cp1.example.org", "cp1.example.net", false),
        ] {
            assert_eq!(is_same_host(a, b), same, "{a} {b}");
        }
    }
}
