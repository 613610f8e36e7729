//! What agents of before have left in a state directory.

use std::{fs, path::Path};

use serde_json::json;

use super::agent::UNIT;

/// Stores operations `op1` to `opNUMBER`, each with so many bytes of text, for the next agent with this state directory.
pub fn operations(state: &Path, number: usize, bytes: usize) {
    let folder = state.join("operations");
    fs::create_dir_all(&folder).unwrap();
    for number in 1..=number {
        let step = json!({"at": "2025-10-09T00:00:00Z", "name": "failed", "message": "x".repeat(bytes)});
        let record = json!({
            "id": format!("op{number}"), "sequence": number, "change": {"kind": "start_unit", "unit": UNIT},
            "order": {"epoch": 1, "reason": "r", "task_id": "", "requester": ""}, "caller": [], "boot_id": "b",
            "started_at": "2025-10-09T00:00:00Z", "ended_at": "2025-10-09T00:00:01Z", "progress": {"phase": "accepted"},
            "state": {"state": "succeeded"}, "steps": [step], "evidence": {"invocation_id_before": "",
            "invocation_id_after": "", "boot_id_before": "", "boot_id_after": "", "unit_took": null},
        });
        fs::write(folder.join(format!("{number:010}.1760000000000.unit.op{number}.json")), record.to_string()).unwrap();
    }
}
