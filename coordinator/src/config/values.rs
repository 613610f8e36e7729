//! Single values of the cluster file: TOML in, checked value out, or what is wrong with it.

use std::time::Duration;

use http::Uri;
use toml::de::DeValue;

use crate::drain::PodSelector;

use super::nearest::nearest;

/// What stands in for a machine's name.
pub(super) const NODE: &str = "node";
/// What stands in for a machine's host, as its agent's address has it.
pub(super) const ADDRESS: &str = "address";

/// Longest name of a machine: that of a Kubernetes Node (a DNS subdomain, RFC 1123).
const NAME_LIMIT: usize = 253;

/// The kinds of systemd units that can be restarted and have an InvocationID.
const UNIT_SUFFIXES: [&str; 4] = [".service", ".socket", ".target", ".timer"];

/// Says that a value has the wrong type.
pub(super) fn expected(what: &str, found: &DeValue<'_>) -> String {
    let kind = found.type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("expected {what}, found {article} {kind}")
}

/// A string that is not empty.
pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if text.trim().is_empty() => Err("must not be empty".into()),
        DeValue::String(text) => Ok(text.to_string()),
        other => Err(expected("a string", other)),
    }
}

pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| expected("true or false", value))
}

/// A duration in words, zero allowed: `10s`, `1m 30s`.
pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, String> {
    match value {
        DeValue::String(text) => {
            humantime::parse_duration(text).map_err(|_| format!("\"{text}\" is no duration (examples: 10s, 5m)"))
        }
        DeValue::Integer(number) => Err(format!(
            "{} is no duration: a string with a unit is wanted (examples: \"10s\", \"5m\")",
            number.as_str()
        )),
        other => Err(expected("a duration as a string (examples: \"10s\", \"5m\")", other)),
    }
}

/// A duration that limits something: zero would forbid it.
pub(super) fn limit(value: &DeValue<'_>) -> Result<Duration, String> {
    match duration(value)? {
        Duration::ZERO => Err("a time limit must be longer than 0s".into()),
        limit => Ok(limit),
    }
}

pub(super) fn port(value: &DeValue<'_>) -> Result<u16, String> {
    let DeValue::Integer(number) = value else { return Err(expected("a port number", value)) };
    match u16::from_str_radix(number.as_str(), number.radix()) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("{} is no port (1 to 65535)", number.as_str())),
    }
}

/// A list of strings.
pub(super) fn list(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let DeValue::Array(items) = value else { return Err(expected("a list of strings", value)) };
    let mut list = Vec::new();
    for (number, item) in items.iter().enumerate() {
        list.push(text(item.get_ref()).map_err(|wrong| format!("item {}: {wrong}", number + 1))?);
    }
    Ok(list)
}

/// Label selectors, as kubectl writes them.
pub(super) fn selectors(value: &DeValue<'_>) -> Result<Vec<PodSelector>, String> {
    list(value)?.iter().map(|text| text.parse()).collect()
}

/// The names of machines, each once.
pub(super) fn machines(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let names = list(value)?;
    for (number, name) in names.iter().enumerate() {
        machine(name)?;
        if names[..number].contains(name) {
            return Err(format!("\"{name}\" is listed twice"));
        }
    }
    Ok(names)
}

/// Checks a machine's name: that of its Node in Kubernetes if it is one.
pub(super) fn machine(name: &str) -> Result<(), String> {
    let good_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if name.len() <= NAME_LIMIT && name.split('.').all(good_label) {
        Ok(())
    } else {
        Err(format!("\"{name}\" is no machine's name (lower-case letters, digits, '-' and '.', as in \"cp1.example\")"))
    }
}

/// A systemd unit with its suffix.
pub(super) fn unit(value: &DeValue<'_>) -> Result<String, String> {
    let name = text(value)?;
    let good_byte = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let stem = UNIT_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
    match stem {
        Some(stem) if !stem.is_empty() && stem.bytes().all(good_byte) => Ok(name),
        None if name.bytes().all(good_byte) => {
            Err(format!("\"{name}\" has no suffix of a unit; did you mean \"{name}.service\"?"))
        }
        _ => Err(format!("\"{name}\" is no name of a systemd unit")),
    }
}

/// `NAMESPACE/NAME` of a Lease.
pub(super) fn lease(value: &DeValue<'_>) -> Result<(String, String), String> {
    let lease = text(value)?;
    match lease.split_once('/') {
        Some((namespace, name)) if !namespace.contains('.') && machine(namespace).is_ok() && machine(name).is_ok() => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err(format!("\"{lease}\" is no NAMESPACE/NAME of a Lease (example: kube-system/kube-scheduler)")),
    }
}

/// `HOST:PORT`, with IPv6 addresses in brackets.
pub(super) fn host_and_port(value: &DeValue<'_>) -> Result<String, String> {
    let address = text(value)?;
    check_host_and_port(&address)?;
    Ok(address)
}

/// `HOST:PORT` with `{node}` in it.
pub(super) fn address_template(value: &DeValue<'_>) -> Result<String, String> {
    let template = node_template(value)?;
    check_host_and_port(&filled(&template)).map_err(|_| format!("\"{template}\" is no HOST:PORT"))?;
    Ok(template)
}

/// The name in a certificate, with `{node}` in it: what every agent's certificate carries names no node.
pub(super) fn node_template(value: &DeValue<'_>) -> Result<String, String> {
    let template = text(value)?;
    placeholders(&template, &[NODE])?;
    if template.contains("{node}") {
        Ok(template)
    } else {
        Err(format!("\"{template}\" has no {{node}} in it, so that it is the same for all machines"))
    }
}

/// `https://HOST[:PORT]`, in which the placeholders in `allowed` may stand for the host.
pub(super) fn url(value: &DeValue<'_>, allowed: &[&str]) -> Result<String, String> {
    let url = text(value)?;
    placeholders(&url, allowed)?;
    let example = if allowed.is_empty() { "https://k8s.example:6443" } else { "https://{address}:6443" };
    let wrong = |why: &str| format!("\"{url}\" {why} (example: {example})");
    let uri: Uri = filled(&url).parse().map_err(|_| wrong("is no URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(wrong("does not begin with https://"));
    }
    if uri.path() != "/" || uri.query().is_some() || url.ends_with('/') {
        return Err(wrong("has a path: only scheme, host and port are wanted"));
    }
    Ok(url)
}

/// A command as a list of arguments, in which `{node}` and `{address}` may stand.
pub(super) fn command(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    if let DeValue::String(line) = value {
        let words: Vec<_> = line.split_whitespace().map(|word| format!("\"{word}\"")).collect();
        return Err(format!("a list of arguments is wanted, as no shell is run: [{}]", words.join(", ")));
    }
    let command = list(value)?;
    if command.is_empty() {
        return Err("an empty list is no command".into());
    }
    for argument in &command {
        placeholders(argument, &[NODE, ADDRESS])?;
    }
    Ok(command)
}

/// Checks that every `{word}` in the text is one that will be filled in.
fn placeholders(text: &str, allowed: &[&str]) -> Result<(), String> {
    for piece in text.split('{').skip(1) {
        let Some((word, _)) = piece.split_once('}') else { continue };
        let looks_like_one = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if looks_like_one && !allowed.contains(&word) {
            let advice = match (nearest(word, allowed.iter().copied()), allowed) {
                (Some(meant), _) => format!("did you mean {{{meant}}}?"),
                (None, []) => "nothing is filled in here".into(),
                (None, _) => {
                    let known: Vec<_> = allowed.iter().map(|word| format!("{{{word}}}")).collect();
                    format!("known here: {}", known.join(", "))
                }
            };
            return Err(format!("\"{text}\" has an unknown placeholder {{{word}}}; {advice}"));
        }
    }
    Ok(())
}

/// The template as it may look for some machine.
fn filled(template: &str) -> String {
    template.replace("{node}", "node").replace("{address}", "192.0.2.1")
}

fn check_host_and_port(address: &str) -> Result<(), String> {
    let wrong = || format!("\"{address}\" is no HOST:PORT (examples: 10.0.0.1:7470, [fd00::1]:7470)");
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good_host = match bracketed {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    let good_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    if good_host && good_port { Ok(()) } else { Err(wrong()) }
}
