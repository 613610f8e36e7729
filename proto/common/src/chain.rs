/// An error and everything that caused it, on one line: `cannot read the file: permission denied`.
///
/// Some libraries repeat their source in their own `Display`; what the text already contains is not appended again.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fmt};

    use super::chain;

    #[derive(Debug)]
    struct Link(&'static str, Option<Box<Link>>);

    impl fmt::Display for Link {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Link {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|link| link as _)
        }
    }

    #[test]
    fn every_cause_is_named_once() {
        let refused = || Link("connection refused", None);
        let plain = Link("cannot list the nodes", Some(Box::new(refused())));
        assert_eq!(chain(&plain), "cannot list the nodes: connection refused");
        let repeating = Link("tcp: connection refused", Some(Box::new(refused())));
        assert_eq!(chain(&repeating), "tcp: connection refused");
    }
}
