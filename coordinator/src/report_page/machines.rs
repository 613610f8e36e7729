//! Machine by machine: each step with its evidence, what it waited for, and the journal where it failed.

use std::time::Duration;

use super::{
    document,
    html::Html,
    timeline::{Scale, between, state},
};
use crate::{
    story::{Step, Story, Turn},
    text,
};

/// With more turns than this, only those that did not end well are open when the page is.
const OPEN: usize = 12;

/// The turns as events tell of them.
pub(super) fn from_events(html: &mut Html, story: &Story, scale: Scale) {
    if story.turns.is_empty() {
        return;
    }
    html.raw("<section id=\"machines\"><h2>Machine by machine</h2>\n");
    for (number, turn) in &story.turns {
        let (mark, words) = state(turn);
        let is_done = turn.ended.is_some_and(|end| end.done);
        html.raw("<details id=\"turn-").number(*number as f64).raw("\"");
        html.raw(if story.turns.len() <= OPEN || !is_done { " open>" } else { ">" });
        let took = turn.ended.map_or_else(|| scale.until_end(turn.began), |end| end.took);
        summary(html, (mark, words), &turn.subject(), took, is_done);
        steps(html, turn, scale);
        taken_back(html, turn, scale);
        if turn.left_out > 0 {
            let says = format!("{} of this turn are left out here.", text::count(turn.left_out, "more line"));
            html.leaf("<p class=\"quiet\">", &says, "</p>");
        }
        html.raw("</details>\n");
    }
    html.raw("</section>\n");
}

/// The turns as a report tells of them: without times.
pub(super) fn from_report(html: &mut Html, turns: &[document::Turn]) {
    if turns.is_empty() {
        return;
    }
    html.raw("<section id=\"machines\"><h2>Machine by machine</h2>\n<p class=\"quiet\">A report has no times; the events of ");
    html.raw("--progress=json have them.</p>\n<div class=\"chart\">");
    let longest = turns.iter().map(|turn| turn.took_seconds).fold(1.0, f64::max);
    for turn in turns {
        let subject = subject(turn);
        let took = text::took(seconds(turn.took_seconds));
        html.raw("<div class=\"row\"><span class=\"label\">").raw(if turn.done { "✓ " } else { "✗ " }).text(&subject);
        html.raw("</span><div class=\"track\"><span class=\"").raw(if turn.done { "bar act" } else { "bar bad" });
        html.raw("\" style=\"left:0;width:").number(turn.took_seconds.max(0.0) / longest * 100.0).raw("%\"><b>");
        html.text(&took).raw("</b></span></div></div>\n");
    }
    html.raw("</div>\n");
    for turn in turns {
        html.raw(if turns.len() <= OPEN || !turn.done { "<details open>" } else { "<details>" });
        let state = if turn.done { ("✓", "done") } else { ("✗", "stopped") };
        summary(html, state, &subject(turn), seconds(turn.took_seconds), turn.done);
        html.raw("<ul>");
        for fact in &turn.facts {
            html.leaf("<li>", fact, "</li>");
        }
        html.raw("</ul></details>\n");
    }
    html.raw("</section>\n");
}

fn subject(turn: &document::Turn) -> String {
    [Some(turn.machine.as_str()), turn.component.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A number of seconds from a file, which may be anything.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn summary(html: &mut Html, (mark, words): (&'static str, &'static str), subject: &str, took: Duration, is_done: bool) {
    html.raw("<summary><span class=\"").raw(if is_done { "mark ok" } else { "mark no" }).raw("\">").raw(mark);
    html.raw("</span> ").leaf("<strong>", subject, "</strong> <span class=\"quiet\">").raw(words);
    if !took.is_zero() {
        html.raw(if is_done { " in " } else { " after " }).text(&text::took(took));
    }
    html.raw("</span></summary>\n");
}

fn steps(html: &mut Html, turn: &Turn, scale: Scale) {
    html.raw("<table class=\"steps\"><thead><tr><th>from</th><th>step</th><th>took</th><th>evidence</th></tr></thead><tbody>\n");
    for step in &turn.steps {
        html.raw(if step.failure.is_some() { "<tr class=\"failed\">" } else { "<tr>" });
        offset(html, scale, step.began, "<td class=\"time\">", "</td>");
        html.leaf("<td><strong>", &step.word, "</strong></td><td class=\"time\">");
        if let Some(to) = step.ended {
            html.text(&text::took(between(step.began, to)));
        }
        html.raw("</td><td>");
        evidence(html, step, scale);
        html.raw("</td></tr>\n");
    }
    html.raw("</tbody></table>\n");
}

fn evidence(html: &mut Html, step: &Step, scale: Scale) {
    for (at, waits) in &step.waits {
        offset(html, scale, *at, "<div class=\"quiet\"><time>", "</time> ");
        html.text(waits).raw("</div>");
    }
    for (at, fact) in &step.facts {
        offset(html, scale, *at, "<div><time>", "</time> ");
        html.text(fact).raw("</div>");
    }
    if let Some((message, details)) = &step.failure {
        html.leaf("<div class=\"failure\">failed: ", message, "</div>");
        lines(html, details);
    }
}

fn taken_back(html: &mut Html, turn: &Turn, scale: Scale) {
    if turn.undone.is_empty() {
        return;
    }
    html.raw("<p><strong>Taken back:</strong></p><ul>");
    for (at, what) in &turn.undone {
        offset(html, scale, *at, "<li><time>", "</time> ");
        html.text(what).raw("</li>");
    }
    html.raw("</ul>\n");
}

/// Lines as they are, as of a journal; nothing if there are none.
pub(super) fn lines(html: &mut Html, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    html.raw("<pre>");
    for line in lines {
        html.text(line).raw("\n");
    }
    html.raw("</pre>");
}

/// A moment, as the time since the first event.
pub(super) fn offset(html: &mut Html, scale: Scale, at: jiff::Timestamp, open: &'static str, close: &'static str) {
    html.raw(open).raw("+").text(&text::took(scale.since_begin(at))).raw(close);
}
