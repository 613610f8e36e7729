use serde_json::{Value, json};

use super::*;

/// A line as `--progress=json` writes it, some seconds after the beginning.
fn line(seconds: u32, event: &str, mut fields: Value) -> String {
    let at = format!("2026-11-26T03:{:02}:{:02}Z", seconds / 60, seconds % 60);
    let object = fields.as_object_mut().unwrap();
    object.insert("at".into(), at.into());
    object.insert("event".into(), event.into());
    fields.to_string()
}

fn began(id: &str) -> String {
    let fields = json!({"operation": id, "command": "reboot", "cluster": "eqiad", "reason": "kernel"});
    line(0, "began", fields)
}

fn turn(number: usize, machine: &str) -> String {
    line(1, "turnBegan", json!({"turn": number, "machine": machine, "component": null}))
}

fn ended(exit: &str) -> String {
    line(90, "ended", json!({"exit": exit, "message": "w1 rebooted."}))
}

fn page_of(lines: &[String]) -> String {
    page(&lines.join("\n"), None).unwrap()
}

#[test]
fn a_file_without_events_has_no_page_and_says_why() {
    for text in ["", "\n\n", "eqiad · https://k8s.example:6443\n", "{\"kind\": \"Status\"}", "[1, 2]", "{\"at"] {
        assert_eq!(page(text, None), Err(Unreadable::Nothing), "{text}");
    }
}

#[test]
fn a_last_line_that_is_cut_off_costs_that_line_and_is_said() {
    let whole = [began("4f7k2"), turn(1, "w1"), ended("done")];
    let text = whole.join("\n");
    let cut = page(&text[..text.len() - 20], None).unwrap();
    assert!(cut.contains("the last line of the file is cut off"), "{cut}");
    assert!(cut.contains("the events have no end"), "{cut}");
    assert!(!page_of(&whole).contains("cut off"));
}

#[test]
fn what_is_said_around_an_operation_is_noted_and_a_command_that_did_not_begin_is_no_operation() {
    let notice = |text: &str| line(0, "notice", json!({"message": text}));
    let planned = line(0, "planned", json!({"turns": [], "warnings": [], "text": ["  1  w1  cordon, drain, reboot"]}));
    let page = page_of(&[
        notice("eqiad · https://k8s.example:6443"),
        planned,
        line(0, "asked", json!({"question": "Type the cluster's name (eqiad) to go on:"})),
        began("4f7k2"),
        turn(1, "w1"),
        ended("done"),
        notice("codfw · https://k8s.example:6443"),
        line(95, "ended", json!({"exit": "locked", "message": "the lock is held by ann"})),
    ]);
    assert!(page.contains("4f7k2") && page.contains("w1 rebooted."), "{page}");
    for noted in ["eqiad · https", "cordon, drain, reboot", "Type the cluster", "codfw · https", "held by ann"] {
        assert!(page.contains(noted), "{noted}: {page}");
    }
    let refused = [notice("eqiad"), line(1, "ended", json!({"exit": "refused", "message": "w1 is held"}))];
    assert_eq!(super::page(&refused.join("\n"), None), Err(Unreadable::Nothing));
}

#[test]
fn an_event_of_a_later_version_is_told_as_it_is() {
    let later = line(7, "moonRose", json!({"phase": "full", "night": 3}));
    let page = page_of(&[began("4f7k2"), turn(1, "w1"), later]);
    assert!(page.contains("<strong>moonRose</strong></td><td>night: 3 · phase: full<"), "{page}");
}

#[test]
fn a_document_of_another_kind_is_no_note_and_events_of_commands_without_turns_are_told_as_they_are() {
    let plan = "{\n  \"apiVersion\": \"usher.dev/v1\",\n  \"kind\": \"RolloutPlan\"\n}".to_owned();
    let waiting = line(5, "waiting", json!({"workload": "shop/search", "what": "1 of 3 is new", "why": ["image"]}));
    let page = page_of(&[plan, waiting]);
    assert!(!page.contains("RolloutPlan") && !page.contains("id=\"said\""), "{page}");
    assert!(page.contains("what: 1 of 3 is new · why: [&quot;image&quot;] · workload: shop/search"), "{page}");
}

#[test]
fn lines_for_people_are_kept_and_a_line_that_only_looks_like_an_event_is_one_of_them() {
    let page = page_of(&["eqiad · https://k8s.example".into(), "{oops".into(), began("4f7k2"), "Type eqiad:".into()]);
    assert!(page.contains("<pre>eqiad · https://k8s.example\n{oops\nType eqiad:\n</pre>"), "{page}");
}

#[test]
fn of_several_operations_the_last_one_is_shown_or_the_one_that_is_asked_for() {
    let text =
        [began("first"), turn(1, "w1"), ended("failed"), "the second plan".into(), began("other"), turn(1, "w2")];
    let text = text.join("\n");
    let last = page(&text, None).unwrap();
    assert!(last.contains("<dd>other</dd>") && last.contains("<strong>w2</strong>"), "{last}");
    assert!(last.contains("<pre>the second plan\n</pre>"), "what was said before it is about it: {last}");
    assert!(last.contains("the file holds other operations too: first"), "{last}");
    let first = page(&text, Some("first")).unwrap();
    assert!(first.contains("<dd>first</dd>") && first.contains("<strong>w1</strong>"), "{first}");
    assert!(!first.contains("the second plan"), "{first}");
    let none = page(&text, Some("third")).unwrap_err();
    assert_eq!(none.to_string(), "it does not hold operation third, but first and other");
}

#[test]
fn a_report_alone_is_shown_without_times_and_with_events_it_adds_what_they_lack() {
    let report = json!({
        "apiVersion": "usher.dev/v1", "kind": "Report", "operation": "4f7k2", "cluster": "eqiad", "exit": "partly", "exitCode": 4,
        "summary": "stopped: w2 is away", "details": ["since 03:04"], "next": ["to go on: usher reboot w2 -r kernel"],
        "tookSeconds": 61.2, "turns": [{"machine": "w1", "component": null, "done": true, "tookSeconds": 41.0, "facts": ["drain: gone"]}],
        "nodes": [{"machine": "w1", "pods": 0, "before": {"ready": true, "schedulable": true, "kernel": "6.1.0-28", "bootId": "b2868f25-1"},
            "after": {"ready": true, "schedulable": true, "kernel": "6.1.0-31", "bootId": "f3b3979a-1"}}],
    });
    let alone = page(&serde_json::to_string_pretty(&report).unwrap(), None).unwrap();
    assert!(alone.contains("✗ partly done (exit 4)"), "{alone}");
    assert!(alone.contains("A report has no times") && alone.contains("<li>drain: gone</li>"), "{alone}");
    assert!(alone.contains("<td>6.1.0-28 → <strong>6.1.0-31</strong></td>"), "{alone}");
    assert!(alone.contains("<li>to go on: usher reboot w2 -r kernel</li>"), "{alone}");

    let events = [began("4f7k2"), turn(1, "w1")].join("\n");
    let both = page(&format!("{events}\n{}\n", serde_json::to_string_pretty(&report).unwrap()), None).unwrap();
    assert!(both.contains("id=\"timeline\"") && both.contains("6.1.0-31"), "{both}");
    assert!(both.contains("from 2 events and a report"), "{both}");
}

#[test]
fn nothing_in_a_file_becomes_markup() {
    let evil = "</pre></style><script>alert(1)</script><img src=x onerror='1'>\" onmouseover=\"x\u{202e}";
    let lines = [
        evil.to_owned(),
        line(
            0,
            "began",
            json!({"operation": evil, "command": evil, "cluster": evil, "reason": evil, "requester": evil}),
        ),
        line(1, "controlPlane", json!({"leaders": {evil: evil}, "apiservers": {evil: evil}})),
        line(1, "turnBegan", json!({"turn": 1, "machine": evil, "component": evil})),
        line(2, "stepBegan", json!({"turn": 1, "step": evil})),
        line(3, "waiting", json!({"turn": 1, "step": evil, "what": evil})),
        line(3, "blocked", json!({"turn": 1, "step": evil, "budgets": {evil: 3}})),
        line(4, "fact", json!({"turn": 1, "step": evil, "what": evil})),
        line(5, "stepFailed", json!({"turn": 1, "step": evil, "message": evil, "details": [evil]})),
        line(6, "undone", json!({"turn": 1, "step": evil, "what": evil})),
        line(6, "warned", json!({"message": evil})),
        line(6, evil, json!({evil: evil})),
        line(7, "ended", json!({"exit": "failed", "message": evil, "details": [evil], "next": [evil]})),
    ];
    let page = page_of(&lines);
    // What stands in the source of a page, and only that: the page of the same events with harmless names.
    let harmless =
        page_of(&lines.map(|line| line.replace(&serde_json::to_string(evil).unwrap(), "\"w1\"").replace(evil, "w1")));
    let tags = |page: &str| page.matches('<').count();
    assert_eq!(tags(&page), tags(&harmless));
    let quotes = |page: &str| page.matches('"').count();
    assert_eq!(quotes(&page), quotes(&harmless));
    assert!(!page.contains('\u{202e}') && page.contains("&lt;script&gt;"));
}

#[test]
fn a_page_fetches_nothing() {
    let page = page_of(&[began("4f7k2"), turn(1, "w1"), ended("done")]);
    assert!(page.contains("default-src 'none'"));
    for word in ["src=", "url(", "@import", "<script", "<link", "http:", "https:"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn a_roll_of_three_hundred_machines_has_a_page_of_bounded_size() {
    let mut lines = vec![began("4f7k2")];
    for number in 1..=300 {
        lines.push(turn(number, &format!("w{number}")));
        for step in ["cordon", "drain", "reboot", "ready", "uncordon"] {
            lines.push(line(2, "stepBegan", json!({"turn": number, "step": step})));
            for wait in 0..40 {
                // Words of their own each: nothing that only counts.
                let what = "x".repeat(wait) + &" 21 of 25 gone · waits for a budget".repeat(4);
                lines.push(line(3, "waiting", json!({"turn": number, "step": step, "what": what})));
            }
            lines.push(line(4, "fact", json!({"turn": number, "step": step, "what": "done in 2s"})));
        }
        lines.push(line(60, "turnEnded", json!({"turn": number, "done": true, "tookSeconds": 59.0})));
    }
    let page = page_of(&lines);
    assert_eq!(page.matches("<details id=\"turn-").count(), 300);
    assert!(page.contains("are left out here"), "what is left out is said");
    assert!(page.len() < 6 << 20, "{} bytes", page.len());
}

#[test]
fn a_step_ends_with_its_evidence_where_its_turn_waits_for_others() {
    let lines = [
        began("4f7k2"),
        turn(1, "w1"),
        line(1, "stepBegan", json!({"turn": 1, "step": "cordon"})),
        line(2, "fact", json!({"turn": 1, "step": "cordon", "what": "cordoned by usher"})),
        line(60, "stepBegan", json!({"turn": 1, "step": "drain"})),
        line(100, "turnEnded", json!({"turn": 1, "done": true, "tookSeconds": 99.0})),
    ];
    let page = page_of(&lines);
    assert!(page.contains("<strong>cordon</strong></td><td class=\"time\">1.0s</td>"), "{page}");
    assert!(page.contains("<strong>drain</strong></td><td class=\"time\">40s</td>"), "{page}");
}

#[test]
fn a_clock_that_goes_back_makes_no_bar_of_negative_length() {
    let lines =
        [began("4f7k2"), line(50, "turnBegan", json!({"turn": 1, "machine": "w1", "component": null})), ended("done")];
    let back = line(10, "stepBegan", json!({"turn": 1, "step": "drain"}));
    let page = page_of(&[
        lines[0].clone(),
        lines[1].clone(),
        line(40, "stepBegan", json!({"turn": 1, "step": "cordon"})),
        back,
    ]);
    assert!(!page.contains("width:-") && !page.contains("left:-"), "{page}");
}
