//! Findings for people: a line each, and under it what mends it.

use usher_core::doctor::{Finding, State};

use crate::text::count;

/// Where messages begin.
const MARGIN: usize = 25;

pub(super) fn text(findings: &[Finding]) -> String {
    let mut lines = Vec::new();
    let mut before = None;
    for finding in findings {
        let check = if before == Some((finding.check, finding.state)) { "" } else { finding.check.word() };
        before = Some((finding.check, finding.state));
        lines.push(format!("{:<9}{check:<16}{}", finding.state.word(), finding.message));
        let margin = " ".repeat(MARGIN);
        lines.extend(finding.mend.iter().map(|mend| format!("{margin}→ {mend}")));
        lines.extend(finding.details.iter().map(|line| format!("{margin}  {line}")));
    }
    let number = |state: State| findings.iter().filter(|finding| finding.state == state).count();
    let (wrong, warnings) = (number(State::Wrong), number(State::Warning));
    lines.push(String::new());
    lines.push(match (wrong, warnings) {
        (0, 0) => "All is well: usher can do its work here.".to_owned(),
        (0, warnings) => format!("usher can do its work here; {}.", count(warnings, "warning")),
        (wrong, warnings) => {
            format!("{} must be mended; {}. (exit 1)", count(wrong, "thing"), count(warnings, "warning"))
        }
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use usher_core::doctor::Check;

    use super::*;

    #[test]
    fn each_finding_is_a_line_with_what_mends_it_under_it_and_the_last_line_counts() {
        let findings = [
            Finding::ok(Check::ClusterFile, "/etc/usher/cluster.toml"),
            Finding::wrong(Check::Agents, "w1: no answer").mend("ssh w1 systemctl status usher-agent"),
            Finding::wrong(Check::Agents, "w2: no answer").mend("ssh w2 systemctl status usher-agent"),
        ];
        assert_eq!(
            text(&findings),
            "ok       cluster file    /etc/usher/cluster.toml\n\
             WRONG    agents          w1: no answer\n                         → ssh w1 systemctl status usher-agent\n\
             WRONG                    w2: no answer\n                         → ssh w2 systemctl status usher-agent\n\n\
             2 things must be mended; 0 warnings. (exit 1)"
        );
        assert!(text(&findings[..1]).ends_with("All is well: usher can do its work here."));
    }
}
