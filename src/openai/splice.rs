//! Turns rules into edits of a JSON body: bytes that no rule names stay exactly as the client sent them.

use bytes::{Buf, BytesMut};
use serde_json::Value;
use smallvec::SmallVec;

use super::Peek;
use super::json::{Fault, Member, Scanner, Span};
use super::patch::{Edit, Edits, apply};
use super::rules::{Fill, Limit, Present, Rules};
use super::text::says;

/// Beyond this many edits earlier duplicates of a nested key stay: the last one counts anyway, and the list stays small.
const MAX_EDITS: usize = 16_384;

/// Applies `rules` to `body` and names it `model`, where given and other than what the client said. Drops a byte order mark.
///
/// `peek` must come from these very bytes, and is stale afterwards if they changed. Returns whether they did.
/// In place where `body` has room for the result.
pub fn rewrite(body: &mut BytesMut, peek: &Peek, rules: &Rules, model: Option<&str>) -> bool {
    let rename = model.filter(|model| peek.model() != Some(model)).map(|model| Fill::new("model", &Value::from(model)));
    let edits = edits(body, peek, rules, rename.as_ref());
    let changed = !edits.is_empty() || peek.bom();
    if !edits.is_empty() {
        apply(body, &edits);
    }
    if peek.bom() {
        body.advance(peek.start().min(body.len()));
    }
    changed
}

/// What has to change in `body`.
pub(super) fn edits<'a>(body: &[u8], peek: &Peek, rules: &'a Rules, rename: Option<&'a Fill>) -> Edits<'a> {
    let mut edits = Edits::new();
    if !rules.is_empty() || rename.is_some() {
        object(&mut edits, body, peek.object, Members::Seen(&peek.members), rules, rename);
    }
    edits
}

/// What `rules` change in the JSON object that is `span` of `body`; nothing when it is none.
pub(super) fn nested<'a>(edits: &mut Edits<'a>, body: &[u8], span: Span, rules: &'a Rules) {
    if !rules.is_empty() {
        object(edits, body, span, Members::Unseen, rules, None);
    }
}

/// Where an object's members come from.
#[derive(Clone, Copy)]
enum Members<'p> {
    /// Noted before.
    Seen(&'p [Member]),
    /// To be found by reading the object.
    Unseen,
}

impl Members<'_> {
    fn each(self, body: &[u8], span: Span, mut each: impl FnMut(Member)) {
        match self {
            Self::Seen(members) => members.iter().copied().for_each(each),
            Self::Unseen => {
                // It was checked before; a fault here means wrong bytes, and nothing is edited past it.
                let _ = Scanner::new(body.get(..span.end as usize).unwrap_or_default(), span.start as usize)
                    .members::<Fault>(|member| {
                        each(member);
                        Ok(())
                    });
            }
        }
    }
}

fn object<'a>(
    edits: &mut Edits<'a>,
    body: &[u8],
    span: Span,
    members: Members<'_>,
    rules: &'a Rules,
    rename: Option<&'a Fill>,
) {
    // Of members with one key the last counts: find it first. 0 is "not seen": before any key there is a brace.
    let mut last: SmallVec<[u32; 16]> = SmallVec::from_elem(0, rules.nodes().len());
    members.each(body, span, |member| {
        if let Some(last) = rules.find(member.key.of(body)).and_then(|index| last.get_mut(index)) {
            *last = member.key.start;
        }
    });
    let mut list = List { edits, gap: None, kept_end: None, end: span.start + 1 };
    let mut rename_left = rename;
    members.each(body, span, |member| {
        let key = member.key.of(body);
        if rename.is_some() && says(key, "model") {
            list.keep(member);
            list.replace(body, member.value, rename_left.take().map(Fill::value));
            return;
        }
        let Some((index, node)) = rules.find(key).and_then(|index| Some((index, rules.nodes().get(index)?))) else {
            return list.keep(member);
        };
        let superseded = last.get(index).is_some_and(|last| *last != member.key.start);
        match &node.present {
            Present::Keep => list.keep(member),
            Present::Strip => list.drop(member),
            _ if superseded => {
                if list.edits.len() < MAX_EDITS {
                    list.drop(member)
                } else {
                    list.keep(member)
                }
            }
            Present::Fixed(fill) => {
                list.keep(member);
                list.replace(body, member.value, Some(fill.value()));
            }
            Present::Shape { limit, children, other } => {
                list.keep(member);
                if body.get(member.value.start as usize) == Some(&b'{') {
                    nested(list.edits, body, member.value, children);
                } else if let Some(fill) = other {
                    list.replace(body, member.value, Some(fill.value()));
                } else if let Some(limit) = limit {
                    list.replace(body, member.value, clamped(limit, member.value.of(body)));
                }
            }
        }
    });
    let missing = rules.nodes().iter().zip(&last).filter(|(_, last)| **last == 0).map(|(node, _)| node.absent.as_ref());
    list.finish(missing.chain([rename_left]).flatten());
}

fn clamped<'a>(limit: &'a Limit, raw: &[u8]) -> Option<&'a [u8]> {
    limit.exceeded_by_json(raw).then(|| limit.fill.value())
}

/// Edits of one object, member by member, with the commas right.
struct List<'e, 'a> {
    edits: &'e mut Edits<'a>,
    /// Where the members dropped last begin, when no member was kept since.
    gap: Option<u32>,
    /// Where the member kept last ends.
    kept_end: Option<u32>,
    /// Where the last member ends, or the place after the brace.
    end: u32,
}

impl<'a> List<'_, 'a> {
    /// Drops `member`, with one comma: the one after it here, or in [`List::finish`] the one before it.
    fn drop(&mut self, member: Member) {
        self.gap.get_or_insert(member.key.start - 1);
        self.end = member.value.end;
    }

    fn keep(&mut self, member: Member) {
        if let Some(start) = self.gap.take() {
            self.edits.push(Edit { old: Span { start, end: member.key.start - 1 }, new: b"" });
        }
        self.kept_end = Some(member.value.end);
        self.end = member.value.end;
    }

    /// Replaces `value`, unless `new` says the same.
    fn replace(&mut self, body: &[u8], value: Span, new: Option<&'a [u8]>) {
        if let Some(new) = new
            && new != value.of(body)
        {
            self.edits.push(Edit { old: value, new });
        }
    }

    /// Drops what is still to be dropped and appends `missing`.
    fn finish(self, missing: impl Iterator<Item = &'a Fill>) {
        if let Some(gap) = self.gap {
            self.edits.push(Edit { old: Span { start: self.kept_end.unwrap_or(gap), end: self.end }, new: b"" });
        }
        let mut first = self.kept_end.is_none();
        for fill in missing {
            self.edits.push(Edit { old: Span { start: self.end, end: self.end }, new: fill.member(first) });
            first = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;
    use crate::openai::peek;
    use crate::openai::testing::{Settings, object, settings};

    fn set(remove: &[&str], defaults: Value, limits: Value, overrides: Value) -> Rules {
        let map = |value: Value| value.as_object().cloned().expect("an object");
        let remove = remove.iter().map(ToString::to_string).collect();
        Settings { remove, defaults: map(defaults), limits: map(limits), overrides: map(overrides) }.rules()
    }

    fn none() -> Value {
        json!({})
    }

    fn rewritten(body: &str, rules: &Rules, model: Option<&str>) -> String {
        let mut bytes = BytesMut::from(body);
        let peek = peek(&bytes).expect(body);
        let changed = rewrite(&mut bytes, &peek, rules, model);
        assert_eq!(changed, bytes != body.as_bytes(), "{body}");
        String::from_utf8(bytes.to_vec()).expect("UTF-8")
    }

    #[test]
    fn the_model_is_renamed_and_nothing_else() {
        let no = Rules::default();
        for (body, expected) in [
            (r#"{"model":"a","x":1.50}"#, r#"{"model":"engine \"1\"","x":1.50}"#),
            (r#" { "x" : "\u00e9" , "mod\u0065l" : "a" } "#, r#" { "x" : "\u00e9" , "mod\u0065l" : "engine \"1\"" } "#),
            (r#"{"model":"engine \u00221\u0022"}"#, r#"{"model":"engine \u00221\u0022"}"#),
            (r#"{"x":1}"#, r#"{"x":1,"model":"engine \"1\""}"#),
            ("{ }", r#"{"model":"engine \"1\"" }"#),
            ("\u{feff}{}", r#"{"model":"engine \"1\""}"#),
        ] {
            assert_eq!(rewritten(body, &no, Some("engine \"1\"")), expected);
        }
        assert_eq!(rewritten(r#"{"model":"a"}"#, &no, None), r#"{"model":"a"}"#);
        assert_eq!(rewritten("\u{feff}{\"model\":\"a\"}", &no, None), r#"{"model":"a"}"#);
    }

    #[test]
    fn removal_takes_exactly_one_comma() {
        let rules = set(&["a", "b"], none(), none(), none());
        for (body, expected) in [
            (r#"{"a":1}"#, "{}"),
            (r#"{ "a" : 1 }"#, "{  }"),
            (r#"{"a":1,"b":2}"#, "{}"),
            (r#"{"a":1,"x":3,"b":2}"#, r#"{"x":3}"#),
            (r#"{"x":3,"a":1,"b":[{"a":1}]}"#, r#"{"x":3}"#),
            (r#"{"x":3 , "a":1 , "b":2 , "y":{"a":1} }"#, r#"{"x":3 , "y":{"a":1} }"#),
            (r#"{"a":1,"a":2,"x":3,"\u0061":4}"#, r#"{"x":3}"#),
        ] {
            assert_eq!(rewritten(body, &rules, None), expected);
        }
    }

    #[test]
    fn removed_then_filled_is_replaced_in_place() {
        let rules = set(&["a"], json!({"a": 7}), none(), none());
        assert_eq!(rewritten(r#"{"a":1,"x":2}"#, &rules, None), r#"{"a":7,"x":2}"#);
        assert_eq!(rewritten(r#"{"x":2}"#, &rules, None), r#"{"x":2,"a":7}"#);
    }

    #[test]
    fn defaults_speak_where_the_client_is_silent() {
        let rules = set(&[], json!({"t": 0.6, "o": {"x": 1, "y": {"z": 2}}}), none(), none());
        for (body, expected) in [
            ("{}", r#"{"o":{"x":1,"y":{"z":2}},"t":0.6}"#),
            (r#"{"t":null,"o":null}"#, r#"{"t":null,"o":null}"#),
            (r#"{"t":1,"o":"no"}"#, r#"{"t":1,"o":"no"}"#),
            (r#"{"t":1,"o":{}}"#, r#"{"t":1,"o":{"x":1,"y":{"z":2}}}"#),
            (r#"{"t":1,"o":{ "y" : { } , "x" : 5 }}"#, r#"{"t":1,"o":{ "y" : {"z":2 } , "x" : 5 }}"#),
            (r#"{"t":1,"t":2,"o":7}"#, r#"{"t":1,"t":2,"o":7}"#),
        ] {
            assert_eq!(rewritten(body, &rules, None), expected);
        }
    }

    #[test]
    fn limits_clamp_numbers_only() {
        let rules = set(&[], none(), json!({"m": 8192, "o": {"n": 2.5}}), none());
        for (body, expected) in [
            (r#"{"m":8193}"#, r#"{"m":8192}"#),
            (r#"{"m":1e9,"o":{"n":2.50001,"m":9999}}"#, r#"{"m":8192,"o":{"n":2.5,"m":9999}}"#),
            (r#"{"m":8192.0}"#, r#"{"m":8192.0}"#),
            (r#"{"m":null,"o":[9]}"#, r#"{"m":null,"o":[9]}"#),
            (r#"{"m":"9000"}"#, r#"{"m":8192}"#),
            (r#"{"m":1,"m":9000}"#, r#"{"m":8192}"#),
            (r#"{"m":9000,"x":0,"m":1}"#, r#"{"x":0,"m":1}"#),
            ("{}", "{}"),
        ] {
            assert_eq!(rewritten(body, &rules, None), expected);
        }
    }

    #[test]
    fn overrides_win_and_objects_merge() {
        let rules = set(&[], none(), none(), json!({"k": {"think": false}, "l": [1], "s": "x"}));
        for (body, expected) in [
            ("{}", r#"{"k":{"think":false},"l":[1],"s":"x"}"#),
            (r#"{"k":{"a":1},"l":[2,3],"s":1}"#, r#"{"k":{"a":1,"think":false},"l":[1],"s":"x"}"#),
            (
                r#"{"k":{"think":true,"a":{"think":true}},"l":{},"s":null}"#,
                r#"{"k":{"think":false,"a":{"think":true}},"l":[1],"s":"x"}"#,
            ),
            (r#"{"k":"no","l":[1],"s":"x"}"#, r#"{"k":{"think":false},"l":[1],"s":"x"}"#),
            (r#"{"k":{"think":0,"think":1},"s":0,"l":[1],"s":1}"#, r#"{"k":{"think":false},"l":[1],"s":"x"}"#),
        ] {
            assert_eq!(rewritten(body, &rules, None), expected);
        }
    }

    #[test]
    fn order_is_remove_defaults_limits_overrides() {
        let rules = set(&["a"], json!({"a": 9, "b": 9}), json!({"a": 5, "b": 5, "c": 5}), json!({"c": 9}));
        assert_eq!(rewritten(r#"{"a":1,"b":7,"c":1}"#, &rules, Some("m")), r#"{"a":5,"b":5,"c":9,"model":"m"}"#);
    }

    #[test]
    fn a_flood_of_nested_duplicates_is_bounded() {
        let body = format!(r#"{{"k":{{{}"think":true}}}}"#, r#""think":1,"x":2,"#.repeat(MAX_EDITS + 10));
        let rules = set(&[], none(), none(), json!({"k": {"think": false}}));
        let value: Value = serde_json::from_str(&rewritten(&body, &rules, None)).expect("JSON");
        assert_eq!(value["k"]["think"], false);
    }

    /// An object written with odd spacing and escaped keys, with duplicates possible.
    fn odd_body() -> impl Strategy<Value = String> {
        let member = (object(2), 0usize..3, any::<bool>());
        prop::collection::vec(member, 0..4).prop_map(|objects| {
            let mut members = Vec::new();
            for (map, space, escape) in objects {
                let space = &" \n\t"[..space];
                for (key, value) in map {
                    let mut key = Value::from(key).to_string();
                    if escape {
                        key = key.replacen('a', "\\u0061", 1);
                    }
                    members.push(format!("{space}{key}{space}:{space}{value:#}{space}"));
                }
            }
            format!(" {{{}}}\n", members.join(","))
        })
    }

    proptest! {
        #[test]
        fn equals_the_naive_tree(body in odd_body(), settings in settings(), model in prop::option::of("[a-z\"é]{0,8}")) {
            let rules = settings.rules();
            let apply = |tree| {
                let mut tree: Map<String, Value> = settings.apply_tree(tree);
                if let Some(model) = &model {
                    tree.insert("model".into(), Value::from(model.clone()));
                }
                tree
            };
            let once_tree = apply(serde_json::from_str(&body).expect("JSON"));
            let once = rewritten(&body, &rules, model.as_deref());
            let got: Map<String, Value> = serde_json::from_str(&once).expect("the result parses");
            prop_assert_eq!(&got, &once_tree, "{} -> {}", body, once);
            // Twice is once, to the byte, unless the rules themselves say otherwise: an override's object in the place
            // of a client's scalar is met by nested defaults only the second time.
            if apply(once_tree.clone()) == once_tree {
                prop_assert_eq!(&rewritten(&once, &rules, model.as_deref()), &once);
            }
        }

        #[test]
        fn members_without_a_rule_keep_their_bytes_and_order(body in odd_body(), settings in settings()) {
            let once = rewritten(&body, &settings.rules(), Some("m"));
            let unnamed = |text: &str| -> Vec<(String, String)> {
                let peek = peek(text.as_bytes()).expect("JSON");
                let text = |span: Span| String::from_utf8_lossy(span.of(text.as_bytes())).into_owned();
                let named = |key: &str| {
                    let decoded: String = serde_json::from_str(&format!("\"{key}\"")).expect("a key");
                    settings.names(&decoded) || says(key.as_bytes(), "model")
                };
                peek.members.iter().map(|m| (text(m.key), text(m.value))).filter(|(key, _)| !named(key)).collect()
            };
            prop_assert_eq!(unnamed(&body), unnamed(&once));
        }

        /// A peek of other bytes is a caller's mistake, but not a crash.
        #[test]
        fn a_wrong_peek_never_panics(body in odd_body(), other in ".{0,40}", settings in settings()) {
            let peek = peek(body.as_bytes()).expect("JSON");
            let edits = edits(other.as_bytes(), &peek, &settings.rules(), None).len();
            prop_assert!(edits < 10_000);
        }
    }
}
