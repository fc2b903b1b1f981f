//! Forms are read as engines read them: compared with Starlette and python-multipart, which vLLM uses.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use enginehouse::openai::{boundary_of, peek_form};
use serde_json::{Value, json};

use crate::support::python;

/// How many forms are compared.
const FORMS: usize = 20_000;

/// What forms are made of, besides what they should be.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "\r\n", "\n", "\r", "--b", "--b--", "--", "-", " ", "\t", "\"", "\\", "\\\"", "\\\\\"", ";", "=", "<", ">", "'", "*", "*0",
    "*0*", "name=model", "name=\"model\"", "; name=x", "; name=\"", "filename=\"a\"", "; filename*=utf-8''a", "\u{1c}",
    "\u{a0}", "\u{c}", "é", "\0", "model", "Content-Disposition", "content-disposition: form-data; name=model",
    "Content-Type: text/plain", "\r\n\r\n", "\r\n--b\r\n", "\r\n--b--\r\n", "\r\n ", ":", "x", ",", "charset", "utf-7", "%6d",
];

struct Random(fastrand::Rng);

impl Random {
    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.0.usize(..from.len())]
    }

    /// A form with what it should have, here and there something else.
    fn form(&mut self) -> String {
        let mut form = String::from(self.pick(&["", "", "", "", "\r\n", "\n", "\n\n", "\r", "x\r\n"]));
        for _ in 0..self.0.usize(1..4) {
            let name = self.pick(&["model", "model", "file", "a", "top_p"]);
            let after = self.pick(&["", "", "", "; filename=\"a.wav\"", "; filename=a"]);
            let name = self
                .pick(&["name=\"N\"", "name=\"N\"", "name=N", "name=N ", "NAME = \"N\"", "x=\"y\"; name=N"])
                .replace('N', name);
            let value = self.pick(&["whisper", "", "a\r\nb", "\r\n--", "RIFF\0\u{1}", "é"]);
            write!(form, "--b\r\nContent-Disposition: form-data; {name}{after}\r\n\r\n{value}\r\n").expect("text");
        }
        form.push_str(self.pick(&["--b--\r\n", "--b--", "--b--\r\nepilogue", "--b\r\n", ""]));
        self.mutate(form)
    }

    fn content_type(&mut self) -> String {
        let whole = self.pick(&[
            "multipart/form-data; boundary=b",
            "multipart/form-data; boundary=\"b\"",
            "Multipart/Form-Data;charset=utf-8; Boundary=b",
        ]);
        if self.0.u8(..8) > 0 { whole.into() } else { self.mutate(whole.into()) }
    }

    /// A few pieces put in, taken out or put in the place of others.
    fn mutate(&mut self, mut text: String) -> String {
        for _ in 0..self.0.usize(..6).saturating_sub(3) {
            let at = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect::<Vec<_>>();
            let from = self.0.usize(..at.len());
            let to = (from + self.0.usize(..4)).min(at.len() - 1);
            text.replace_range(at[from]..at[to], self.pick(PIECES));
        }
        text
    }
}

/// What the gateway makes of a form, as the script of Starlette prints it.
fn ours(content_type: &str, body: &[u8]) -> Option<Value> {
    let form = peek_form(body, &boundary_of(content_type)?).ok()?;
    let field = |(name, is_file, value): (&str, bool, &[u8])| json!([name, is_file, BASE64_STANDARD.encode(value)]);
    Some(form.fields(body).map(field).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_read_as_engines_read_it_or_refused() {
    let Some(python) = python::with("starlette, python_multipart") else { return };
    let mut random = Random(fastrand::Rng::with_seed(7578));
    let cases: Vec<_> = (0..FORMS).map(|_| (random.content_type(), random.form())).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("forms");
    let lines: String = cases
        .iter()
        .map(|(kind, body)| json!({ "type": kind, "body": BASE64_STANDARD.encode(body) }).to_string() + "\n")
        .collect();
    std::fs::write(&file, lines).expect("written");
    let theirs = python.lines("read_forms.py", &[file]).await;
    assert_eq!(theirs.len(), FORMS);
    let (mut equal, mut refused) = (0, 0);
    for ((kind, body), theirs) in cases.iter().zip(theirs) {
        let theirs: Value = serde_json::from_str(&theirs).expect("JSON");
        match ours(kind, body.as_bytes()) {
            // What engines refuse they may refuse.
            Some(ours) if !theirs.is_null() => {
                assert_eq!(ours, theirs, "{kind:?} {body:?}");
                equal += 1;
            }
            Some(_) => {}
            None => refused += usize::from(!theirs.is_null()),
        }
    }
    println!("{equal} forms are read alike, {refused} are refused that engines would read");
    assert!(equal > FORMS / 8, "{equal}");
}
