//! `usher certificates`: a small authority for sites that have none.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use usher_common::clock;

use crate::{
    certificates::{Authority, Folder, Issued, Subject, Written},
    cli::{AuthorityOf, CertificatesCommand, CertificatesInit, Global, Issue, Renew},
    exit::Exit,
    problem::Problem,
    show::{self, Kind},
    site_file, text,
};

pub(super) fn run(global: &Global, command: CertificatesCommand) -> Result<Exit, Problem> {
    match command {
        CertificatesCommand::Init(arguments) => init(global, &arguments),
        CertificatesCommand::Issue(arguments) => issue(global, arguments),
        CertificatesCommand::Renew(arguments) => renew(global, &arguments),
    }
}

/// A certificate that was made, and what to do with it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    name: String,
    certificate: PathBuf,
    key: PathBuf,
    not_after: Timestamp,
    /// What to do next: commands and lines for configuration files.
    next: Vec<String>,
}

impl Made {
    fn of(name: &str, Written { certificate, key }: Written, issued: &Issued, next: Vec<String>) -> Self {
        Self { name: name.to_owned(), certificate, key, not_after: issued.not_after, next }
    }

    fn to_text(&self) -> String {
        let until = self.not_after.strftime("%Y-%m-%d");
        let first = format!("{}: {}, valid until {until}", self.certificate.display(), self.name);
        std::iter::once(first).chain(self.next.iter().map(|line| format!("  {line}"))).collect::<Vec<_>>().join("\n")
    }
}

fn show(global: &Global, made: &[Made]) -> Result<Exit, Problem> {
    let text = || made.iter().map(Made::to_text).collect::<Vec<_>>().join("\n");
    show::list(Kind::CertificateList, made, global.output, text)?;
    Ok(Exit::Done)
}

fn folder(of: &AuthorityOf) -> Result<Folder, Problem> {
    let named = of.folder.clone().or_else(site_file::pki_folder);
    let nowhere =
        || Problem::usage("nobody says where the authority is, and this user has no home").hint("--folder FOLDER");
    named.map(Folder::at).ok_or_else(nowhere)
}

fn init(global: &Global, arguments: &CertificatesInit) -> Result<Exit, Problem> {
    let folder = folder(&arguments.authority)?;
    // The name is checked as that of a caller: it stands in the same place.
    let subject = Subject::caller(&arguments.name)?;
    let issued = Authority::create(subject.name(), clock::now())?;
    let files = folder.authority();
    folder.write(&files, &issued, arguments.force)?;
    let key = files.key.display().to_string();
    let next = vec![
        format!("keep {key} to yourself: it lets its reader call every agent"),
        "for each machine:     usher certificates issue agent NODE --address ADDRESS".to_owned(),
        "for each operator:    usher certificates issue operator NAME".to_owned(),
    ];
    show(global, &[Made::of(subject.name(), files, &issued, next)])
}

fn issue(global: &Global, arguments: Issue) -> Result<Exit, Problem> {
    let (subject, how, role) = match arguments {
        Issue::Agent { node, address, how } => (Subject::agent(&node, &address)?, how, None),
        Issue::Operator { name, how } => (Subject::caller(&name)?, how, Some("operator")),
        Issue::Viewer { name, how } => (Subject::caller(&name)?, how, Some("viewer")),
    };
    let folder = folder(&how.authority)?;
    let issued = folder.read()?.issue(&subject, how.valid_for, clock::now())?;
    let files = folder.files(&subject);
    folder.write(&files, &issued, how.force)?;
    let ca = folder.authority().certificate;
    let next = match role {
        None => for_agent(subject.name(), &files, &ca),
        Some(role) => for_caller(subject.name(), role, &files, &ca),
    };
    show(global, &[Made::of(subject.name(), files, &issued, next)])
}

/// How an agent gets its certificate. systemd hands the key to the agent, so it may stay root's.
fn for_agent(node: &str, files: &Written, ca: &Path) -> Vec<String> {
    let copy = |from: &Path, to: &str| format!("scp {} {node}:/etc/usher/{to}", word(from));
    vec![
        copy(&files.certificate, "agent.pem"),
        copy(&files.key, "agent-key.pem"),
        copy(ca, "ca.pem"),
        format!("ssh {node} 'chown usher-agent: /etc/usher/agent-key.pem && systemctl restart usher-agent'"),
    ]
}

/// What the agents' lists and the cluster file say of a caller.
fn for_caller(name: &str, role: &str, files: &Written, ca: &Path) -> Vec<String> {
    vec![
        "in /etc/usher/agent.toml of each machine, read again by itself:".to_owned(),
        "  [allow]".to_owned(),
        format!("  {role} = [\"CN={name}\"]"),
        "in the cluster file:".to_owned(),
        "  [agents]".to_owned(),
        format!("  certificate = {:?}", files.certificate.display().to_string()),
        format!("  key = {:?}", files.key.display().to_string()),
        format!("  ca = {:?}", ca.display().to_string()),
    ]
}

fn renew(global: &Global, arguments: &Renew) -> Result<Exit, Problem> {
    let folder = folder(&arguments.authority)?;
    let authority = folder.read()?;
    // All are read before the first is replaced.
    let mut renewed = Vec::new();
    for path in arguments.files.iter().filter(|path| !is_key(path)) {
        let issued =
            authority.renew(&Folder::text(path)?, &path.display().to_string(), arguments.valid_for, clock::now())?;
        renewed.push((path, issued));
    }
    let mut made = Vec::new();
    for (path, issued) in renewed {
        let key = path.with_file_name(format!("{}-key.pem", stem(path)));
        let files = Written { certificate: path.clone(), key };
        folder.write(&files, &issued, true)?;
        let next = vec!["the key is the same: only this file is to be copied again".to_owned()];
        made.push(Made::of(&stem(path), files, &issued, next));
    }
    show(global, &made)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// `agents/*.pem` means the keys too, which are not renewed.
fn is_key(path: &Path) -> bool {
    stem(path).ends_with("-key")
}

fn word(path: &Path) -> String {
    text::command(&[path.display().to_string()])
}
