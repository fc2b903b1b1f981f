//! The dashboard: files that are a part of this program, and nothing from elsewhere.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What the page may do: load what this server has and talk to it. No inline scripts or styles, no frames, no forms.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The files, by name, with their types.
const FILES: [(&str, &str, &str); 25] = [
    ("style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("main.js", SCRIPT, include_str!("page/main.js")),
    ("api.js", SCRIPT, include_str!("page/api.js")),
    ("live.js", SCRIPT, include_str!("page/live.js")),
    ("dom.js", SCRIPT, include_str!("page/dom.js")),
    ("format.js", SCRIPT, include_str!("page/format.js")),
    ("chart.js", SCRIPT, include_str!("page/chart.js")),
    ("overview.js", SCRIPT, include_str!("page/overview.js")),
    ("engine.js", SCRIPT, include_str!("page/engine.js")),
    ("models.js", SCRIPT, include_str!("page/models.js")),
    ("operations.js", SCRIPT, include_str!("page/operations.js")),
    ("operate.js", SCRIPT, include_str!("page/operate.js")),
    ("overlay.js", SCRIPT, include_str!("page/overlay.js")),
    ("entry.js", SCRIPT, include_str!("page/entry.js")),
    ("alias_fields.js", SCRIPT, include_str!("page/alias_fields.js")),
    ("dialog.js", SCRIPT, include_str!("page/dialog.js")),
    ("report.js", SCRIPT, include_str!("page/report.js")),
    ("aliases.js", SCRIPT, include_str!("page/aliases.js")),
    ("requests.js", SCRIPT, include_str!("page/requests.js")),
    ("logs.js", SCRIPT, include_str!("page/logs.js")),
    ("gpus.js", SCRIPT, include_str!("page/gpus.js")),
    ("callers.js", SCRIPT, include_str!("page/callers.js")),
    ("configuration.js", SCRIPT, include_str!("page/configuration.js")),
    ("playground.js", SCRIPT, include_str!("page/playground.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page itself, with this version's number in it.
pub(super) fn index() -> Response {
    let html = include_str!("page/index.html").replace("VERSION", env!("CARGO_PKG_VERSION"));
    guarded(([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], html))
}

/// One of its files; 304 where the browser has it already.
pub(super) fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(known, ..)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = format!("\"{}\"", fingerprint(content));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let head = [(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "no-cache"), (header::ETAG, &tag)];
    if known { guarded((StatusCode::NOT_MODIFIED, head)) } else { guarded((head, *content)) }
}

/// FNV-1a with 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): tells versions of a file apart.
fn fingerprint(content: &str) -> String {
    let hash = content
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

fn guarded(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_is_named_is_there_and_all_are_small() {
        let known = |name: &str| FILES.iter().any(|(known, ..)| *known == name);
        for (name, _, content) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            for import in content.lines().filter_map(|line| line.split_once("from \"./")?.1.split_once('"')) {
                assert!(known(import.0), "{name} imports {}", import.0);
            }
            assert!(!content.contains("innerHTML"), "{name}: what is shown is text");
        }
        let html = include_str!("page/index.html");
        let named = html.split("\"/page/").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
        assert_eq!(named.inspect(|name| assert!(known(name), "{name}")).count(), 4);
        assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("style=\""));
        let all: usize = FILES.iter().map(|(.., content)| content.len()).sum();
        assert!(all + html.len() < 200_000, "{all}");
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin/page")).expect("the folder");
        assert_eq!(folder.count(), FILES.len() + 1, "a file is not served");
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let first = file("main.js", &HeaderMap::new());
        assert_eq!(first.status(), 200);
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone())]);
        assert_eq!(file("main.js", &headers).status(), 304);
        assert_eq!(file("style.css", &headers).status(), 200);
        assert_eq!(file("../mod.rs", &headers).status(), 404);
    }
}
