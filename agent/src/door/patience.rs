//! How long a caller waits for its answer.

use std::time::Duration;

use http::HeaderMap;

/// How long the caller of a request waits, where it says so. Each such request carries it in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience(pub(crate) Duration);

impl Patience {
    /// Reads the header `grpc-timeout` of gRPC over HTTP/2: up to eight digits and a unit.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get("grpc-timeout")?.to_str().ok()?;
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number: u32 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
        let unit = match unit {
            "H" => Duration::from_secs(3600),
            "M" => Duration::from_secs(60),
            "S" => Duration::from_secs(1),
            "m" => Duration::from_millis(1),
            "u" => Duration::from_micros(1),
            "n" => Duration::from_nanos(1),
            _ => return None,
        };
        unit.checked_mul(number).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_patience_is_read_as_grpc_writes_it() {
        for (text, expected) in [
            ("10S", Some(Duration::from_secs(10))),
            ("2500000u", Some(Duration::from_millis(2500))),
            ("1H", Some(Duration::from_secs(3600))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("999999999S", None),
            ("10", None),
            ("S", None),
            ("", None),
            ("-1S", None),
        ] {
            let name = http::HeaderName::from_static("grpc-timeout");
            let headers = HeaderMap::from_iter([(name, text.parse().unwrap())]);
            assert_eq!(Patience::read(&headers).map(|patience| patience.0), expected, "{text}");
        }
        assert_eq!(Patience::read(&HeaderMap::new()), None);
    }
}
