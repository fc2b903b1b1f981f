//! Forms as clients send them, and malformed ones.

use proptest::prelude::*;

use super::*;

const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n\
        RIFF\r\n--\r\nmodel\r\n--b\r\ncontent-disposition:form-data;name=model\r\n\r\nwhisper\r\n--b\r\n\
        Content-Disposition: form-data; name=\"stream\"\r\n\r\nTrue\r\n--b--\r\nepilogue";

fn peek(body: &str) -> Result<FormPeek, BadForm> {
    peek_form(body.as_bytes(), "b")
}

#[test]
fn boundaries_bare_and_quoted() {
    for (text, boundary) in [
        ("multipart/form-data; boundary=abc", Some("abc")),
        ("Multipart/Form-Data;charset=utf-8; Boundary=\"a b;c\" ", Some("a b;c")),
        ("multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk ; x=y", Some("----WebKitFormBoundary7MA4YWxk")),
        ("multipart/form-data; boundary=abc; charset=utf-7", None),
        ("multipart/form-data; boundary=abc; charset=UTF-8; charset=utf-7", None),
        ("multipart/form-data; boundary=abc; boundary*0=x", None),
        ("multipart/form-data; boundary=<abc>", None),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=\"\"", None),
        ("multipart/form-data; boundary=\"abc", None),
        ("multipart/form-data; boundary=\"abc \"", None),
        ("multipart/form-data; boundary=a; boundary=b", None),
        ("multipart/form-data; boundary=é", None),
        ("multipart/mixed; boundary=abc", None),
        ("application/json", None),
        ("", None),
    ] {
        assert_eq!(boundary_of(text).as_deref(), boundary, "{text}");
    }
    assert!(boundary_of(&format!("multipart/form-data; boundary={}", "x".repeat(70))).is_some());
    assert!(boundary_of(&format!("multipart/form-data; boundary={}", "x".repeat(71))).is_none());
}

#[test]
fn finds_fields_and_jumps_over_files() {
    let form = peek(FORM).expect("a form");
    assert_eq!(form.model(), Some("whisper"));
    let names: Vec<_> = form.parts.iter().map(|part| (&*part.name, part.file)).collect();
    assert_eq!(names, [("file", true), ("model", false), ("stream", false)]);
    assert_eq!(form.parts[0].value.of(FORM.as_bytes()), b"RIFF\r\n--\r\nmodel");
    assert!(form.parts[1].whole.of(FORM.as_bytes()).ends_with(b"whisper\r\n"));
    for lines in ["\r\n", "\n", "\r", "\n\n", "\r\r\n"] {
        // python-multipart skips them.
        assert_eq!(peek(&format!("{lines}{FORM}")).expect("a form").model(), Some("whisper"), "{lines:?}");
    }
    assert!(peek("--b--").expect("an empty form").parts.is_empty());
}

#[test]
fn names_are_unquoted() {
    for (header, name) in [
        ("form-data; name=\"a\\\"b\\\\c\\d\"", "a\"b\\c\\d"),
        ("form-data; name=a", "a"),
        ("FORM-DATA ; NAME = \"ä\" ;", "ä"),
        ("form-data; name=\"\"", ""),
    ] {
        let form = format!("--b\r\nContent-Disposition: {header}\r\n\r\n\r\n--b--");
        assert_eq!(&*peek(&form).expect(header).parts[0].name, name);
    }
}

#[test]
fn refuses_with_a_reason() {
    let part = |headers: &str| format!("--b\r\n{headers}\r\n\r\nx\r\n--b--\r\n");
    let named = |name: &str| part(&format!("Content-Disposition: form-data; {name}"));
    let model = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n";
    let at = 5;
    for (form, bad) in [
        (String::new(), BadForm::Empty),
        ("no form".into(), BadForm::NoDelimiter),
        (format!("preamble\r\n{FORM}"), BadForm::NoDelimiter),
        (format!(" \r\n{FORM}"), BadForm::NoDelimiter),
        (FORM.replacen("--b", "--b ", 1), BadForm::BadDelimiter { at: 0 }),
        ("--bc\r\n\r\n".into(), BadForm::BadDelimiter { at: 0 }),
        ("--b".into(), BadForm::NotClosed),
        ("--b\r\n".into(), BadForm::NotClosed),
        (FORM.replace("--b--", ""), BadForm::NotClosed),
        (FORM.replace("--b--", "--b-"), BadForm::BadDelimiter { at: FORM.find("--b--").expect("it") }),
        (part(""), BadForm::NoName { at }),
        (part("Content-Type: text/plain"), BadForm::NoName { at }),
        (part("no header"), BadForm::BadHeaders { at }),
        (part("A: b\r\n folded: c"), BadForm::BadHeaders { at }),
        (part("A: b\nC: d"), BadForm::BadHeaders { at }),
        (named("filename=\"x\""), BadForm::NoName { at }),
        (named("name=\"x\"; name=\"model\""), BadForm::NoName { at }),
        (named("name=\"x\"; name*=utf-8''model"), BadForm::NoName { at }),
        (named("name=\"x"), BadForm::NoName { at }),
        // Each of these has another name in Python.
        (named("name=x; name*0=mo; name*1=del"), BadForm::NoName { at }),
        (named("name=\"x\\\\\"; foo=\"; name=model; \""), BadForm::NoName { at }),
        (named("name=x\"; foo=\"; name=model; \""), BadForm::NoName { at }),
        (named("name=<model>"), BadForm::NoName { at }),
        (named("name=x; filename*=utf-8''a"), BadForm::NoName { at }),
        (named("name=model\u{a0}"), BadForm::NoName { at }),
        (named("name=x; name\u{1c}=model"), BadForm::BadHeaders { at }),
        (named("name=model\u{c}"), BadForm::BadHeaders { at }),
        (part("Content-Disposition: attachment; name=\"x\""), BadForm::NoName { at }),
        (
            part("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b"),
            BadForm::NoName { at },
        ),
        (part(&format!("A: {}", "x".repeat(MAX_HEADERS))), BadForm::BadHeaders { at }),
        (format!("{}--b--", model.replace("model", "x").repeat(MAX_PARTS + 1)), BadForm::TooManyParts),
        (format!("{model}{model}--b--"), BadForm::ModelTwice),
        (named("name=\"model\"; filename=\"\""), BadForm::ModelNotText),
        (
            format!("{}--b--", model.replace("\r\nm\r\n", &format!("\r\n{}\r\n", "m".repeat(MAX_MODEL + 1)))),
            BadForm::ModelNotText,
        ),
    ] {
        assert_eq!(peek(&form).expect_err(&form), bad, "{form}");
        assert_eq!(ApiError::from(bad).status, 400);
    }
    let latin1 = model.as_bytes().iter().map(|byte| if *byte == b'm' { 0xff } else { *byte });
    let mut latin1: Vec<u8> = latin1.collect();
    latin1.extend_from_slice(b"--b--");
    assert!(peek_form(&latin1, "b").is_err());
}

proptest! {
    #[test]
    fn pieces_of_forms_never_panic(pieces in prop::collection::vec(prop::sample::select(vec![
        "--b", "\r\n", "--", "Content-Disposition: form-data", "; name=\"", "model", "\"", "\\", ";", "=", "\r\n\r\n", "é", "\0",
    ]), 0..24)) {
        let text = pieces.concat();
        let _ = peek(&text);
        let _ = boundary_of(&text);
        let _ = parameters(&text);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = peek_form(&bytes, "b");
        let _ = peek_form(&[b"--b\r\n", &bytes[..]].concat(), "b");
    }
}
