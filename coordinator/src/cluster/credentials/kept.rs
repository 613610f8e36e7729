//! Credentials that a kubeconfig holds, or whose files it names. Files are read again when they have changed, as they are renewed
//! while an operation runs.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::issued::{Issued, Pair, Proof};

/// How often files are looked at. A look is a few calls to the kernel, and a change is seen soon enough.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A certificate or a key.
#[derive(Debug, Clone)]
pub(in crate::cluster) enum Part {
    /// PEM.
    Data(SecretString),
    File(PathBuf),
}

/// What a kubeconfig's user has, or a flag gives.
#[derive(Debug, Clone, Default)]
pub(in crate::cluster) struct Parts {
    pub(in crate::cluster) token: Option<SecretString>,
    /// Wins over the token as long as it can be read.
    pub(in crate::cluster) token_file: Option<PathBuf>,
    pub(in crate::cluster) certificate: Option<(Part, Part)>,
}

/// A file that holds no credentials.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("cannot use {} as credentials: {problem}", path.display())]
pub(in crate::cluster) struct FileError {
    path: PathBuf,
    problem: String,
}

type Again = dyn Fn() -> Option<Parts> + Send + Sync;

/// The credentials of a kubeconfig's user.
pub(super) struct Kept {
    state: Mutex<State>,
    /// Reads them from the kubeconfig once more.
    again: Box<Again>,
}

struct State {
    parts: Parts,
    held: Option<Issued>,
    stamps: Vec<Option<Stamp>>,
    looked: Option<Instant>,
}

/// What tells one content of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Kept {
    pub(super) fn new(parts: Parts, again: impl Fn() -> Option<Parts> + Send + Sync + 'static) -> Self {
        let state = State { parts, held: None, stamps: Vec::new(), looked: None };
        Self { state: Mutex::new(state), again: Box::new(again) }
    }

    /// The credentials to use now. While a file is broken or gone, what it said before is used.
    pub(super) fn current(&self) -> Result<Issued, FileError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = &state.held
            && state.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY)
        {
            return Ok(held.clone());
        }
        let stamps = state.parts.files().into_iter().map(stamp).collect();
        state.looked = Some(Instant::now());
        match &state.held {
            Some(held) if state.stamps == stamps => Ok(held.clone()),
            _ => {
                state.stamps = stamps;
                state.read()
            }
        }
    }

    /// Other credentials than the ones that a server refused, if the files or the kubeconfig have others by now.
    pub(super) fn after_refusal(&self, refused: &Issued) -> Result<Option<Issued>, FileError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.held.as_ref().is_none_or(|held| held.number <= refused.number) {
            if let Some(parts) = (self.again)() {
                state.parts = parts;
            }
            state.stamps = state.parts.files().into_iter().map(stamp).collect();
            state.read()?;
        }
        Ok(state.held.clone().filter(|held| held.number > refused.number))
    }
}

impl State {
    fn read(&mut self) -> Result<Issued, FileError> {
        let proof = match (self.parts.read(), &self.held) {
            (Ok(proof), _) => proof,
            (Err(error), Some(held)) => {
                tracing::warn!(%error, "keeping the credentials read before");
                return Ok(held.clone());
            }
            (Err(error), None) => return Err(error),
        };
        let issued = match self.held.take() {
            Some(held) if *held.proof == proof => held,
            Some(held) => held.replaced_by(proof),
            None => Issued::first(proof),
        };
        self.held = Some(issued.clone());
        Ok(issued)
    }
}

impl Parts {
    fn files(&self) -> Vec<&Path> {
        let of_pair = self.certificate.iter().flat_map(|(certificate, key)| [certificate, key]);
        let named = of_pair.filter_map(|part| match part {
            Part::File(path) => Some(path.as_path()),
            Part::Data(_) => None,
        });
        self.token_file.as_deref().into_iter().chain(named).collect()
    }

    fn read(&self) -> Result<Proof, FileError> {
        let token = match (&self.token_file, &self.token) {
            (Some(path), fixed) => match (read(path), fixed) {
                (Ok(token), _) => Some(String::from_utf8_lossy(&token).trim().to_owned()),
                (Err(_), Some(fixed)) => Some(fixed.expose_secret().to_owned()),
                (Err(error), None) => return Err(error),
            },
            (None, fixed) => fixed.as_ref().map(|fixed| fixed.expose_secret().to_owned()),
        };
        let pair = match &self.certificate {
            Some((certificate, key)) => Some(Pair::new(certificate.read()?, key.read()?)),
            None => None,
        };
        let token = token.filter(|token| !token.is_empty());
        Proof::new(token.as_deref(), pair, None).map_err(|_| FileError {
            path: self.token_file.clone().unwrap_or_else(|| "the token".into()),
            problem: "it has characters that no header can carry".into(),
        })
    }
}

impl Part {
    fn read(&self) -> Result<Vec<u8>, FileError> {
        match self {
            Self::Data(pem) => Ok(pem.expose_secret().as_bytes().to_vec()),
            Self::File(path) => read(path),
        }
    }
}

#[allow(clippy::disallowed_methods)] // the files that a kubeconfig names
fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|error| FileError { path: path.to_owned(), problem: error.to_string() })
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some(Stamp { inode: file.ino(), length: file.len(), changed: (file.mtime(), file.mtime_nsec()) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // the files that somebody renews

    use std::sync::Arc;

    use tokio::time::advance;

    use super::*;

    fn shown(issued: &Issued) -> String {
        issued.proof.header().map(|header| String::from_utf8_lossy(header.as_bytes()).into_owned()).unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_read_again_when_they_have_changed_and_kept_while_they_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let (token, certificate, key) = (file("token"), file("c.pem"), file("k.pem"));
        fs::write(&token, "t1\n").unwrap();
        fs::write(&certificate, "c1").unwrap();
        fs::write(&key, "k1").unwrap();
        let parts = Parts {
            token: None,
            token_file: Some(token.clone()),
            certificate: Some((Part::File(certificate.clone()), Part::File(key))),
        };
        let kept = Kept::new(parts, || None);
        let first = kept.current().unwrap();
        assert_eq!((shown(&first).as_str(), first.number), ("Bearer t1", 1), "without the line break");

        fs::write(&token, "t2 renewed").unwrap();
        assert_eq!(kept.current().unwrap().number, 1, "looked at a moment ago");
        advance(LOOK_EVERY).await;
        let second = kept.current().unwrap();
        assert_eq!((shown(&second).as_str(), second.number), ("Bearer t2 renewed", 2));

        fs::remove_file(&token).unwrap();
        advance(LOOK_EVERY).await;
        assert_eq!(kept.current().unwrap().number, 2);
        fs::write(&token, "t2 renewed").unwrap();
        fs::write(&certificate, "c2").unwrap();
        advance(LOOK_EVERY).await;
        let third = kept.current().unwrap();
        assert_eq!((third.number, third.proof.pair.as_ref().unwrap().certificate()), (3, &b"c2"[..]));
        assert!(kept.after_refusal(&third).unwrap().is_none(), "there is no other");
        fs::write(&token, "t3").unwrap();
        assert_eq!(shown(&kept.after_refusal(&third).unwrap().unwrap()), "Bearer t3", "at once");
        assert_eq!(shown(&kept.after_refusal(&second).unwrap().unwrap()), "Bearer t3", "was replaced meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_was_renewed_in_the_kubeconfig_is_found_once_the_old_one_is_refused() {
        let token = |token: &str| Parts { token: Some(token.to_owned().into()), ..Parts::default() };
        let renewed = Arc::new(Mutex::new("old"));
        let again = Arc::clone(&renewed);
        let kept = Kept::new(token("old"), move || Some(token(*again.lock().unwrap())));
        let old = kept.current().unwrap();
        assert!(kept.after_refusal(&old).unwrap().is_none());
        *renewed.lock().unwrap() = "new";
        assert_eq!(shown(&kept.after_refusal(&old).unwrap().unwrap()), "Bearer new");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_never_was_there_is_an_error_that_names_it_unless_a_token_stands_in() {
        let gone = PathBuf::from("/nonexistent/token");
        let parts = Parts { token_file: Some(gone.clone()), ..Parts::default() };
        let error = Kept::new(parts.clone(), || None).current().unwrap_err().to_string();
        assert!(error.starts_with("cannot use /nonexistent/token as credentials: No such file"), "{error}");
        let parts = Parts { token: Some("fixed".to_owned().into()), ..parts };
        assert_eq!(shown(&Kept::new(parts, || None).current().unwrap()), "Bearer fixed");
    }
}
