use std::sync::Arc;

use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    server::WebPkiClientVerifier,
};
use rustls_pki_types::{ServerName, UnixTime};

use super::*;

const DAYS_90: Duration = Duration::from_secs(90 * 86_400);

fn now() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn at(days: i64) -> UnixTime {
    let seconds = now().as_second() + days * 86_400;
    UnixTime::since_unix_epoch(Duration::from_secs(seconds.try_into().unwrap()))
}

struct Pki {
    authority: Authority,
    roots: Arc<RootCertStore>,
}

fn pki() -> Pki {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = Authority::create("test", now()).unwrap();
    let key = made.key.unwrap();
    let authority = Authority::read((&made.certificate, "ca.pem"), (&key, "ca-key.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(der(&made.certificate)).unwrap();
    Pki { authority, roots: Arc::new(roots) }
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

impl Pki {
    fn issue(&self, subject: Result<Subject, CertificateError>) -> Issued {
        self.authority.issue(&subject.unwrap(), DAYS_90, now()).unwrap()
    }

    /// Whether callers take it for the server of this name.
    fn serves(&self, issued: &Issued, name: &str, time: UnixTime) -> bool {
        let verifier = WebPkiServerVerifier::builder(Arc::clone(&self.roots)).build().unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&der(&issued.certificate), &[], &name, &[], time).is_ok()
    }

    /// Whether agents take it for a caller.
    fn calls(&self, issued: &Issued, time: UnixTime) -> bool {
        let verifier = WebPkiClientVerifier::builder(Arc::clone(&self.roots)).build().unwrap();
        verifier.verify_client_cert(&der(&issued.certificate), &[], time).is_ok()
    }
}

fn serial(issued: &Issued) -> Vec<u8> {
    let der = der(&issued.certificate);
    X509Certificate::from_der(&der).unwrap().1.raw_serial().to_vec()
}

#[test]
fn an_agents_certificate_serves_under_its_names_and_calls_nobody() {
    let pki = pki();
    let agent = pki.issue(Subject::agent("w1", &["w1.example.org".into(), "10.0.0.7".into(), "fd00::7".into()]));
    for name in ["w1", "w1.example.org", "10.0.0.7", "fd00::7"] {
        assert!(pki.serves(&agent, name, at(0)), "{name}");
    }
    assert!(!pki.serves(&agent, "w2", at(0)));
    assert!(!pki.calls(&agent, at(0)));
}

#[test]
fn a_callers_certificate_calls_and_serves_nobody() {
    let pki = pki();
    let ann = pki.issue(Subject::caller("ann"));
    assert!(pki.calls(&ann, at(0)) && !pki.serves(&ann, "ann", at(0)));
    let der = der(&ann.certificate);
    assert_eq!(X509Certificate::from_der(&der).unwrap().1.subject().to_string(), "CN=ann");
}

#[test]
fn a_certificate_holds_for_its_life_and_never_longer_than_its_authority() {
    let pki = pki();
    let ann = pki.issue(Subject::caller("ann"));
    for (day, holds) in [(-1, false), (0, true), (89, true), (91, false)] {
        assert_eq!(pki.calls(&ann, at(day)), holds, "day {day}");
    }
    let ages = Duration::from_secs(100 * 365 * 86_400);
    let long = pki.authority.issue(&Subject::caller("ann").unwrap(), ages, now()).unwrap();
    assert_eq!(long.not_after, pki.authority.not_after);
    assert_eq!(long.not_after.duration_since(now()).as_hours(), 10 * 365 * 24);
    let late = now() + SignedDuration::from_hours(11 * 365 * 24);
    let expired = pki.authority.issue(&Subject::caller("ann").unwrap(), DAYS_90, late);
    assert_eq!(expired.unwrap_err().to_string(), "the authority expired on 2036-11-23");
}

#[test]
fn a_renewed_certificate_has_the_same_names_usages_and_key_and_another_serial_number() {
    let pki = pki();
    let agent = pki.issue(Subject::agent("w1", &["10.0.0.7".into(), "fd00::7".into()]));
    let later = now() + SignedDuration::from_hours(80 * 24);
    let renewed = pki.authority.renew(&agent.certificate, "w1.pem", DAYS_90, later).unwrap();
    for name in ["w1", "10.0.0.7", "fd00::7"] {
        assert!(pki.serves(&renewed, name, at(169)), "{name}");
    }
    assert!(!pki.serves(&renewed, "w1", at(171)) && !pki.calls(&renewed, at(100)));
    assert_eq!(renewed.key, None);
    let (old, new) = (der(&agent.certificate), der(&renewed.certificate));
    let key = |der: &CertificateDer<'_>| X509Certificate::from_der(der).unwrap().1.public_key().raw.to_vec();
    assert_eq!(key(&old), key(&new));
    assert_ne!(serial(&agent), serial(&renewed));
}

#[test]
fn another_authoritys_certificate_is_not_renewed_and_neither_is_an_authority() {
    let pki = pki();
    let other = Authority::create("other", now()).unwrap();
    let error = pki.authority.renew(&other.certificate, "x.pem", DAYS_90, now()).unwrap_err();
    assert_eq!(error.to_string(), "x.pem was not issued by this authority, but by CN=other");
    let own = Authority::create("test", now()).unwrap();
    let error = pki.authority.renew(&own.certificate, "ca.pem", DAYS_90, now()).unwrap_err().to_string();
    assert!(error.contains("an authority is not renewed"), "{error}");
}

#[test]
fn an_authority_is_not_read_with_another_ones_key_or_from_another_certificate() {
    let (one, other) = (Authority::create("one", now()).unwrap(), Authority::create("other", now()).unwrap());
    let read = |certificate: &str, key: &str| Authority::read((certificate, "ca.pem"), (key, "ca-key.pem"));
    let error = read(&one.certificate, &other.key.clone().unwrap()).unwrap_err().to_string();
    assert!(error.contains("does not belong to the key in ca-key.pem"), "{error}");
    let pki = pki();
    let ann = pki.issue(Subject::caller("ann"));
    let error = read(&ann.certificate, &ann.key.unwrap()).unwrap_err().to_string();
    assert!(error.contains("it is no authority's"), "{error}");
    assert!(read("no PEM", &one.key.unwrap()).is_err());
}

#[test]
fn names_that_can_be_none_are_refused() {
    for bad in ["", "w1/../x", "w 1", "-w1", "w1.", "*"] {
        assert!(Subject::agent(bad, &[]).is_err(), "{bad:?}");
    }
    for bad in ["", "ann smith", "a\"b", "ann\n", "../ann", &"a".repeat(65)] {
        assert!(Subject::caller(bad).is_err(), "{bad:?}");
    }
    assert!(Subject::caller("ann@bastion.example").is_ok());
}
