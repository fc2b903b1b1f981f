//! The bodies of the requests: random prompts, or those of a file.

use std::path::Path;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::args::{Api, Content};
use crate::cli::data_port::Setting;

/// Words that most tokenizers know as one token, with the space before them.
const WORDS: &str = "time year people way day man thing woman life child world school state family student group country \
    problem hand part place case week company system program question work government number night point home water room \
    mother area money story fact month lot right study book eye job word business issue side kind head house service friend \
    father power hour game line end member law car city community name president team minute idea body information back \
    parent face others level office door health person art war history party result change morning reason research girl \
    guy moment air teacher force education";

/// Longest file of prompts.
const LONGEST: u64 = 1 << 30;

/// What is asked, request after request.
#[derive(Debug)]
pub(super) struct Prompts {
    api: Api,
    base: Map<String, Value>,
    last: Vec<Setting>,
    seed: u64,
    words: Vec<&'static str>,
    source: Source,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Prompt {
    /// JSON.
    pub(super) body: Bytes,
    /// Whether it asks for a stream.
    pub(super) is_stream: bool,
}

#[derive(Debug)]
enum Source {
    Random { length: u64 },
    File(Vec<Map<String, Value>>),
}

impl Prompts {
    /// Requests for `alias`.
    ///
    /// # Errors
    /// In words, when the file cannot be read or understood.
    pub(super) fn new(alias: &str, content: &Content, seed: u64) -> Result<Self, String> {
        let source = match &content.prompts {
            None => Source::Random { length: content.input_tokens },
            Some(file) => Source::File(read(file, content.api).map_err(|why| format!("{}: {why}", file.display()))?),
        };
        let mut base = Map::new();
        base.insert("model".into(), alias.into());
        base.insert("max_tokens".into(), content.max_tokens.into());
        if !content.no_stream {
            base.insert("stream".into(), true.into());
            base.insert("stream_options".into(), json!({ "include_usage": true }));
        }
        let words = WORDS.split_whitespace().collect();
        Ok(Self { api: content.api, base, last: content.set.clone(), seed, words, source })
    }

    /// Request `number`: the same for the same number and seed.
    pub(super) fn request(&self, number: u64) -> Prompt {
        let mut body = self.base.clone();
        match &self.source {
            Source::Random { length } => self.ask(&mut body, self.random(number, *length)),
            Source::File(lines) => {
                let line = usize::try_from(number % lines.len().max(1) as u64).ok().and_then(|place| lines.get(place));
                body.extend(line.cloned().unwrap_or_default());
            }
        }
        Setting::apply(&self.last, &mut body);
        let is_stream = body.get("stream") == Some(&Value::Bool(true));
        Prompt { body: Value::Object(body).to_string().into(), is_stream }
    }

    fn ask(&self, body: &mut Map<String, Value>, text: String) {
        let (name, value) = asked(self.api, text);
        body.insert(name.into(), value);
    }

    fn random(&self, number: u64, length: u64) -> String {
        // Neighbouring seeds give unlike sequences.
        let mut random = fastrand::Rng::with_seed(self.seed.rotate_left(32) ^ number);
        let mut text = String::new();
        for place in 0..length {
            if place > 0 {
                text.push(' ');
            }
            text.push_str(random.choice(&self.words).unwrap_or(&"word"));
        }
        text
    }
}

fn asked(api: Api, text: String) -> (&'static str, Value) {
    match api {
        Api::Chat => ("messages", json!([{ "role": "user", "content": text }])),
        Api::Completions => ("prompt", text.into()),
    }
}

fn read(file: &Path, api: Api) -> Result<Vec<Map<String, Value>>, String> {
    let size = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > LONGEST {
        return Err("the file has more than 1 GiB".into());
    }
    lines(&std::fs::read_to_string(file).map_err(|error| error.to_string())?, api)
}

/// The members that each line of `text` sets.
fn lines(text: &str, api: Api) -> Result<Vec<Map<String, Value>>, String> {
    let filled = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(number, text): (usize, &str)| line(text, api).map_err(|why| format!("line {}: {why}", number + 1));
    let all = filled.map(read).collect::<Result<Vec<_>, _>>()?;
    if all.is_empty() { Err("there is no prompt in it".into()) } else { Ok(all) }
}

fn line(text: &str, api: Api) -> Result<Map<String, Value>, String> {
    let plain = |text: String| {
        let (name, value) = asked(api, text);
        Map::from_iter([(name.to_owned(), value)])
    };
    if !text.trim_start().starts_with('{') {
        return Ok(plain(text.trim().to_owned()));
    }
    let mut object: Map<String, Value> = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    match (api, object.get("messages"), object.get("prompt")) {
        (Api::Chat, Some(Value::Array(_)), _) | (Api::Completions, _, Some(Value::String(_) | Value::Array(_))) => {
            Ok(object)
        }
        (Api::Chat, None, Some(Value::String(_))) => {
            let Some(Value::String(prompt)) = object.remove("prompt") else { return Err("no prompt".into()) };
            object.extend(plain(prompt));
            Ok(object)
        }
        (Api::Chat, ..) => Err("`messages` (a list) or `prompt` (a text) is expected".into()),
        (Api::Completions, Some(_), None) => Err("it has `messages`, which need --api chat".into()),
        (Api::Completions, ..) => Err("`prompt` is expected".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(api: Api) -> Content {
        Content { input_tokens: 9, prompts: None, max_tokens: 5, no_stream: false, api, set: Vec::new() }
    }

    fn body(prompts: &Prompts, number: u64) -> Value {
        serde_json::from_slice(&prompts.request(number).body).expect("JSON")
    }

    #[test]
    fn random_prompts_have_their_length_and_repeat_with_the_seed_only() {
        let of = |seed| Prompts::new("a", &content(Api::Completions), seed).expect("prompts");
        let text = |seed, number| body(&of(seed), number)["prompt"].as_str().expect("a text").to_owned();
        assert_eq!(text(1, 5).split(' ').count(), 9);
        assert_eq!(text(1, 5), text(1, 5));
        let all: std::collections::BTreeSet<_> =
            (0..200).flat_map(|number| [text(1, number), text(2, number)]).collect();
        assert_eq!(all.len(), 400, "no two are the same");
    }

    #[test]
    fn bodies_ask_for_streams_with_usage_and_settings_win() {
        let set = vec!["max_tokens=7".parse().expect("a setting"), "seed=1".parse().expect("a setting")];
        let asked = Prompts::new("a", &Content { set, ..content(Api::Chat) }, 0).expect("prompts");
        let found = body(&asked, 0);
        assert_eq!((&found["model"], &found["max_tokens"], &found["seed"]), (&json!("a"), &json!(7), &json!(1)));
        assert_eq!(found["stream_options"], json!({ "include_usage": true }));
        assert_eq!(found["messages"][0]["role"], "user");
        assert!(asked.request(0).is_stream);
        let plain = Prompts::new("a", &Content { no_stream: true, ..content(Api::Chat) }, 0).expect("prompts");
        assert!(!plain.request(0).is_stream && body(&plain, 0).get("stream").is_none());
    }

    #[test]
    fn files_have_texts_and_objects() {
        let text = "How are you?\n\n{\"prompt\": \"b\", \"max_tokens\": 3}\n{\"messages\": [{\"role\": \"user\", \"content\": \"c\"}]}\n";
        let chat = lines(text, Api::Chat).expect("lines");
        let texts: Vec<_> = chat.iter().map(|line| line["messages"][0]["content"].clone()).collect();
        assert_eq!(texts, ["How are you?", "b", "c"]);
        assert_eq!((chat[1].get("prompt"), &chat[1]["max_tokens"]), (None, &json!(3)));
        for (text, api, why) in [
            (text, Api::Completions, "line 4: it has `messages`"),
            ("a\n{", Api::Chat, "line 2: no JSON"),
            ("{\"messages\": 1}", Api::Chat, "line 1: `messages` (a list)"),
            ("{}", Api::Completions, "line 1: `prompt` is expected"),
            (" \n", Api::Chat, "no prompt"),
        ] {
            let found = lines(text, api).expect_err(text);
            assert!(found.contains(why), "{found}");
        }
    }
}
