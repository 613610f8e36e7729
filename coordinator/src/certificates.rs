//! A small certificate authority for sites that have none: agents' certificates for servers, operators' for clients.
//!
//! All keys are ECDSA on P-256. The authority is valid for ten years and signs no other authority. A certificate for an agent is for
//! servers alone, so that a key stolen from a machine calls nobody; one for a person is for clients alone. What a caller may do is not in
//! the certificate: each agent lists names with their roles.

mod authority;
mod folder;
mod names;

pub use self::{
    authority::{Authority, Issued},
    folder::{Folder, Written},
    names::Subject,
};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A name that cannot be one.
    #[error("{name:?} is no name {of}")]
    Name { name: String, of: &'static str },
    /// A file that is not what it should be.
    #[error("{what} in {path}: {problem}")]
    Unusable { what: &'static str, path: String, problem: String },
    /// A file that is there already.
    #[error("{path} is there already")]
    Exists { path: String },
    /// The system could not read or write a file.
    #[error("cannot {doing} {path}")]
    File { doing: &'static str, path: String, source: std::io::Error },
    /// The cryptography could not do it.
    #[error("cannot make {what}")]
    Crypto { what: &'static str, source: rcgen::Error },
    /// The certificate is another authority's.
    #[error("{path} was not issued by this authority, but by {issuer}")]
    Foreign { path: String, issuer: String },
    /// The authority itself has expired.
    #[error("the authority expired on {on}")]
    Expired { on: String },
}
