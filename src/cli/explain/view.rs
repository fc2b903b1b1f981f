//! What is explained, as data: the text and the JSON are made of it.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::openai::Change;

/// A request, and what becomes of it.
#[derive(Debug, Serialize)]
pub(super) struct Explained {
    /// Its `model`.
    pub(super) name: String,
    /// The wildcard alias that answers to that name.
    pub(super) wildcard: Option<String>,
    /// The models and adapters that answer.
    pub(super) answered_by: Vec<String>,
    /// Where it is sent.
    pub(super) path: String,
    /// The address that its alias has to itself.
    pub(super) own_address: Option<SocketAddr>,
    /// Its body.
    pub(super) before: Body,
    /// All places where it may go; one of them, if only that is asked for.
    pub(super) places: Vec<Way>,
    /// There are several places.
    #[serde(skip)]
    pub(super) has_several: bool,
}

/// What becomes of it in one place.
#[derive(Debug, Serialize)]
pub(super) struct Way {
    /// What `split` or `fallback` says, or the name itself.
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) when: When,
    /// The model or adapter.
    pub(super) model: String,
    #[serde(flatten)]
    pub(super) done: Done,
}

/// When requests go to a place.
#[derive(Debug, Serialize)]
#[serde(tag = "when", rename_all = "snake_case")]
pub(super) enum When {
    Always,
    /// This part of them.
    Share {
        percent: f64,
    },
    /// When no place before it can take them.
    Fallback {
        number: usize,
    },
    /// Copies of them.
    Mirror {
        percent: f64,
    },
}

/// What is done with it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Done {
    /// An engine is asked.
    Asked(Asked),
    /// NeMo Gym's rules answer it themselves.
    Answered { status: u16, answer: Body },
}

/// What an engine is asked.
#[derive(Debug, Serialize)]
pub(super) struct Asked {
    /// How it comes that another path is asked.
    pub(super) by: By,
    /// The path that the engine is asked for.
    pub(super) asked_path: String,
    #[serde(serialize_with = "changes")]
    pub(super) changes: Vec<Change>,
    /// `model` becomes the name that the engine is asked for, which is not known here.
    pub(super) renamed_later: bool,
    /// Names of headers that are sent. Their values may be secret.
    pub(super) headers: Vec<String>,
    /// The body that the engine gets.
    pub(super) after: Body,
}

/// Which rules made the request for the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// Settings alone.
    Settings,
    /// It was translated before.
    Translation,
    /// NeMo Gym's rules: it is the first of what they ask.
    Gym,
}

/// A body: JSON as JSON, anything else as a string.
#[derive(Debug)]
pub(super) struct Body(pub(super) Vec<u8>);

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_slice::<Value>(&self.0) {
            Ok(value) => value.serialize(to),
            Err(_) => String::from_utf8_lossy(&self.0).serialize(to),
        }
    }
}

/// One change.
#[derive(Serialize)]
struct ChangeView<'a> {
    field: &'a str,
    /// Before; missing: it was not there (`null`: it was there with that value).
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<Body>,
    /// After; missing: it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<Body>,
    /// Which part of the settings made it.
    part: &'a str,
    /// Whose settings.
    origin: &'a str,
}

fn changes<S: Serializer>(all: &[Change], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(all.iter().map(change))
}

fn change(Change { origin, part, field, old, new }: &Change) -> ChangeView<'_> {
    let body = |text: &Option<String>| text.as_ref().map(|text| Body(text.clone().into_bytes()));
    ChangeView { field, old: body(old), new: body(new), part, origin }
}
