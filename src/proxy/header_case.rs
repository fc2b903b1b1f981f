//! The case of header names as they came: Pingora keeps it in a map beside the headers, so that every copy is twice as large and
//! every change is made twice. Nobody here asks for it (RFC 9110, 5.1: names mean the same in any case), so it is forgotten.

use http::request;
use pingora::http::RequestHeader;

/// Forgets it. A target that is no text stays as it came, and so does the case of its headers.
pub(super) fn forget(head: &mut RequestHeader) {
    if head.has_case()
        && head.raw_path_is_utf8()
        && let Ok(empty) = RequestHeader::build_no_case("GET", b"/", Some(0))
    {
        let parts: request::Parts = std::mem::replace(head, empty).into();
        *head = parts.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_case_of_names_stays() {
        let mut request = RequestHeader::build("POST", b"/v1/x?a=b", None).expect("a head");
        request.append_header("X-Twice", "1").expect("valid");
        request.append_header("x-twice", "2").expect("valid");
        forget(&mut request);
        let twice: Vec<_> = request.headers.get_all("x-twice").iter().map(|value| value.as_bytes()).collect();
        assert_eq!(
            (request.method.as_str(), request.raw_path(), twice),
            ("POST", &b"/v1/x?a=b"[..], vec![b"1", &b"2"[..]])
        );
        assert!(!request.has_case());
    }

    #[test]
    fn a_target_that_is_no_text_stays_as_it_came() {
        let mut request = RequestHeader::build("GET", b"/\xff", None).expect("a head");
        forget(&mut request);
        assert_eq!(request.raw_path(), b"/\xff");
    }
}
