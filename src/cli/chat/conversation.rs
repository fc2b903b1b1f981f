//! A conversation: what was said, and the request for the next answer; pure.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::cli::data_port::Setting;

/// What was said so far.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    alias: String,
    system: Option<String>,
    settings: Vec<Setting>,
    stream: bool,
    messages: Vec<Value>,
}

impl Conversation {
    pub(super) fn new(alias: &str, system: Option<String>, settings: Vec<Setting>, stream: bool) -> Self {
        Self { alias: alias.to_owned(), system, settings, stream, messages: Vec::new() }
    }

    /// The user says something.
    pub(super) fn say(&mut self, text: String) {
        self.messages.push(json!({ "role": "user", "content": text }));
    }

    /// The model has answered, in whole or in part.
    pub(super) fn answered(&mut self, text: &str) {
        self.messages.push(json!({ "role": "assistant", "content": text }));
    }

    /// Takes back what the user said last: there is no answer to it.
    pub(super) fn take_back(&mut self) {
        self.messages.pop();
    }

    /// Forgets what was said, but not the system message.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }

    pub(super) fn set_system(&mut self, text: Option<String>) {
        self.system = text;
    }

    /// The request for the next answer.
    pub(super) fn request(&self) -> Request {
        let mut body = Map::new();
        body.insert("model".into(), self.alias.clone().into());
        let system = self.system.iter().map(|text| json!({ "role": "system", "content": text }));
        body.insert("messages".into(), system.chain(self.messages.iter().cloned()).collect());
        if self.stream {
            body.insert("stream".into(), true.into());
            body.insert("stream_options".into(), json!({ "include_usage": true }));
        }
        Setting::apply(&self.settings, &mut body);
        let is_stream = body.get("stream") == Some(&Value::Bool(true));
        Request { body: Value::Object(body).to_string().into(), is_stream }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// JSON.
    pub(super) body: Bytes,
    /// Whether it asks for a stream.
    pub(super) is_stream: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(conversation: &Conversation) -> String {
        let body: Value = serde_json::from_slice(&conversation.request().body).expect("JSON");
        let all = body["messages"].as_array().expect("messages");
        all.iter().map(|one| format!("{}:{} ", &one["role"].as_str().expect("a role")[..1], one["content"])).collect()
    }

    #[test]
    fn the_model_gets_what_was_said() {
        let mut conversation = Conversation::new("a", Some("s".into()), vec![], true);
        conversation.say("1".into());
        conversation.answered("2");
        conversation.say("3".into());
        assert_eq!(messages(&conversation), r#"s:"s" u:"1" a:"2" u:"3" "#);
        conversation.take_back();
        conversation.set_system(None);
        assert_eq!(messages(&conversation), r#"u:"1" a:"2" "#);
        conversation.clear();
        assert_eq!(messages(&conversation), "");
    }

    #[test]
    fn settings_win() {
        let settings = vec!["temperature=0".parse().expect("a setting"), "stream=false".parse().expect("a setting")];
        let request = Conversation::new("a", None, settings, true).request();
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert!(body["temperature"] == 0 && body["model"] == "a" && !request.is_stream);
    }
}
