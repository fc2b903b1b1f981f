//! Writes down what operators did, and tells those who listen.

use std::time::SystemTime;

use axum::http::{Method, StatusCode, Uri};

use super::Admin;
use crate::api::{AuditEntry, Event, OperatorView};

/// Notes that `operator` asked for something, and what became of it: the status, and why it was refused.
pub(super) async fn note(
    admin: &Admin,
    operator: OperatorView,
    (method, uri): (&Method, &Uri),
    detail: String,
    (status, error): (StatusCode, Option<String>),
) {
    let entry = AuditEntry {
        at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        operator,
        request: format!("{method} {uri}"),
        detail,
        status: status.as_u16(),
        error,
    };
    admin.audit.write(entry.clone()).await;
    admin.events.publish(&Event::Audit(entry));
}
