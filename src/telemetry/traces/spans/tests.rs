//! The spans of records.

use std::sync::Arc;

use super::*;
use crate::telemetry::record::testing::record;

fn traced(record: &Record<'_>, context: TraceContext) -> Vec<SpanData> {
    let ended = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
    let record = KeptRecord::of(&Record { ended, ..record.clone() });
    SpanMaker::new().spans(&Traced { record, context: Arc::new(context), endpoint: Endpoint::ChatCompletions })
}

fn value(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|pair| pair.key.as_str() == name);
    found.map(|pair| pair.value.to_string())
}

fn since(time: SystemTime) -> u128 {
    let started = SystemTime::UNIX_EPOCH + Duration::from_secs(100) - Duration::from_micros(1500);
    time.duration_since(started).expect("later").as_micros()
}

#[test]
fn a_record_becomes_a_request_with_its_wait_and_attempts() {
    let context = TraceContext::root(5, 6, true);
    let spans = traced(&record(), context.clone());
    assert_eq!(u64::try_from(spans.len()), Ok(count(&record())));
    let [request, queue, refused, answered] = &spans[..] else { unreachable!("{spans:?}") };
    assert_eq!((&*request.name, &request.span_kind), ("chat m", &SpanKind::Server));
    assert_eq!((request.parent_span_id, request.parent_span_is_remote), (SpanId::INVALID, false));
    assert_eq!((since(request.start_time), since(request.end_time)), (0, 1500));
    for (name, is) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "vllm"),
        ("gen_ai.request.model", "m"),
        ("gen_ai.request.stream", "true"),
        ("gen_ai.response.time_to_first_chunk", "0.001"),
        ("gen_ai.usage.input_tokens", "3"),
        ("gen_ai.usage.output_tokens", "4"),
        ("http.response.status_code", "200"),
        ("enginehouse.request.id", "r1"),
        ("enginehouse.engine", "m/0"),
        ("enginehouse.caller", "bot"),
    ] {
        assert_eq!(value(request, name).as_deref(), Some(is), "{name}");
    }
    assert_eq!((value(request, "error.type"), &request.status), (None, &Status::Unset));
    for (number, child) in [(0, queue), (1, refused), (2, answered)] {
        assert_eq!((child.parent_span_id, child.parent_span_is_remote), (SpanId::from(6), false));
        assert_eq!(child.span_context.span_id(), SpanId::from(context.child(number)));
        assert_eq!(child.span_context.trace_id(), TraceId::from(5));
    }
    assert_eq!((&*queue.name, since(queue.start_time), since(queue.end_time)), ("queue", 50, 110));
    assert_eq!((&*refused.name, since(refused.start_time), since(refused.end_time)), ("attempt", 120, 150));
    assert_eq!(value(refused, "error.type").as_deref(), Some("unreachable"));
    assert_eq!((&refused.status, refused.events.len()), (&Status::error("unreachable"), 0));
    assert_eq!((since(answered.start_time), since(answered.end_time), &answered.status), (200, 1500, &Status::Unset));
    let events: Vec<_> = answered.events.iter().map(|event| (&*event.name, since(event.timestamp))).collect();
    assert_eq!(events, [("response_head", 900), ("first_token", 1100)]);
}

#[test]
fn a_request_in_a_trace_of_its_caller_is_the_child_of_its_span() {
    let mut headers = http::HeaderMap::new();
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    headers.insert("traceparent", text.parse().expect("a value"));
    headers.insert("tracestate", "vendor=1".parse().expect("a value"));
    let parent = super::super::context::Parent::of(&headers).expect("valid");
    let spans = traced(&record(), TraceContext::below(parent, 9, true, &headers));
    let request = &spans[0];
    assert_eq!((request.parent_span_id, request.parent_span_is_remote), (SpanId::from(0x00f0_67aa_0ba9_02b7), true));
    assert_eq!(request.span_context.trace_state().header(), "vendor=1");
    assert!(spans.iter().all(|span| span.span_context.trace_id().to_string() == "4bf92f3577b34da6a3ce929d0e0e4736"));
}

#[test]
fn what_went_wrong_is_told_and_clients_choose_no_names_of_spans() {
    let refused = Record {
        status: 404,
        model: None,
        unknown_model: Some("whatever"),
        engine: None,
        attempts: &[],
        queue: None,
        stream: false,
        stream_end: None,
        first_token: None,
        first_token_came: None,
        usage: None,
        error: Some("model_not_found"),
        ..record()
    };
    let spans = traced(&refused, TraceContext::root(5, 6, true));
    let [request] = &spans[..] else { unreachable!("{spans:?}") };
    assert_eq!((&*request.name, &request.status), ("chat", &Status::Unset));
    assert_eq!(value(request, "gen_ai.request.model").as_deref(), Some("whatever"));
    assert_eq!(value(request, "error.type").as_deref(), Some("model_not_found"));
    let died = Record { stream_end: Some("engine_died"), error: Some("engine_died"), ..record() };
    assert_eq!(traced(&died, TraceContext::root(5, 6, true))[0].status, Status::error("engine_died"));
    let broken = Record { status: 502, ..refused };
    assert_eq!(traced(&broken, TraceContext::root(5, 6, true))[0].status, Status::error("model_not_found"));
}
