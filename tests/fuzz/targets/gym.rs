//! NeMo Gym's rules: any request on any route, and any answers of the engine, lead to an answer in bounded steps.
#![no_main]

use std::sync::Arc;

use enginehouse::config::Gym;
use enginehouse::dialects::gym::{GymRoute, Step, start};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((flags, data)) = data.split_at_checked(2) else { return };
    let flag = |bit: usize| flags[bit / 8] >> (bit % 8) & 1 == 1;
    let gym = Arc::new(Gym {
        strict: flag(0),
        return_token_id_information: flag(1),
        request_prompt_and_generation_token_ids: flag(2),
        uses_reasoning_parser: !flag(3),
        uses_interleaved_reasoning: !flag(4),
        preserve_reasoning_in_assistant_content: flag(5),
        replace_developer_role_with_system: flag(6),
        sequential_reasoning_allowed: !flag(7),
        is_responses_native: flag(8),
        use_completions_api: flag(9),
        render_chat_template: flag(10),
        ..Gym::default()
    });
    let route = match (flag(11), flag(12)) {
        (false, false) => GymRoute::Chat,
        (true, false) => GymRoute::Responses,
        _ => GymRoute::Messages,
    };
    let mut lines = data.split(|byte| *byte == b'\n');
    let request = lines.next().unwrap_or_default();
    let nothing = |_: &std::path::Path| Err(std::io::Error::other("no files here"));
    let ids = Box::new(|| "0".repeat(32));
    let (mut turn, mut step) = start(&gym, route, "m", request, 1, ids, &nothing);
    for _ in 0..8 {
        let ask = match step {
            Step::Answer(answer) => {
                assert!((200..600).contains(&answer.status));
                assert!(std::str::from_utf8(&answer.body).is_ok(), "answers are text");
                return;
            }
            Step::Ask(ask) => ask,
        };
        assert!(serde_json::from_slice::<serde_json::Value>(&ask.body).is_ok(), "the engine is sent JSON");
        let line = lines.next().unwrap_or_default();
        let (status, body) = match line.split_first() {
            Some((b'!', body)) => (400, body),
            _ => (200, line),
        };
        step = turn.engine_said(status, body);
    }
    panic!("a turn has a handful of calls");
});
