//! `-o`: a word, or a template.

use std::ffi::OsStr;

use clap::{
    Arg, Command, Error, ValueEnum as _,
    builder::{EnumValueParser, PossibleValue, TypedValueParser},
    error::ErrorKind,
};

use crate::{output::Format, show::Template};

/// What a template is written behind.
const JSONPATH: &str = "jsonpath=";

/// Reads a format.
#[derive(Debug, Clone, Copy)]
pub(super) struct FormatParser;

impl TypedValueParser for FormatParser {
    type Value = Format;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Format, Error> {
        let Some(template) = value.to_str().and_then(|text| text.strip_prefix(JSONPATH)) else {
            return EnumValueParser::new().parse_ref(command, arg, value);
        };
        match Template::parse(template) {
            // A process has one command line: its text lives as long as the process anyhow.
            Ok(_) => Ok(Format::JsonPath(Box::leak(Box::from(template)))),
            Err(error) => Err(Error::raw(ErrorKind::ValueValidation, format!("{error}\n")).with_cmd(command)),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = Format::value_variants().iter().filter_map(|format| format.to_possible_value());
        let template =
            PossibleValue::new("jsonpath=TEMPLATE").help("What a template in kubectl's form makes of the JSON");
        Some(Box::new(words.chain([template])))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::{cli::Cli, output::Format};

    fn format(argument: &str) -> Result<Format, String> {
        let parsed = Cli::try_parse_from(["usher", "nodes", "-o", argument]);
        parsed.map(|cli| cli.global.output).map_err(|error| error.to_string())
    }

    #[test]
    fn a_format_is_a_word_or_a_template_that_can_be_read() {
        assert_eq!(format("name"), Ok(Format::Name));
        assert_eq!(format("jsonpath={.items[*].name}"), Ok(Format::JsonPath("{.items[*].name}")));
        assert!(format("jsonpath={.items[}").unwrap_err().contains("is no JSONPath"));
        assert!(format("jsn").unwrap_err().contains("possible values: table, wide, json, yaml, name"));
    }
}
