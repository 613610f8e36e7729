use std::{path::PathBuf, time::Duration};

use super::*;

#[derive(Debug, PartialEq)]
struct Site {
    name: Option<String>,
    ca: Option<PathBuf>,
    gap: Duration,
    ports: Vec<(String, u16)>,
    probe: Option<u32>,
    tags: Vec<String>,
}

fn site(root: &mut Table<'_>) -> Site {
    Site {
        name: root.key("name", TEXT).says("The name.").example("eqiad").optional("the context's"),
        ca: root.key("ca", PATH).says("Who signs.").example("ca.pem").required(),
        gap: root
            .table("defaults")
            .says("What flags override.")
            .read(|table| table.key("gap", DURATION).says("The gap.").or(Duration::from_secs(90))),
        ports: root
            .table("ports")
            .read(|table| table.others("MACHINE", "cp1").says("Its port.").values(&PORT, Value::Number(7470), name)),
        probe: root
            .table("probe")
            .says("A probe.")
            .read_if_present(|table| table.key("successes", POSITIVE).says("In a row.").or(3_u32)),
        tags: root
            .table("unit")
            .read(|table| table.others("UNIT", "a").says("One unit.").tables(|name, table| tag(name, table))),
    }
}

fn name(name: &str) -> Result<(), String> {
    if name.contains(' ') { Err(format!("\"{name}\" has a blank")) } else { Ok(()) }
}

fn tag(name: &str, table: &mut Table<'_>) -> String {
    if name == "bad" {
        table.misnamed("no such unit");
    }
    let tags = table.key("tags", ListOf(TEXT)).says("Its tags.").or([]);
    format!("{name}{}", tags.concat())
}

fn complaints(text: &str) -> Vec<String> {
    let error = parse(text, Path::new("f.toml"), Path::new("/etc"), site).unwrap_err();
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_duration_of_more_than_a_year_is_refused_since_no_clock_could_be_set_to_its_end() {
    let said = complaints("ca = 'ca.pem'\n[defaults]\ngap = '300000000000y'");
    assert!(said.len() == 1 && said[0].contains("defaults.gap"), "{said:?}");
    let said = complaints("ca = 'ca.pem'\n[defaults]\ngap = '367d'");
    assert!(said[0].contains("\"367d\" is longer than a year"), "{said:?}");
}

#[test]
fn a_file_is_read_and_every_value_has_the_line_it_comes_from() {
    let text = "ca = 'ca.pem'\n[defaults]\ngap = '1h 30m'\n[ports]\ncp2 = 7_471\n[unit.x]\ntags = ['y', 'z']\n[probe]";
    let Contents { value, record } = parse(text, Path::new("f.toml"), Path::new("/etc"), site).unwrap();
    assert_eq!(
        value,
        Site {
            name: None,
            ca: Some("/etc/ca.pem".into()),
            gap: Duration::from_secs(5400),
            ports: vec![("cp2".into(), 7471)],
            probe: Some(3),
            tags: vec!["xyz".into()],
        }
    );
    assert_eq!(
        lines(&record),
        [
            "name: the context's",
            "ca = \"/etc/ca.pem\" (line 1)",
            "defaults.gap = \"1h30m\" (line 3)",
            "ports.cp2 = 7471 (line 5)",
            "probe.successes = 3",
            "unit.x.tags = [\"y\", \"z\"] (line 7)",
        ]
    );
}

/// The record in words.
fn lines(record: &Record) -> Vec<String> {
    let keys = record.sections.iter().flat_map(|section| section.keys.iter().map(move |key| (section, key)));
    keys.map(|(section, key)| {
        let name = dotted(section.path.iter().chain([&key.name]).map(Name::as_str));
        let line = key.place.as_ref().map(|place| format!(" (line {})", place.line)).unwrap_or_default();
        match (&key.value, &key.default) {
            (Some(value), _) => format!("{name} = {value}{line}"),
            (None, Default::Unset(unset)) => format!("{name}: {unset}"),
            (None, other) => format!("{name}: {other:?}"),
        }
    })
    .collect()
}

#[test]
fn every_mistake_is_reported_at_once_in_the_order_of_the_file() {
    assert_eq!(
        complaints(
            "nmae = 'x'\nca = 5\n[defaults]\ngap = 'soon'\n[ports]\n'a b' = 1\nb = 70000\n[probe]\nsuccesses = 0\n\
             [unit.bad]\ntasg = 1\n[unit.x]\ntags = [\n  'y',\n  '',\n  5,\n]"
        ),
        [
            "f.toml:1: nmae: unknown key; did you mean \"name\"?",
            "f.toml:2: ca: expected a string, found an integer",
            "f.toml:4: defaults.gap: \"soon\" is no duration (examples: 10s, 5m)",
            "f.toml:6: ports.\"a b\": \"a b\" has a blank",
            "f.toml:7: ports.b: 70000 is no port (1 to 65535)",
            "f.toml:9: probe.successes: must be at least 1",
            "f.toml:10: unit.bad: no such unit",
            "f.toml:15: unit.x.tags: item 2: must not be empty",
            "f.toml:16: unit.x.tags: item 3: expected a string, found an integer",
        ]
    );
}

#[test]
fn a_missing_key_is_named_with_what_it_is_for() {
    assert_eq!(complaints("name = 'a'"), ["f.toml: ca: is missing (Who signs)"]);
}

#[test]
fn a_file_that_is_not_toml_is_refused_by_line_and_for_that_alone() {
    let complaints = complaints("nmae = 'a'\ngap 5\n");
    assert!(complaints[0].starts_with("f.toml:2: not TOML: "), "{complaints:?}");
    assert_eq!(complaints.len(), 1, "{complaints:?}");
}

#[test]
fn a_description_has_every_key_and_an_example_of_each_name_that_a_site_gives() {
    assert_eq!(
        lines(&describe(site)),
        [
            "name: the context's",
            "ca: Required",
            "defaults.gap = \"1m30s\"",
            "ports.cp1: ",
            "probe.successes = 3",
            "unit.a.tags = []",
        ]
    );
}

#[test]
fn values_are_written_as_toml_that_reads_as_the_same() {
    for (value, expected) in [
        (Value::Duration(Duration::ZERO), "\"0s\""),
        (Value::Duration(Duration::from_secs(90 * 86400)), "\"90d\""),
        (Value::Duration(Duration::from_millis(90_061_500)), "\"1d1h1m1s500ms\""),
        (Value::from("a \"b\" \\ c"), "'a \"b\" \\ c'"),
        (Value::from(["a", "b"]), "[\"a\", \"b\"]"),
        (Value::Flag(true), "true"),
    ] {
        assert_eq!(value.to_string(), expected);
        if let Value::Duration(duration) = value {
            assert_eq!(humantime::parse_duration(expected.trim_matches('"')), Ok(duration));
        }
    }
}

#[test]
fn a_key_that_a_file_lacks_is_that_of_the_file_it_shares_with_others() {
    let read = |own: &str, common: &str| {
        let sources = Sources::of(Path::new("own.toml"), own).and(Path::new("common.toml"), common);
        parse_sources(&sources, Path::new("/etc"), site)
    };
    let own = "name = 'x'\n[ports]\ncp1 = 1\n[unit.x]\ntags = ['own']";
    let common = "\nca = 'ca.pem'\n[ports]\ncp1 = 2\ncp2 = 3\n[unit.x]\ntags = ['a', 'b']";
    let Contents { value, record } = read(own, common).unwrap();
    assert_eq!(value.ca, Some("/etc/ca.pem".into()));
    assert_eq!((value.ports, value.tags), (vec![("cp1".into(), 1), ("cp2".into(), 3)], vec!["xown".to_owned()]));
    let keys = record.sections.iter().flat_map(|section| &section.keys);
    let places: Vec<_> =
        keys.filter_map(|key| Some(format!("{} {}", key.name.as_str(), key.place.as_ref()?))).collect();
    assert_eq!(
        places,
        ["name own.toml:1", "ca common.toml:2", "cp1 own.toml:3", "cp2 common.toml:5", "tags own.toml:5"]
    );

    let error = read("nmae = 'x'\n", "ca = 5\n[ports]\ncp1 = 0").unwrap_err().to_string();
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "own.toml:1: nmae: unknown key; did you mean \"name\"?",
            "common.toml:1: ca: expected a string, found an integer",
            "common.toml:3: ports.cp1: 0 is no port (1 to 65535)",
        ]
    );
    // A text that breaks off is the one that is broken.
    let error = read("name = ", "ca = 'x'").unwrap_err().to_string();
    assert!(error.starts_with("own.toml:1: not TOML"), "{error}");
}
