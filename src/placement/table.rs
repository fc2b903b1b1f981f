//! Assignments as a table for people.

use super::types::{Assignment, Place};
use crate::inventory::gib;
use crate::text_table::aligned;

/// Enough of a UUID to tell cards of one machine apart: `GPU-8f6b2c1d`.
const SHORT: usize = 12;

/// One line for each GPU of each engine: its share, the memory that means, and what others hold.
#[must_use]
pub fn table(assignments: &[Assignment]) -> String {
    let head = ["ENGINE", "GPU", "UUID", "NAME", "SHARE", "MEMORY", "HELD BY OTHERS"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for assignment in assignments {
        let engine = assignment.engine.to_string();
        match assignment.gpus.as_deref() {
            None => rows.push(vec![engine, "as visible".into()]),
            Some([]) => rows.push(vec![engine, "none".into()]),
            Some(places) => {
                for (at, place) in places.iter().enumerate() {
                    let engine = if at == 0 { engine.clone() } else { String::new() };
                    rows.push(row(engine, place, assignment.share));
                }
            }
        }
    }
    aligned(&rows)
}

fn row(engine: String, place: &Place, share: f64) -> Vec<String> {
    let gpu = match (place.index, place.mig) {
        (Some(index), Some(mig)) => format!("{index}:{mig}"),
        (Some(index), None) => index.to_string(),
        (None, _) => place.text.clone(),
    };
    let uuid = place.uuid.as_deref().map_or("-", |uuid| uuid.get(..SHORT).unwrap_or(uuid));
    let known = share > 0.0;
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "one digit is shown")]
    #[expect(clippy::cast_sign_loss, reason = "shares are not negative")]
    let memory = place.total.filter(|_| known).map(|total| gib((total as f64 * share) as u64));
    vec![
        engine,
        gpu,
        uuid.to_owned(),
        place.name.clone().unwrap_or_else(|| "-".into()),
        if known { format!("{share:.2}") } else { "unknown".into() },
        memory.unwrap_or_else(|| "-".into()),
        if place.foreign > 0 { gib(place.foreign) } else { "-".into() },
    ]
}
