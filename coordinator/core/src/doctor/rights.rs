//! Whether the API server lets the operator do what usher's commands do.

use std::collections::BTreeMap;

use super::{Check, Finding};
use crate::{
    rights::{Need, Right, rules},
    text,
};

/// What is missing of what the commands need, by each right's review: None where the server did not say.
pub fn rights(of_each: &[(&'static str, Vec<Need>)], granted: &BTreeMap<Right, Option<bool>>) -> Vec<Finding> {
    let (mut must, mut should, mut unknown) = (BTreeMap::new(), BTreeMap::new(), 0);
    for (right, granted) in granted {
        let needs = of_each.iter().filter_map(|(verb, needs)| {
            let need = needs.iter().find(|need| need.right == *right)?;
            Some((*verb, need.without))
        });
        let needs: Vec<_> = needs.collect();
        let insist: Vec<_> = needs.iter().filter(|(_, without)| without.is_none()).map(|(verb, _)| *verb).collect();
        match granted {
            Some(true) => {}
            None => unknown += 1,
            Some(false) if !insist.is_empty() => drop(must.insert(right.clone(), insist)),
            Some(false) => drop(should.insert(right.clone(), needs.iter().find_map(|(_, without)| *without))),
        }
    }
    let mut findings = Vec::new();
    if !must.is_empty() {
        let lines = must.iter().map(|(right, verbs)| format!("{right}: {}", text::list(verbs)));
        let missing: Vec<_> = must.keys().cloned().collect();
        let count = text::count(missing.len(), "right");
        let message = format!("{count} missing, without which commands are refused");
        let details = lines.chain(rules(&missing)).collect();
        findings.push(
            Finding::wrong(Check::Rights, message).mend("add the rules below to a Role of yours").details(details),
        );
    }
    if !should.is_empty() {
        let lines = should
            .iter()
            .map(|(right, without)| format!("{right}: without it, {}", without.unwrap_or("it is not needed")));
        let missing: Vec<_> = should.keys().cloned().collect();
        let message = format!("{} missing, without which usher does with less", text::count(missing.len(), "right"));
        let details = lines.chain(rules(&missing)).collect();
        findings.push(
            Finding::warning(Check::Rights, message).mend("add the rules below to a Role of yours").details(details),
        );
    }
    if unknown > 0 {
        let message = format!("the server does not say of {} whether you have them", text::count(unknown, "right"));
        findings.push(Finding::warning(Check::Rights, message).mend("kubectl auth can-i --list"));
    }
    if findings.is_empty() {
        let verbs: Vec<_> = of_each.iter().map(|(verb, _)| *verb).collect();
        findings.push(Finding::ok(Check::Rights, format!("all that {} need", text::list(&verbs))));
    }
    findings
}
