//! Who may call: `[allow]` and `[deny]`.

use std::{collections::BTreeSet, path::Path};

use jiff::Timestamp;
use usher_common::config_file::{
    DeTable, DeValue, Entry, Kind, ListOf, Scalar, Shape, Spanned, Table, Value, expected, nearest, text,
};

use super::values::{FINGERPRINT, PATTERN};
use crate::{
    access::{AllowList, Grant, Network, Role, Verb},
    certificate::Fingerprint,
};

/// The keys of an entry that is a table. The first is the name itself.
const ENTRIES: [Entry; 5] = [
    Entry { name: "name", shape: Shape::Text, says: "The name in the certificate." },
    Entry {
        name: "from",
        shape: Shape::Texts,
        says: "Where the caller must be: addresses, or ranges like 10.64.0.0/16.",
    },
    Entry { name: "units", shape: Shape::Texts, says: "The units that it may restart, start and stop." },
    Entry { name: "may", shape: Shape::Texts, says: "What it may do: restart, start, stop, reboot, override." },
    Entry { name: "until", shape: Shape::Text, says: "When the entry ends, as 2026-12-31T00:00:00Z." },
];

/// A list of names in certificates, each alone or in a table with what narrows it.
#[derive(Debug, Clone, Copy)]
struct Grants {
    role: Role,
    /// Leave out what is wrong instead of refusing the list: an entry whose limits cannot be read must not hold without them.
    lenient: bool,
}

impl Grants {
    fn known_keys(self) -> &'static [Entry] {
        // A viewer changes nothing, so that there is nothing to narrow but from where and until when it looks.
        match self.role {
            Role::Operator => &ENTRIES,
            Role::Viewer => const { &[ENTRIES[0], ENTRIES[1], ENTRIES[4]] },
        }
    }

    fn grant(self, item: &DeValue<'_>, folder: &Path) -> Result<Grant, String> {
        match item {
            DeValue::Table(table) => self.narrowed(table, folder),
            DeValue::String(_) => Ok((PATTERN.read)(item, folder)?.into()),
            other => Err(expected("a name or a table", other)),
        }
    }

    fn narrowed(self, table: &DeTable<'_>, folder: &Path) -> Result<Grant, String> {
        let known = || self.known_keys().iter().map(|entry| entry.name);
        let unknown = table.keys().map(|key| &**key.get_ref()).find(|key| !known().any(|known| known == *key));
        if let Some(key) = unknown {
            return Err(match nearest(key, known()) {
                Some(meant) => format!("{key}: unknown key; did you mean \"{meant}\"?"),
                None => format!("{key}: unknown key (a {} has: {})", self.role, known().collect::<Vec<_>>().join(", ")),
            });
        }
        let in_key = |key: &'static str| move |message: String| format!("{key}: {message}");
        let name = table.get("name").ok_or("name is missing: the name in the certificate")?;
        Ok(Grant {
            name: (PATTERN.read)(name.get_ref(), folder).map_err(in_key("name"))?,
            from: list(table, "from", folder, NETWORK)?.unwrap_or_default(),
            units: list(table, "units", folder, UNIT)?.map(BTreeSet::from_iter),
            may: list(table, "may", folder, VERB)?.map(BTreeSet::from_iter),
            until: table.get("until").map(|until| time(until.get_ref()).map_err(in_key("until"))).transpose()?,
        })
    }
}

impl Kind for Grants {
    type Value = Vec<Grant>;

    fn name(&self) -> String {
        "list of names in certificates, each alone or in a table with its limits".to_owned()
    }

    fn shape(&self) -> Shape {
        Shape::TextsOrTables(self.known_keys())
    }

    fn read(&self, value: &Spanned<DeValue<'_>>, folder: &Path) -> Result<Vec<Grant>, Vec<(usize, String)>> {
        let DeValue::Array(items) = value.get_ref() else {
            return Err(vec![(value.span().start, expected("a list of names", value.get_ref()))]);
        };
        let (mut good, mut wrong) = (Vec::new(), Vec::new());
        for (number, item) in items.iter().enumerate() {
            match self.grant(item.get_ref(), folder) {
                Ok(grant) => good.push(grant),
                Err(message) if items.len() == 1 => wrong.push((item.span().start, message)),
                Err(message) => wrong.push((item.span().start, format!("item {}: {message}", number + 1))),
            }
        }
        if wrong.is_empty() || self.lenient { Ok(good) } else { Err(wrong) }
    }

    fn write(&self, grants: &Vec<Grant>) -> Value {
        Value::List(grants.iter().map(written).collect())
    }
}

fn written(grant: &Grant) -> Value {
    let name = Value::Text(grant.name.to_string());
    let texts = |texts: Vec<String>| Value::List(texts.into_iter().map(Value::Text).collect());
    let mut entries = Vec::new();
    if !grant.from.is_empty() {
        entries.push(("from", texts(grant.from.iter().map(Network::to_string).collect())));
    }
    if let Some(units) = &grant.units {
        entries.push(("units", texts(units.iter().cloned().collect())));
    }
    if let Some(may) = &grant.may {
        entries.push(("may", texts(may.iter().map(Verb::to_string).collect())));
    }
    if let Some(until) = grant.until {
        entries.push(("until", Value::Time(until.to_string())));
    }
    if entries.is_empty() {
        return name;
    }
    entries.insert(0, ("name", name));
    Value::Table(entries)
}

fn list<T: Clone>(
    table: &DeTable<'_>,
    key: &'static str,
    folder: &Path,
    item: Scalar<T>,
) -> Result<Option<Vec<T>>, String> {
    let Some(value) = table.get(key) else { return Ok(None) };
    let read = ListOf(item).read(value, folder);
    let items = read.map_err(|wrong| {
        format!("{key}: {}", wrong.into_iter().map(|(_, message)| message).next().unwrap_or_default())
    })?;
    // An empty list would permit nothing, which nobody means.
    if items.is_empty() { Err(format!("{key}: must not be empty; leave it out for no limit")) } else { Ok(Some(items)) }
}

const NETWORK: Scalar<Network> = Scalar {
    name: "range of addresses",
    shape: Shape::Text,
    read: |value, _| text(value)?.parse().map_err(|error: crate::access::BadNetwork| error.to_string()),
    write: |network| Value::Text(network.to_string()),
};

const VERB: Scalar<Verb> = Scalar {
    name: "verb",
    shape: Shape::Text,
    read: |value, _| text(value)?.parse().map_err(|error: crate::access::BadVerb| error.to_string()),
    write: |verb| Value::Text(verb.to_string()),
};

const UNIT: Scalar<String> = Scalar::text("unit", |value, _| {
    let name = text(value)?;
    match usher_common::unit::check_name(&name) {
        Ok(_) => Ok(name),
        Err(_) => Err(format!("{name:?} is no name of a unit (example: kube-scheduler.service)")),
    }
});

/// A date with a time and its offset, as TOML has them, or the same as a string.
fn time(value: &DeValue<'_>) -> Result<Timestamp, String> {
    let text = match value {
        DeValue::Datetime(time) => time.to_string(),
        other => text(other)?,
    };
    text.parse().map_err(|_| format!("{text} is no time with an offset (example: 2026-12-31T00:00:00Z)"))
}

pub(super) fn allow(table: &mut Table<'_>) -> AllowList {
    let viewers = table.key("viewer", Grants { role: Role::Viewer, lenient: false });
    let viewers = viewers.says("May look.").example(["O=sre"]).or([]);
    let operators = table.key("operator", Grants { role: Role::Operator, lenient: false });
    let operators = operators
        .says(
            "May look and change. A name may stand in a table with limits, of which each may be left out: where the caller must \
             be, which units it may touch, what it may do, and until when. Of several entries for a caller, one that permits \
             the call is enough.",
        )
        .example(example())
        .or([]);
    let mut list = AllowList::default();
    for (grants, role) in [(viewers, Role::Viewer), (operators, Role::Operator)] {
        for grant in grants {
            list.insert(grant, role);
        }
    }
    list
}

fn example() -> Value {
    let texts = |texts: &[&str]| Value::List(texts.iter().map(|text| (*text).into()).collect());
    Value::List(vec![
        "CN=cumin1001".into(),
        Value::Table(vec![
            ("name", "DNS:deploy1001.example".into()),
            ("from", texts(&["10.64.0.0/16"])),
            ("units", texts(&["kube-scheduler.service"])),
            ("may", texts(&["restart", "start"])),
            ("until", Value::Time("2027-01-01T00:00:00Z".to_owned())),
        ]),
    ])
}

pub(super) fn deny(table: &mut Table<'_>) -> BTreeSet<Fingerprint> {
    let fingerprints = table
        .key("fingerprints", ListOf(FINGERPRINT))
        .says(
            "SHA-256 fingerprints of certificates that nobody may use any more, as openssl x509 -noout -fingerprint -sha256 \
             prints them. The same name with another certificate stays as it is.",
        )
        .example([EXAMPLE_FINGERPRINT])
        .or([]);
    fingerprints.into_iter().collect()
}

const EXAMPLE_FINGERPRINT: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// What a file that is not in use as a whole says about callers.
#[derive(Debug)]
pub(crate) struct InPart {
    /// The entries of each role that can be read. `None` for a role of which the file tells nothing reliable.
    pub(crate) viewers: Option<AllowList>,
    pub(crate) operators: Option<AllowList>,
    pub(crate) denied: BTreeSet<Fingerprint>,
}

/// Reads the two tables of a file with mistakes, here or elsewhere, as far as they can be read.
pub(super) fn in_part(root: &mut Table<'_>) -> InPart {
    let (viewers, operators) = root.table("allow").read(|table| {
        let mut grants = |key, role| {
            let given = table.key(key, Grants { role, lenient: true }).optional("");
            // A list that is missing from a table that is there is an empty one.
            let grants = if table.has(key) { given? } else { table.is_present().then(Vec::new)? };
            let mut list = AllowList::default();
            grants.into_iter().for_each(|grant| list.insert(grant, role));
            Some(list)
        };
        (grants("viewer", Role::Viewer), grants("operator", Role::Operator))
    });
    InPart { viewers, operators, denied: root.table("deny").read(deny) }
}
