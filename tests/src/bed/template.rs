//! Placeholders in the files under `tests/machines/config`.

use anyhow::ensure;

/// Replaces each `{{name}}` of `text` by its value.
///
/// # Errors
/// If a placeholder is left, by its surroundings: a template and its caller do not agree.
pub(super) fn fill(text: &str, values: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut filled = text.to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("{{{{{name}}}}}"), value);
    }
    if let Some((_, rest)) = filled.split_once("{{") {
        let name: String = rest.chars().take_while(|&letter| letter != '}').collect();
        ensure!(!rest.contains("}}"), "nothing was given for the placeholder {name:?}");
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn every_placeholder_is_replaced_wherever_it_stands() {
        let filled = fill("{{a}} and {{b}} and {{a}}", &[("a", "1"), ("b", "2")]).unwrap();
        assert_eq!(filled, "1 and 2 and 1");
    }

    #[test]
    fn a_placeholder_without_a_value_is_an_error_that_names_it() {
        let error = fill("address = {{address}}", &[]).unwrap_err();
        assert!(error.to_string().contains("\"address\""), "{error}");
    }

    #[test]
    fn lone_braces_are_left_as_they_are() {
        assert_eq!(fill("{ x: {} }", &[]).unwrap(), "{ x: {} }");
    }
}
