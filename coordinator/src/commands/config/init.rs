//! `usher config init`: a first cluster file, by looking at the cluster and asking for what cannot be seen.

mod ask;
mod look;

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;
use serde::Serialize;
use usher_common::clock;

use crate::{
    cli::{ConfigInit, Global},
    cluster::{Cluster, Destination},
    commands::choose,
    exit::Exit,
    output,
    problem::Problem,
    show::{self, Kind},
    site::Site,
    site_file::{self, Place},
};

/// What `usher config init -o json` prints.
#[derive(Serialize)]
struct Written<'a> {
    /// None if it was printed only.
    path: Option<&'a Path>,
    text: &'a str,
}

pub(super) async fn init(global: &Global, arguments: &ConfigInit) -> Result<Exit, Problem> {
    let path = if arguments.print { None } else { Some(place(global)?) };
    if let Some(path) = path.as_ref().filter(|path| path.exists() && !arguments.force) {
        return Err(exists(path));
    }
    let access = choose::access(global, &Site::default())?;
    let found = Destination::describe(&access)?;
    let cluster = Cluster::connect(None, &access).await?.with_notices(output::progress).with_credentials().await;
    output::progress(&format!("looking at {}", cluster.server()));
    let kubeconfig = global.kubeconfig.as_ref().map(|path| path.display().to_string());
    let mut seen = look::cluster(&cluster, found, kubeconfig).await?;
    look::listening(&mut seen).await;
    let can_ask = !arguments.yes && std::io::stdin().is_terminal();
    let answers =
        ask::answers(&seen, arguments.name.as_deref(), &mut |prompt| can_ask.then(|| output::ask(prompt)).flatten());
    look::units(&mut seen, &answers).await;
    let today = clock::now().to_zoned(TimeZone::UTC).date().to_string();
    let text = answers.file(&seen, &today);
    let read_as = path.clone().unwrap_or_else(|| PathBuf::from("cluster.toml"));
    // What was answered may be no name or no path: better said now than by the next command.
    site_file::parse(&text, &read_as)?;
    if let Some(path) = &path {
        site_file::create(path, &text, arguments.force)
            .map_err(|error| Problem::failed(format!("cannot write {}: {error}", path.display())))?;
    }
    let written = Written { path: path.as_deref(), text: &text };
    show::show(Kind::ConfigInit, &written, global.output, || match &path {
        None => text.clone(),
        Some(path) => next_steps(path),
    })?;
    Ok(Exit::Done)
}

fn next_steps(path: &Path) -> String {
    [
        format!("{} is written: read it once, each key says where it comes from", path.display()),
        "  is all there?           usher doctor".to_owned(),
        "  what would a roll do?   usher restart kube-scheduler --dry-run".to_owned(),
    ]
    .join("\n")
}

/// Where the file is to be: where a flag or variable says, else where usher looks first.
fn place(global: &Global) -> Result<PathBuf, Problem> {
    if let Place::Named(path) = Place::locate(global.cluster_file.as_deref()) {
        return match path.is_dir() {
            true => Err(Problem::usage(format!("{} is a folder of several clusters", path.display()))
                .hint(format!("name the file: --cluster-file {}/NAME.toml", path.display()))),
            false => Ok(path),
        };
    }
    let nowhere =
        || Problem::usage("this user has no home, so nobody says where the file is to be").hint("--cluster-file PATH");
    site_file::first_place(nix::unistd::geteuid().is_root()).ok_or_else(nowhere)
}

fn exists(path: &Path) -> Problem {
    Problem::refused(format!("{} is there already", path.display()))
        .hint("to see what would be written: usher config init --print")
        .hint("to replace it: --force")
}
