//! `usher agent audit`: what callers asked of one machine, and how its agent answered.

use crate::{
    agents::{Agent, AuditPhase, AuditRecord, asked_by},
    cli::Global,
    exit::Exit,
    output,
    problem::Problem,
    show::{self, Kind},
};

pub(super) async fn run(global: &Global, agent: &Agent, limit: u32) -> Result<Exit, Problem> {
    let records = agent.audit(limit).await?;
    show::list(Kind::AuditRecordList, &records, global.output, || table(&records))?;
    Ok(Exit::Done)
}

fn table(records: &[AuditRecord]) -> String {
    let rows = records.iter().map(|record| {
        let call = record.method.rsplit('/').next().unwrap_or_default();
        let what = record.unit.as_ref().map_or_else(|| call.to_owned(), |unit| format!("{call} {unit}"));
        let requester = record.requester.as_deref().unwrap_or_default();
        vec![
            record.at.map(|at| at.to_string()).unwrap_or_default(),
            what,
            outcome(record),
            asked_by(requester, &record.caller),
            record.address.clone(),
            record.operation_id.clone().unwrap_or_default(),
            record.reason.clone().unwrap_or_default(),
        ]
    });
    output::table(&["TIME", "CALL", "ANSWER", "BY", "FROM", "OPERATION", "REASON"], rows)
}

fn outcome(record: &AuditRecord) -> String {
    let outcome = match (record.phase, &record.outcome) {
        (AuditPhase::Received, _) => "received".to_owned(),
        (AuditPhase::Refused, Some(outcome)) => format!("refused: {outcome}"),
        (_, Some(outcome)) => outcome.clone(),
        (_, None) => "unknown".to_owned(),
    };
    if record.untold == 0 { outcome } else { format!("{outcome} (and {} more before)", record.untold) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_half_of_a_call_is_a_line_and_refusals_say_how_many_there_were() {
        let record = AuditRecord {
            method: "usher.agent.v1.NodeControl/RestartUnit".into(),
            unit: Some("a.service".into()),
            caller: vec!["CN=cumin1001".into()],
            requester: Some("alice@cumin1001".into()),
            address: "192.0.2.7:40000".into(),
            phase: AuditPhase::Received,
            ..AuditRecord::default()
        };
        let answered = AuditRecord { phase: AuditPhase::Answered, outcome: Some("accepted".into()), ..record.clone() };
        let refused = AuditRecord {
            phase: AuditPhase::Refused,
            outcome: Some("NOT_LISTED: no".into()),
            untold: 7,
            ..AuditRecord::default()
        };
        let text = table(&[refused, answered, record]);
        for part in [
            "refused: NOT_LISTED: no (and 7 more before)",
            "RestartUnit a.service",
            "accepted",
            "received",
            "alice@cumin1001 (CN=cumin1001)",
            "192.0.2.7:40000",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
