//! `usher staging`: which of two clusters is the active one, and making the other one so.

mod switch;

use serde::Serialize;
use usher_common::chain;
use usher_core::staging::{Direction, End, Position, Said, Staging, position};

use super::choose::{self, not_chosen};
use crate::{
    cli::{Global, StagingCommand},
    exit::Exit,
    output,
    problem::Problem,
    show::{self, Kind},
    site::{Choice, ChosenBy, Site, choose},
    site_file::{self, Sites},
    switch::said_both_ways,
};

pub(super) async fn run(global: &Global, command: StagingCommand) -> Result<Exit, Problem> {
    let pair = Pair::read(global)?;
    match command {
        StagingCommand::Status => status(global, &pair).await,
        StagingCommand::Switch(arguments) => switch::switch(global, &pair, &arguments).await,
    }
}

/// The two clusters and how the active one is switched.
pub(super) struct Pair {
    staging: Staging,
    /// The sites in the order of the file.
    sites: [Site; 2],
}

impl Pair {
    fn read(global: &Global) -> Result<Self, Problem> {
        Self::of(choose::sites(global)?)
    }

    /// The pair that these sites' folder describes.
    pub(super) fn of(sites: Sites) -> Result<Self, Problem> {
        let Some(path) = sites.staging_file() else {
            let folder = sites.folder.as_ref().map(|folder| folder.display().to_string());
            let folder = folder.unwrap_or_else(|| "/etc/usher/clusters.d".to_owned());
            return Err(Problem::usage("no file says how the active staging cluster is switched")
                .hint(format!("write one as docs/staging.md has it: {folder}/_staging.toml")));
        };
        let staging = site_file::load_staging(&path)?;
        let known = sites.known();
        let index = |name: &String| match choose(Some((name, ChosenBy::Argument)), &known, &[]) {
            Ok(Choice::Site { at, .. }) => Ok(at),
            Ok(_) => Err(Problem::usage(format!("{}: clusters: there is no site {name:?}", path.display()))),
            Err(error) => {
                let unknown = not_chosen(error);
                Err(Problem { message: format!("{}: clusters: there is no site {name:?}", path.display()), ..unknown })
            }
        };
        let (one, other) = (index(&staging.clusters[0])?, index(&staging.clusters[1])?);
        if one == other {
            return Err(Problem::usage(format!("{}: clusters: both names are of one site", path.display())));
        }
        let (mut first, mut second) = (None, None);
        for (at, entry) in sites.entries.into_iter().enumerate() {
            if at == one {
                first = Some(entry.read?.value);
            } else if at == other {
                second = Some(entry.read?.value);
            }
        }
        match (first, second) {
            (Some(first), Some(second)) => Ok(Self { staging, sites: [first, second] }),
            _ => Err(Problem::usage("the two sites cannot be told apart")),
        }
    }

    /// The end at this place of the file.
    fn end(&self, at: usize) -> End {
        let site = &self.sites[at];
        End {
            name: site.name.clone().unwrap_or_else(|| self.staging.clusters[at].clone()),
            data_centre: site.data_centre.clone(),
        }
    }

    /// To the cluster at this place, from the other one.
    fn to(&self, at: usize, reason: &str) -> Direction {
        Direction { from: self.end(1 - at), to: self.end(at), reason: reason.to_owned() }
    }
}

/// Where the switch stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StagingStatus {
    clusters: [String; 2],
    /// The active one; None if none is for certain.
    active: Option<String>,
    position: Position,
    steps: Vec<StepStatus>,
}

/// One step for both clusters, in their order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StepStatus {
    name: String,
    /// What is true once it is done for the cluster, for each.
    says: [String; 2],
    done: [Said; 2],
}

impl StagingStatus {
    async fn read(pair: &Pair) -> Self {
        let directions = [pair.to(0, ""), pair.to(1, "")];
        let [first, second] = said_both_ways(&pair.staging, &directions[0]).await;
        let position = position([&first, &second]);
        let steps =
            pair.staging.steps.iter().zip(first.into_iter().zip(second)).map(|(step, (first, second))| StepStatus {
                name: step.name.clone(),
                says: [directions[0].fill(&step.says), directions[1].fill(&step.says)],
                done: [first, second],
            });
        let steps = steps.collect();
        let clusters = [pair.end(0).name, pair.end(1).name];
        let active = match position {
            Position::Active { at } => Some(clusters[at].clone()),
            Position::Between | Position::Unclear => None,
        };
        Self { clusters, active, position, steps }
    }

    fn headline(&self) -> String {
        let [one, other] = &self.clusters;
        match (&self.active, self.position) {
            (Some(active), _) => format!("{active} is the active staging cluster"),
            (None, Position::Between) => format!("between {one} and {other}: a switch was cut off, or begun by hand"),
            (None, _) => format!("which of {one} and {other} is the active one is not clear"),
        }
    }

    fn to_text(&self) -> String {
        let said = |said: &Said| match said {
            Said::Done => "done".to_owned(),
            Said::NotDone => "-".to_owned(),
            Said::Unknown { .. } => "?".to_owned(),
        };
        let rows = self.steps.iter().map(|step| vec![step.name.clone(), said(&step.done[0]), said(&step.done[1])]);
        let header = ["STEP".to_owned(), format!("FOR {}", self.clusters[0]), format!("FOR {}", self.clusters[1])];
        let header: Vec<_> = header.iter().map(String::as_str).collect();
        let mut lines = vec![self.headline(), String::new(), output::table(&header, rows)];
        lines.extend(self.unknown());
        lines.join("\n")
    }

    /// What the checks said that gave no answer.
    fn unknown(&self) -> impl Iterator<Item = String> {
        self.steps.iter().flat_map(|step| {
            step.done.iter().filter_map(|said| match said {
                Said::Unknown { how } => Some(format!("{}: {how}", step.name)),
                Said::Done | Said::NotDone => None,
            })
        })
    }
}

async fn status(global: &Global, pair: &Pair) -> Result<Exit, Problem> {
    let status = StagingStatus::read(pair).await;
    show::show(Kind::StagingStatus, &status, global.output, || status.to_text())?;
    let names = status.clusters.join(" or ");
    match status.position {
        Position::Active { .. } => Ok(Exit::Done),
        Position::Between => Err(Problem::failed(status.headline())
            .hint(format!("to go on, or back: usher staging switch NAME -r REASON, with {names}"))),
        Position::Unclear => {
            Err(Problem::failed(status.headline()).hint("mend the checks, or the steps that are done for both"))
        }
    }
}

/// What the staging file says in one line, if these sites have one; or everything that is wrong with it, a line each.
pub(super) fn checked(global: &Global) -> Result<Option<String>, Vec<String>> {
    let read = choose::sites(global).and_then(|sites| match sites.staging_file() {
        Some(path) => Pair::of(sites).map(|pair| Some((path, pair))),
        None => Ok(None),
    });
    let read = read.map_err(|problem| chain(&problem).lines().map(str::to_owned).collect::<Vec<_>>())?;
    Ok(read.map(|(path, pair)| {
        let steps: Vec<_> = pair.staging.steps.iter().map(|step| step.name.as_str()).collect();
        format!("{}: {}, by {}", path.display(), pair.staging.clusters.join(" or "), steps.join(", "))
    }))
}
