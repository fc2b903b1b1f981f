//! The Messages API over Chat Completions: any request is translated or refused, any answer told, however it is cut.
#![no_main]

use enginehouse_fuzz::translate;
use enginehouse::dialects::ClientApi;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let request = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    translate(ClientApi::Messages, request, &data[request.len()..]);
    let _ = enginehouse::dialects::from_tokenize(data);
    let _ = enginehouse::dialects::to_tokenize(request, enginehouse::config::LateSystem::default());
});
