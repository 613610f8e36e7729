//! Whom a certificate is for.

use std::net::IpAddr;

use super::CertificateError;

/// A common name longer than this is refused by other software (RFC 5280, ub-common-name).
const LONGEST_COMMON_NAME: usize = 64;

/// Whom a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The agent of a machine.
    Agent {
        /// The machine's name, under which usher calls the agent.
        node: String,
        /// Further DNS names and addresses under which it is reached.
        addresses: Vec<String>,
    },
    /// Somebody who calls agents, by the name that is written into their lists.
    Caller { name: String },
}

impl Subject {
    /// An agent.
    ///
    /// # Errors
    ///
    /// If one of the names can be no DNS name or address.
    pub fn agent(node: &str, addresses: &[String]) -> Result<Self, CertificateError> {
        let names = std::iter::once(node).chain(addresses.iter().map(String::as_str));
        for name in names {
            if name.parse::<IpAddr>().is_err() && !is_dns_name(name) {
                return Err(CertificateError::Name { name: name.to_owned(), of: "in DNS, and no address" });
            }
        }
        Ok(Self::Agent { node: node.to_owned(), addresses: addresses.to_vec() })
    }

    /// A caller.
    ///
    /// # Errors
    ///
    /// If the name has characters that are easily mistaken in a list, or is too long.
    pub fn caller(name: &str) -> Result<Self, CertificateError> {
        let good = |char: char| char.is_ascii_alphanumeric() || "-_.@".contains(char);
        match name.is_empty() || name.len() > LONGEST_COMMON_NAME || !name.chars().all(good) || name.starts_with('.') {
            true => {
                Err(CertificateError::Name { name: name.to_owned(), of: "of a caller (letters, digits and \"-_.@\")" })
            }
            false => Ok(Self::Caller { name: name.to_owned() }),
        }
    }

    /// The name that its files bear.
    pub fn name(&self) -> &str {
        match self {
            Self::Agent { node, .. } => node,
            Self::Caller { name } => name,
        }
    }
}

/// Whether the labels are letters, digits and inner hyphens (RFC 1123).
fn is_dns_name(name: &str) -> bool {
    let good_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(good_label)
}
