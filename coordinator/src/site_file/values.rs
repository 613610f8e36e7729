//! Kinds of values that only the cluster file has.

use std::path::{Path, PathBuf};

use http::Uri;
use toml::{Spanned, de::DeValue};
use usher_common::{
    config_file::{Scalar, Shape, Value, expected, nearest, text},
    unit::{self, BadName},
};
use usher_core::staging::{Direction, Look};

use crate::drain::PodSelector;

/// What stands in for a machine's name.
const NODE: &str = "node";
/// What stands in for a machine's host, as its agent's address has it.
const ADDRESS: &str = "address";

/// Longest name of a machine: that of a Kubernetes Node (a DNS subdomain, RFC 1123).
const NAME_LIMIT: usize = 253;

/// The name of a machine.
pub(super) const MACHINE: Scalar<String> = Scalar::text("machine name", |value, _| {
    let name = text(value)?;
    machine(&name).map(|()| name)
});

/// A label selector, as kubectl writes them.
pub(super) const SELECTOR: Scalar<PodSelector> = Scalar {
    name: "label selector",
    shape: Shape::Text,
    read: |value, _| text(value)?.parse(),
    write: |selector| Value::Text(selector.to_string()),
};

/// A systemd unit with its suffix.
pub(super) const UNIT: Scalar<String> = Scalar::text("systemd unit", |value, _| {
    let name = text(value)?;
    match unit::check_name(&name) {
        Ok(()) => Ok(name),
        Err(BadName::NoSuffix) => Err(format!("\"{name}\" has no suffix of a unit; did you mean \"{name}.service\"?")),
        Err(BadName::Template) => {
            Err(format!("\"{name}\" is a template; name an instance of it, such as \"{}\"", name.replace('@', "@1")))
        }
        Err(BadName::Malformed) => Err(format!("\"{name}\" is no name of a systemd unit")),
    }
});

/// `NAMESPACE/NAME` of a Lease.
pub(super) const LEASE: Scalar<(String, String)> = Scalar {
    name: "NAMESPACE/NAME",
    shape: Shape::Text,
    read: |value, _| lease(value),
    write: |(namespace, name)| Value::Text(format!("{namespace}/{name}")),
};

/// `HOST:PORT`, with IPv6 addresses in brackets.
pub(super) const HOST_AND_PORT: Scalar<String> = Scalar::text("HOST:PORT", |value, _| {
    let address = text(value)?;
    check_host_and_port(&address).map(|()| address)
});

/// `HOST:PORT` with `{node}` in it.
pub(super) const ADDRESS_TEMPLATE: Scalar<String> = Scalar::text("HOST:PORT", |value, _| {
    let template = node_template(value)?;
    check_host_and_port(&filled(&template)).map_err(|_| format!("\"{template}\" is no HOST:PORT"))?;
    Ok(template)
});

/// The name in a certificate, with `{node}` in it: what every agent's certificate carries names no node.
pub(super) const NODE_TEMPLATE: Scalar<String> = Scalar::text("DNS name", |value, _| node_template(value));

/// `https://HOST[:PORT]` of the one balancer.
pub(super) const BALANCER_URL: Scalar<String> = Scalar::text("URL", |value, _| url(value, &[]));

/// `https://HOST[:PORT]`, in which placeholders stand for the host.
pub(super) const APISERVER_URL: Scalar<String> = Scalar::text("URL", |value, _| url(value, &[ADDRESS, NODE]));

/// A command as a list of arguments, in which `{node}` and `{address}` may stand.
pub(super) const COMMAND: Scalar<Vec<String>> = Scalar {
    name: "list of arguments",
    shape: Shape::Texts,
    read: |value, _| command(value, &[NODE, ADDRESS]),
    write: |command| Value::List(command.iter().map(|argument| argument.as_str().into()).collect()),
};

/// A command of a switch between two clusters.
pub(super) const SWITCH_COMMAND: Scalar<Vec<String>> =
    Scalar { read: |value, _| command(value, &Direction::PLACEHOLDERS), ..COMMAND };

/// What is true after a step of a switch.
pub(super) const SWITCH_TEXT: Scalar<String> =
    Scalar::text("string", |value, _| template(value, &Direction::PLACEHOLDERS));

/// What follows a program's name; nothing is filled in.
pub(super) const ARGUMENTS: Scalar<Vec<String>> = Scalar { read: |value, _| command(value, &[]), ..COMMAND };

/// A program: a name that `PATH` leads to, or a path; a relative one begins at the file's folder.
pub(super) const PROGRAM: Scalar<String> = Scalar::text("program", |value, folder| {
    let program = text(value)?;
    Ok(if program.contains('/') { folder.join(program).display().to_string() } else { program })
});

/// A path in which the cluster and a service may stand; a relative one begins at the file's folder.
pub(super) const SERVICE_FOLDER: Scalar<PathBuf> =
    Scalar { read: |value, folder| path_template(value, folder, &["cluster", "service"]), ..KUBECONFIG_TEMPLATE };

/// A file that node-exporter's textfile collector reads, in which the cluster may stand.
pub(super) const TEXTFILE: Scalar<PathBuf> =
    Scalar { read: |value, folder| textfile(value, folder), ..KUBECONFIG_TEMPLATE };

/// A look that is taken before a switch.
pub(super) const LOOK: Scalar<Look> = Scalar {
    name: "look",
    shape: Shape::Text,
    read: |value, _| {
        let word = text(value)?;
        let words = Look::ALL.map(Look::word);
        Look::of(&word).ok_or_else(|| match nearest(&word, words) {
            Some(meant) => format!("\"{word}\" is no look; did you mean \"{meant}\"?"),
            None => format!("\"{word}\" is no look (known here: {})", words.join(", ")),
        })
    },
    write: |look| Value::Text(look.word().to_owned()),
};

/// A path in which the cluster and the user may stand; a relative one begins at the file's folder.
pub(super) const KUBECONFIG_TEMPLATE: Scalar<PathBuf> = Scalar {
    name: "path",
    shape: Shape::Text,
    read: |value, folder| path_template(value, folder, &["cluster", "user"]),
    write: |path| Value::Text(path.display().to_string()),
};

/// A context in which the same may stand.
pub(super) const CONTEXT_TEMPLATE: Scalar<String> =
    Scalar::text("string", |value, _| template(value, &["cluster", "user"]));

/// What fills in the user.
pub(super) const USER: Scalar<String> = Scalar::text("string", |value, _| template(value, &[]));

/// The same, depending on a service.
pub(super) const USER_TEMPLATE: Scalar<String> = Scalar::text("string", |value, _| template(value, &["service"]));

/// The value of a shell's variable.
pub(super) const VARIABLE_TEMPLATE: Scalar<String> = Scalar::text("string", |value, _| {
    template(value, &["cluster", "user", "service", "context", "realm", "data_centre"])
});

/// The name of a site, as it is typed: one word, which no shell takes apart and which is no flag.
pub(super) const SITE_NAME: Scalar<String> = Scalar::text("string", |value, _| {
    let name = text(value)?;
    let good = |char: char| char.is_alphanumeric() || "-_.:@/".contains(char);
    match name.starts_with('-') || !name.chars().all(good) {
        true => Err(format!("\"{name}\" is no name of a site (letters, digits and \"-_.:@/\")")),
        false => Ok(name),
    }
});

/// Checks the name of a shell's variable.
pub(super) fn variable(name: &str) -> Result<(), String> {
    let good =
        |(at, byte): (usize, u8)| byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit());
    match name.bytes().enumerate().all(good) {
        true => Ok(()),
        false => Err(format!("\"{name}\" is no name of a shell's variable (letters, digits and '_')")),
    }
}

fn textfile(value: &DeValue<'_>, folder: &Path) -> Result<PathBuf, String> {
    let path = path_template(value, folder, &["cluster"])?;
    match path.extension().is_some_and(|extension| extension == "prom") {
        true => Ok(path),
        false => Err(format!("\"{}\" does not end in .prom, and node-exporter reads no other files", path.display())),
    }
}

fn path_template(value: &DeValue<'_>, folder: &Path, allowed: &[&str]) -> Result<PathBuf, String> {
    template(value, allowed).map(|path| folder.join(path))
}

fn template(value: &DeValue<'_>, allowed: &[&str]) -> Result<String, String> {
    let template = text(value)?;
    placeholders(&template, allowed).map(|()| template)
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

fn lease(value: &DeValue<'_>) -> Result<(String, String), String> {
    let lease = text(value)?;
    match lease.split_once('/') {
        Some((namespace, name)) if !namespace.contains('.') && machine(namespace).is_ok() && machine(name).is_ok() => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err(format!("\"{lease}\" is no NAMESPACE/NAME of a Lease (example: kube-system/kube-scheduler)")),
    }
}

fn node_template(value: &DeValue<'_>) -> Result<String, String> {
    let template = text(value)?;
    placeholders(&template, &[NODE])?;
    if template.contains("{node}") {
        Ok(template)
    } else {
        Err(format!("\"{template}\" has no {{node}} in it, so that it is the same for all machines"))
    }
}

/// `https://HOST[:PORT]`, in which the placeholders in `allowed` may stand for the host.
fn url(value: &DeValue<'_>, allowed: &[&str]) -> Result<String, String> {
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

fn command(value: &DeValue<'_>, allowed: &[&str]) -> Result<Vec<String>, String> {
    if let DeValue::String(line) = value {
        let words: Vec<_> = line.split_whitespace().map(|word| format!("\"{word}\"")).collect();
        return Err(format!("a list of arguments is wanted, as no shell is run: [{}]", words.join(", ")));
    }
    let DeValue::Array(items) = value else { return Err(expected("a list of strings", value)) };
    if items.is_empty() {
        return Err("an empty list is no command".into());
    }
    let argument = |(number, item): (usize, &Spanned<DeValue<'_>>)| {
        let argument = text(item.get_ref()).map_err(|wrong| format!("item {}: {wrong}", number + 1))?;
        placeholders(&argument, allowed).map(|()| argument)
    };
    items.iter().enumerate().map(argument).collect()
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
