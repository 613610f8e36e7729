//! The timeline: machine by step, and below it who led, which apiservers were ready, and which budgets kept pods.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::html::Html;
use crate::{
    story::{Since, Step, Story, Turn},
    text,
};

/// Distances between two ticks, in seconds. The first that leaves at most [`MOST_TICKS`] is taken.
const TICKS: [f64; 18] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0,
    43_200.0, 86_400.0,
];
const MOST_TICKS: f64 = 8.0;

/// Where a moment stands between the first event and the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    first: Timestamp,
    last: Timestamp,
}

impl Scale {
    pub(super) fn of(story: &Story) -> Option<Self> {
        story.span.map(|(first, last)| Self { first, last })
    }

    /// The time since the first event.
    pub(super) fn since_begin(self, at: Timestamp) -> Duration {
        between(self.first, at)
    }

    /// The time until the last event.
    pub(super) fn until_end(self, from: Timestamp) -> Duration {
        between(from, self.last)
    }

    /// From the first event to the last, in seconds; never zero.
    fn seconds(self) -> f64 {
        between(self.first, self.last).as_secs_f64().max(1.0)
    }

    fn percent(self, at: Timestamp) -> f64 {
        (self.since_begin(at).as_secs_f64() / self.seconds() * 100.0).min(100.0)
    }
}

/// From `from` to `to`; zero where the clock went back.
pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

pub(super) fn section(html: &mut Html, story: &Story, scale: Scale) {
    html.raw("<section id=\"timeline\"><h2>Timeline</h2>\n<ul class=\"legend\" aria-hidden=\"true\">");
    for (class, what) in LEGEND {
        html.raw("<li><span class=\"").raw(class).raw("\"></span>").raw(what).raw("</li>");
    }
    html.raw("</ul>\n<div class=\"chart\">");
    axis(html, scale);
    lanes(html, "Machines", story.turns.iter(), |html, (number, turn)| {
        let (mark, _) = state(turn);
        html.raw("<a class=\"label\" href=\"#turn-").number(*number as f64).raw("\">").raw(mark).raw(" ");
        html.text(&turn.subject()).raw("</a><div class=\"track\">");
        turn_bars(html, turn, scale);
    });
    lanes(html, "Leaders", story.leaders.iter(), |html, (component, changes)| {
        label(html, component);
        // One colour a machine, in the order of their first appearance, so that a change is seen from afar.
        let mut machines: Vec<&str> = Vec::new();
        each(changes, scale, |from, to, leader| {
            let Some(machine) = leader else {
                return bar(html, "bar bad", scale, (from, to), "nobody is seen to lead", "nobody");
            };
            let place = machines.iter().position(|known| known == machine).unwrap_or_else(|| {
                machines.push(machine);
                machines.len() - 1
            });
            bar(html, LEADS[place % LEADS.len()], scale, (from, to), &format!("{machine} leads"), machine);
        });
    });
    lanes(html, "Apiservers", story.apiservers.iter(), |html, (machine, changes)| {
        label(html, machine);
        each(changes, scale, |from, to, doubt| match doubt {
            None => bar(html, "bar good", scale, (from, to), "ready", "ready"),
            Some(why) => bar(html, "bar bad", scale, (from, to), why, why),
        });
    });
    let budgets = story.budgets.iter().filter(|(_, changes)| changes.iter().any(|change| !change.what.is_empty()));
    lanes(html, "Budgets that kept pods", budgets, |html, (budget, changes)| {
        label(html, budget);
        each(changes, scale, |from, to, turns: &BTreeMap<usize, usize>| {
            if turns.is_empty() {
                return;
            }
            let pods = text::count(turns.values().sum(), "pod");
            let machines: Vec<_> =
                turns.keys().filter_map(|turn| story.turns.get(turn)).map(|turn| turn.machine.as_str()).collect();
            let says = format!("{pods} of {} waited", text::few(&machines));
            bar(html, "bar waits", scale, (from, to), &says, &pods);
        });
    });
    html.raw("</div></section>\n");
}

/// Classes of bars, and what they are of.
const LEGEND: [(&str, &str); 7] = [
    ("prepare", "prepares"),
    ("drain", "drains"),
    ("act", "restarts, reboots, moves"),
    ("prove", "waits for proof"),
    ("return", "gives back"),
    ("gap", "pauses"),
    ("bad", "failed, not ready"),
];

const LEADS: [&str; 3] = ["bar lead-a", "bar lead-b", "bar lead-c"];

/// The class of a step's bar, by its word. A step of another version has its own.
fn class(word: &str) -> &'static str {
    match word {
        "preflight" | "cordon" | "cordoned" | "depool" => "bar prepare",
        "drain" => "bar drain",
        "restart" | "reboot" | "hand over" | "start" | "rebalance" => "bar act",
        "units" | "etcd" | "leaders" | "ready" => "bar prove",
        "pool" | "uncordon" => "bar return",
        "gap" => "bar gap",
        _ => "bar other",
    }
}

/// How a turn ended, as a mark and in words.
pub(super) fn state(turn: &Turn) -> (&'static str, &'static str) {
    match turn.ended {
        Some(end) if end.done => ("✓", "done"),
        Some(_) => ("✗", "stopped"),
        None => ("…", "under way when the events end"),
    }
}

fn axis(html: &mut Html, scale: Scale) {
    let seconds = scale.seconds();
    let step = TICKS.into_iter().find(|step| seconds / step <= MOST_TICKS).unwrap_or(seconds / MOST_TICKS);
    html.raw("<div class=\"row axis\"><span class=\"label\">");
    html.text(&scale.first.strftime("%H:%M:%S").to_string())
        .raw(" UTC</span><div class=\"track\" aria-hidden=\"true\">");
    let mut at = step;
    while at < seconds {
        html.raw("<span class=\"tick\" style=\"left:").number(at / seconds * 100.0).raw("%\">+");
        html.text(&round(at)).raw("</span>");
        at += step;
    }
    html.raw("</div></div>\n");
}

/// The time of a tick: `30s`, `5m`, `1h30m`.
fn round(seconds: f64) -> String {
    humantime::format_duration(Duration::from_secs(seconds.round() as u64)).to_string().replace(' ', "")
}

/// Rows below a heading, if there are any. `row` writes a label and opens the track.
fn lanes<T>(html: &mut Html, heading: &'static str, lanes: impl Iterator<Item = T>, mut row: impl FnMut(&mut Html, T)) {
    let mut lanes = lanes.peekable();
    if lanes.peek().is_none() {
        return;
    }
    html.raw("<h3>").raw(heading).raw("</h3>\n");
    for lane in lanes {
        html.raw("<div class=\"row\">");
        row(html, lane);
        html.raw("</div></div>\n");
    }
}

fn label(html: &mut Html, name: &str) {
    html.leaf("<span class=\"label\">", name, "</span><div class=\"track\">");
}

fn turn_bars(html: &mut Html, turn: &Turn, scale: Scale) {
    for step in &turn.steps {
        let to = step.ended.or(turn.ended.map(|end| end.at)).unwrap_or(scale.last);
        let (class, label) = match (&step.failure, step.ended) {
            (Some(_), _) => ("bar bad", format!("✗ {}", step.word)),
            (None, Some(_)) => (class(&step.word), step.word.clone()),
            (None, None) => (class(&step.word), format!("{} …", step.word)),
        };
        bar(html, class, scale, (step.began, to), &tooltip(step, to), &label);
    }
    let failed = turn.failed_step().and_then(|step| step.ended);
    if let (Some(failed), Some(end), false) = (failed, turn.ended, turn.undone.is_empty()) {
        bar(html, "bar return", scale, (failed, end.at), "what was changed is taken back", "taken back");
    }
}

fn tooltip(step: &Step, to: Timestamp) -> String {
    let mut lines = vec![format!("{} · {}", step.word, text::took(between(step.began, to)))];
    lines.extend(step.facts.iter().map(|(_, fact)| fact.clone()));
    lines.extend(step.failure.iter().map(|(message, _)| format!("failed: {message}")));
    lines.join("\n")
}

/// Each of them with its beginning and its end.
fn each<'s, T>(changes: &'s [Since<T>], scale: Scale, mut show: impl FnMut(Timestamp, Timestamp, &'s T)) {
    for (index, change) in changes.iter().enumerate() {
        let to = changes.get(index + 1).map_or(scale.last, |next| next.at);
        show(change.at, to, &change.what);
    }
}

fn bar(
    html: &mut Html,
    class: &'static str,
    scale: Scale,
    (from, to): (Timestamp, Timestamp),
    says: &str,
    label: &str,
) {
    let left = scale.percent(from);
    html.raw("<span class=\"").raw(class).raw("\" style=\"left:").number(left);
    html.raw("%;width:").number(scale.percent(to).max(left) - left).raw("%\" title=\"").text(says).raw("\">");
    html.leaf("<b>", label, "</b></span>");
}
