//! Which trace a call is part of, as W3C Trace Context writes it (<https://www.w3.org/TR/trace-context/>).

use std::{
    fmt,
    num::{NonZeroU64, NonZeroU128},
};

/// The header that carries it, and the key of gRPC's metadata.
pub const TRACEPARENT: &str = "traceparent";

/// The trace of a call, and the span in it that calls. The specification makes zero invalid for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The id of the trace.
    pub trace: NonZeroU128,
    /// The id of the calling span.
    pub span: NonZeroU64,
}

impl TraceParent {
    /// Reads `VERSION-TRACE-SPAN-FLAGS`, in lower-case hexadecimal digits. A version other than 00 may have more fields. None if the
    /// text is anything else: the specification wants it ignored then.
    pub fn read(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let is_known = is_hex(version, 2) && version != "ff" && is_hex(flags, 2);
        if !is_known || !is_hex(trace, 32) || !is_hex(span, 16) || version == "00" && fields.next().is_some() {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().and_then(NonZeroU128::new)?;
        let span = u64::from_str_radix(span, 16).ok().and_then(NonZeroU64::new)?;
        Some(Self { trace, span })
    }

    /// The id of the trace as logs and tracing tools show it: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

/// As the header's value, in version 00, of a trace that is recorded.
impl fmt::Display for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{}-{:016x}-01", self.trace_id(), self.span)
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_only_in_the_exact_form_of_trace_context() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        for (text, expected) in [
            (format!("00-{trace}-{span}-01"), Some(trace)),
            (format!("00-{trace}-{span}-00"), Some(trace)),
            (format!("01-{trace}-{span}-01-more"), Some(trace)),
            (format!("00-{trace}-{span}-01-more"), None),
            (format!("ff-{trace}-{span}-01"), None),
            (format!("00-{}-{span}-01", trace.to_uppercase()), None),
            (format!("00-+{}-{span}-01", &trace[1..]), None),
            (format!("00-{}-{span}-01", "0".repeat(32)), None),
            (format!("00-{trace}-{}-01", "0".repeat(16)), None),
            (format!("00-{trace}-{span}"), None),
            (String::new(), None),
        ] {
            let read = TraceParent::read(&text).map(|parent| parent.trace_id());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again_with_its_leading_zeros() {
        let (Some(trace), Some(span)) = (NonZeroU128::new(1), NonZeroU64::new(0xb7)) else { unreachable!() };
        let parent = TraceParent { trace, span };
        assert_eq!(parent.to_string(), format!("00-{}1-{}b7-01", "0".repeat(31), "0".repeat(14)));
        assert_eq!(TraceParent::read(&parent.to_string()), Some(parent));
    }
}
