//! Kinds of values that only the agent's file has.

use std::net::SocketAddr;

use usher_common::config_file::{Scalar, Shape, Value, number, text};

use super::url::Url;
use crate::{access::Pattern, certificate::Fingerprint};

/// An address and a port to listen on.
pub(super) const LISTEN: Scalar<SocketAddr> = Scalar {
    name: "address and port",
    shape: Shape::Text,
    read: |value, _| {
        let text = text(value)?;
        text.parse().map_err(|_| format!("{text:?} is no address and port (example: [::]:7470)"))
    },
    write: |address| Value::Text(address.to_string()),
};

/// A name on the allow-list.
pub(super) const PATTERN: Scalar<Pattern> = Scalar {
    name: "name in a certificate",
    shape: Shape::Text,
    read: |value, _| text(value)?.parse().map_err(|error: crate::access::BadPattern| error.to_string()),
    write: |pattern| Value::Text(pattern.to_string()),
};

/// The SHA-256 of a certificate.
pub(super) const FINGERPRINT: Scalar<Fingerprint> = Scalar {
    name: "fingerprint",
    shape: Shape::Text,
    read: |value, _| text(value)?.parse().map_err(|error: crate::certificate::BadFingerprint| error.to_string()),
    write: |fingerprint| Value::Text(fingerprint.to_string()),
};

/// An HTTPS URL.
pub(super) const URL: Scalar<Url> = Scalar {
    name: "URL",
    shape: Shape::Text,
    read: |value, _| {
        let text = text(value)?;
        Url::parse(&text).ok_or_else(|| format!("{text:?} is no HTTPS URL (example: https://127.0.0.1:10259/readyz)"))
    },
    write: |url| Value::Text(url.as_str().to_owned()),
};

/// An HTTP status.
pub(super) const STATUS: Scalar<u16> = Scalar {
    name: "HTTP status",
    shape: Shape::Number { least: 100, greatest: 599 },
    read: |value, _| match u16::try_from(number(value, "an HTTP status")?) {
        Ok(status) if (100..600).contains(&status) => Ok(status),
        _ => Err("must be an HTTP status (100 to 599)".into()),
    },
    write: |status| Value::Number((*status).into()),
};
