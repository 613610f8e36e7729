//! The authority's folder: `ca.pem`, `agents/NODE.pem`, `callers/NAME.pem`, each with its key beside it.
//!
//! Keys are readable by their owner alone from their first byte on, and no file is replaced unless that is wanted.

#![allow(clippy::disallowed_methods)] // the one place that keeps certificates

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use crate::files::{self, Existing, Mode};

use super::{Authority, CertificateError, Issued, Subject};

/// The names of files tell who may call agents.
const FOLDER_MODE: u32 = 0o700;
const KEY_MODE: Mode = Mode::LessUmask(0o600);
const CERTIFICATE_MODE: Mode = Mode::LessUmask(0o644);

/// Where an authority keeps its files.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub certificate: PathBuf,
    /// Its key, whether that was written now or is an old one that stays.
    pub key: PathBuf,
}

impl Folder {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where the authority's own files are.
    pub fn authority(&self) -> Written {
        beside(&self.0, "ca")
    }

    /// Where the files of a subject are, or will be.
    pub fn files(&self, subject: &Subject) -> Written {
        let below = match subject {
            Subject::Agent { .. } => "agents",
            Subject::Caller { .. } => "callers",
        };
        beside(&self.0.join(below), subject.name())
    }

    /// The authority.
    ///
    /// # Errors
    ///
    /// If there is none, or its files do not belong together.
    pub fn read(&self) -> Result<Authority, CertificateError> {
        let Written { certificate, key } = self.authority();
        let (certificate_text, key_text) = (read(&certificate)?, read(&key)?);
        let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
        Authority::read((&certificate_text, &certificate), (&key_text, &key))
    }

    /// The text of a certificate, in this folder or elsewhere.
    ///
    /// # Errors
    ///
    /// If the system cannot read it.
    pub fn text(path: &Path) -> Result<String, CertificateError> {
        read(path)
    }

    /// Writes a certificate, and its key if that is new. The key goes first: a certificate without its key is of no use.
    ///
    /// # Errors
    ///
    /// If a file is there already and not to be replaced, or the system cannot write.
    pub fn write(&self, to: &Written, issued: &Issued, replace: bool) -> Result<(), CertificateError> {
        let Written { certificate, key } = to;
        let there = [certificate, key].into_iter().find(|path| issued.key.is_some() && path.exists());
        if let (Some(there), false) = (there, replace) {
            return Err(CertificateError::Exists { path: there.display().to_string() });
        }
        if let Some(text) = &issued.key {
            put(key, text, KEY_MODE)?;
        }
        put(certificate, &issued.certificate, CERTIFICATE_MODE)
    }
}

/// The two files of this name, beside one another.
fn beside(folder: &Path, name: &str) -> Written {
    Written { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}-key.pem")) }
}

fn read(path: &Path) -> Result<String, CertificateError> {
    fs::read_to_string(path).map_err(|source| file("read", path, source))
}

/// Writes a file into a folder that is made if it is missing.
fn put(path: &Path, text: &str, mode: Mode) -> Result<(), CertificateError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder);
    made.map_err(|source| file("make", folder, source))?;
    files::put(path, text, mode, Existing::Replaced).map_err(|source| file("write", path, source))
}

fn file(doing: &'static str, path: &Path, source: io::Error) -> CertificateError {
    CertificateError::File { doing, path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, time::Duration};

    use jiff::Timestamp;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn keys_are_their_owners_alone_and_nothing_is_replaced_unless_it_is_wanted() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::at(home.path().join("pki"));
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let authority = Authority::create("test", now).unwrap();
        folder.write(&folder.authority(), &authority, false).unwrap();
        assert_eq!((mode(&folder.authority().key), mode(&folder.authority().certificate)), (0o600, 0o644));
        assert_eq!(mode(&home.path().join("pki")), 0o700);

        let subject = Subject::agent("w1", &[]).unwrap();
        let issued = folder.read().unwrap().issue(&subject, Duration::from_secs(86_400), now).unwrap();
        let files = folder.files(&subject);
        folder.write(&files, &issued, false).unwrap();
        let error = folder.write(&files, &issued, false).unwrap_err().to_string();
        assert!(error.ends_with("pki/agents/w1.pem is there already"), "{error}");
        folder.write(&files, &issued, true).unwrap();
        let left: Vec<_> =
            fs::read_dir(home.path().join("pki/agents")).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");

        // A renewal brings no key, and replaces the certificate alone.
        let key_before = fs::read_to_string(&files.key).unwrap();
        let renewed = Issued { key: None, ..issued };
        folder.write(&files, &renewed, false).unwrap();
        assert_eq!(fs::read_to_string(&files.key).unwrap(), key_before);
    }

    #[test]
    fn a_folder_without_an_authority_says_which_file_is_missing() {
        let home = tempfile::tempdir().unwrap();
        let error = Folder::at(home.path()).read().unwrap_err().to_string();
        assert!(error.starts_with("cannot read ") && error.ends_with("ca.pem"), "{error}");
    }
}
