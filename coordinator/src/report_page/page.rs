//! The page as a whole: what it is about, how it ended, what to do next, and its parts.

use super::{
    document::{NodeState, Report},
    html::Html,
    input::Input,
    machines::{self, lines, offset, seconds},
    timeline::{self, Scale, between},
};
use crate::{
    exit::Exit,
    story::{Story, Unknown},
    text,
};

/// The policy forbids the browser to fetch or run anything: whatever a hostile name in an event may be, it stays a text.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
    form-action 'none'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>";

const STYLE: &str = concat!("</title>\n<style>\n", include_str!("style.css"), "</style>\n</head>\n<body>\n<main>\n");

/// The page lists at most this many pods of a rebalance.
const MOST_MOVES: usize = 500;

pub(super) fn page(input: &Input) -> String {
    let mut html = Html::default();
    let story = &input.story;
    let scale = Scale::of(story);
    html.leaf(HEAD, &title(input), STYLE);
    header(&mut html, input, scale);
    ending(&mut html, input);
    match scale.filter(|_| !story.turns.is_empty()) {
        Some(scale) => {
            timeline::section(&mut html, story, scale);
            machines::from_events(&mut html, story, scale);
        }
        None => {
            let turns = input.report.as_ref().map(|report| &report.turns[..]);
            machines::from_report(&mut html, turns.unwrap_or_default());
        }
    }
    if let Some(report) = &input.report {
        nodes(&mut html, report);
        moves(&mut html, report);
    }
    warnings(&mut html, input, scale);
    unknown(&mut html, &story.unknown, scale);
    notes(&mut html, input);
    footer(&mut html, input);
    html.finish()
}

/// `usher reboot · eqiad · 4f7k2`.
fn title(input: &Input) -> String {
    let mut parts = vec![command(input)];
    parts.extend(cluster(input).map(str::to_owned));
    parts.extend(input.operation().map(str::to_owned));
    parts.join(" · ")
}

fn command(input: &Input) -> String {
    input.story.began.as_ref().map_or_else(|| "usher".to_owned(), |began| format!("usher {}", began.command))
}

fn cluster(input: &Input) -> Option<&str> {
    let began = input.story.began.as_ref().map(|began| began.cluster.as_str());
    began.or(input.report.as_ref().map(|report| report.cluster.as_str())).filter(|cluster| !cluster.is_empty())
}

fn header(html: &mut Html, input: &Input, scale: Option<Scale>) {
    html.raw("<header>\n<h1>").text(&command(input));
    if let Some(cluster) = cluster(input) {
        html.raw(" <span class=\"quiet\">on</span> ").text(cluster);
    }
    html.raw("</h1>\n");
    let (class, words) = verdict(input);
    html.raw("<p class=\"").raw(class).raw("\">").text(&words).raw("</p>\n");
    let summary = input.report.as_ref().map(|report| report.summary.as_str());
    if let Some(summary) = summary.or(input.story.ended.as_ref().map(|ended| ended.message.as_str())) {
        html.leaf("<p class=\"summary\">", summary, "</p>\n");
    }
    html.raw("<dl>");
    let mut fact = |name: &'static str, value: &str| {
        if !value.is_empty() {
            html.raw("<div><dt>").raw(name).leaf("</dt><dd>", value, "</dd></div>");
        }
    };
    fact("Operation", input.operation().unwrap_or_default());
    if let Some(began) = &input.story.began {
        fact("Reason", &began.reason);
        fact("Task", began.task_id.as_deref().unwrap_or_default());
        fact("By", &began.requester);
    }
    if let Some((first, last)) = input.story.span.filter(|_| scale.is_some()) {
        fact("Began", &first.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
        fact("Took", &text::took(between(first, last)));
    } else if let Some(report) = &input.report {
        fact("Took", &text::took(seconds(report.took_seconds)));
    }
    html.raw("</dl>\n</header>\n");
}

/// How it ended, with the class of its badge. Colour says nothing that the words do not.
fn verdict(input: &Input) -> (&'static str, String) {
    let written = |exit: &str| serde_json::from_value::<Exit>(exit.into()).ok();
    let exit = match (&input.story.ended, &input.report) {
        (Some(ended), _) => Some(ended.exit),
        (None, Some(report)) => written(&report.exit),
        (None, None) => None,
    };
    match (exit, &input.report) {
        (Some(Exit::Done), _) => ("badge ok", "✓ done".to_owned()),
        (Some(exit @ Exit::Interrupted), _) => ("badge wait", format!("! {} (exit {})", exit.label(), exit.code())),
        (Some(exit), _) => ("badge no", format!("✗ {} (exit {})", exit.label(), exit.code())),
        (None, Some(report)) => ("badge no", format!("✗ {} (exit {})", report.exit, report.exit_code)),
        (None, None) => {
            ("badge wait", "… the events have no end: usher still runs, or its output was cut off".to_owned())
        }
    }
}

/// Details and what to do next, if it did not end well or there is something left to do.
fn ending(html: &mut Html, input: &Input) {
    let (mut details, mut next): (&[String], &[String]) = (&[], &[]);
    if let Some(ended) = &input.story.ended {
        (details, next) = (&ended.details, &ended.next);
    }
    if let Some(report) = &input.report {
        (details, next) = (&report.details, &report.next);
    }
    if let Some(machine) = input.report.as_ref().and_then(|report| report.in_doubt.as_deref()) {
        html.raw("<p class=\"failure\">").text(machine).raw(" was told to reboot and is not proved to be back.</p>\n");
    }
    lines(html, details);
    if next.is_empty() {
        return;
    }
    html.raw("<section id=\"next\"><h2>What to do next</h2>\n<ul class=\"next\">");
    for line in next {
        html.leaf("<li>", line, "</li>");
    }
    html.raw("</ul></section>\n");
}

fn nodes(html: &mut Html, report: &Report) {
    if report.nodes.is_empty() {
        return;
    }
    html.raw(
        "<section id=\"nodes\"><h2>Nodes before and after</h2>\n<div class=\"wide\"><table><thead><tr><th>node</th>",
    );
    html.raw("<th>ready</th><th>schedulable</th><th>kernel</th><th>boot</th><th>pods</th></tr></thead><tbody>\n");
    for change in &report.nodes {
        html.raw("<tr>");
        let nothing = NodeState::default();
        let (before, after) = (&change.before, change.after.as_ref().unwrap_or(&nothing));
        let is_read = change.after.is_some();
        let mut both = |before: &str, after: &str| {
            html.raw("<td>").text(before);
            match is_read {
                true if before == after => {}
                true => _ = html.raw(" → <strong>").text(after).raw("</strong>"),
                false => _ = html.raw(" → ?"),
            }
            html.raw("</td>");
        };
        let yes = |yes: bool| if yes { "yes" } else { "no" };
        both(&change.machine, &change.machine);
        both(yes(before.ready), yes(after.ready));
        both(yes(before.schedulable), yes(after.schedulable));
        both(&before.kernel, &after.kernel);
        both(&text::short_id(&before.boot_id), &text::short_id(&after.boot_id));
        let pods = change.pods.map_or_else(|| "?".to_owned(), |pods| pods.to_string());
        html.leaf("<td>", &pods, "</td></tr>\n");
    }
    html.raw("</tbody></table></div></section>\n");
}

fn moves(html: &mut Html, report: &Report) {
    if report.moves.is_empty() {
        return;
    }
    html.raw(
        "<section id=\"moves\"><h2>Pods that were moved back</h2>\n<div class=\"wide\"><table><thead><tr><th>pod</th>",
    );
    html.raw("<th>from</th><th>to</th><th>took</th></tr></thead><tbody>\n");
    for moved in report.moves.iter().take(MOST_MOVES) {
        html.raw("<tr><td>").text(&moved.namespace).raw("/").text(&moved.name);
        html.leaf("</td><td>", &moved.from, "</td>").leaf("<td>", &moved.to, "</td>");
        html.leaf("<td class=\"time\">", &text::took(seconds(moved.took_seconds)), "</td></tr>\n");
    }
    html.raw("</tbody></table></div>");
    left_out(html, report.moves.len().saturating_sub(MOST_MOVES), "pod");
    html.raw("</section>\n");
}

fn warnings(html: &mut Html, input: &Input, scale: Option<Scale>) {
    let timed = &input.story.warnings;
    let untimed = input.report.as_ref().map(|report| &report.warnings[..]).unwrap_or_default();
    if timed.is_empty() && untimed.is_empty() {
        return;
    }
    html.raw("<section id=\"warnings\"><h2>Warnings</h2>\n<ul>");
    match scale.filter(|_| !timed.is_empty()) {
        Some(scale) => {
            for (at, message) in timed {
                offset(html, scale, *at, "<li><time>", "</time> ");
                html.text(message).raw("</li>");
            }
        }
        None => {
            for message in untimed {
                html.leaf("<li>", message, "</li>");
            }
        }
    }
    html.raw("</ul></section>\n");
}

/// Events that are told as they are.
fn unknown(html: &mut Html, events: &[Unknown], scale: Option<Scale>) {
    if events.is_empty() {
        return;
    }
    html.raw("<section id=\"others\"><h2>Other events</h2>\n<div class=\"wide\"><table><tbody>\n");
    for Unknown { at, event, fields } in events {
        html.raw("<tr><td class=\"time\">");
        if let (Some(at), Some(scale)) = (at, scale) {
            offset(html, scale, *at, "", "");
        }
        html.leaf("</td><td><strong>", event, "</strong></td><td>").leaf("", &fields.join(" · "), "</td></tr>\n");
    }
    html.raw("</tbody></table></div></section>\n");
}

fn notes(html: &mut Html, input: &Input) {
    if input.notes.is_empty() && input.afterwards.is_empty() {
        return;
    }
    html.raw("<section id=\"said\"><h2>What usher said besides</h2>\n");
    lines(html, &input.notes);
    lines(html, &input.afterwards);
    left_out(html, input.more_notes, "line");
    html.raw("</section>\n");
}

fn left_out(html: &mut Html, number: usize, noun: &str) {
    if number > 0 {
        html.leaf("<p class=\"quiet\">", &format!("{} more are left out.", text::count(number, noun)), "</p>");
    }
}

fn footer(html: &mut Html, input: &Input) {
    let Story { events, left_out, .. } = &input.story;
    html.raw("</main>\n<footer>");
    let mut says =
        vec![format!("Made by usher {} from {}", env!("CARGO_PKG_VERSION"), source(*events, input.report.is_some()))];
    if *left_out > 0 {
        says.push(format!("{} are too many to be shown", text::count(*left_out, "event")));
    }
    if input.is_cut_off {
        says.push("the last line of the file is cut off".to_owned());
    }
    if !input.others.is_empty() {
        says.push(format!("the file holds other operations too: {}", text::few(&input.others)));
    }
    html.text(&says.join("; ")).raw(". Times are the coordinator's, in UTC.</footer>\n</body>\n</html>\n");
}

fn source(events: usize, report: bool) -> String {
    match (events, report) {
        (0, _) => "a report".to_owned(),
        (events, false) => text::count(events, "event"),
        (events, true) => format!("{} and a report", text::count(events, "event")),
    }
}
