//! What a generation request asks for, checked as vLLM checks it.

use serde_json::{Map, Value};

use crate::sim::engine::Tempo;
use crate::sim::flags::Settings;
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::Fields;

/// Most `top_logprobs`.
const MAX_LOGPROBS: i64 = 20;

/// What the rate and length of an answer may be for this request: the flags, or its own headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) tempo: Tempo,
    pub(crate) tokens: usize,
}

/// Settings that chat, completions, responses and messages share.
#[derive(Clone, Debug)]
pub(crate) struct Params {
    pub(crate) n: usize,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) min_tokens: usize,
    pub(crate) ignore_eos: bool,
    pub(crate) stop: Vec<String>,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) continuous_usage: bool,
    pub(crate) token_ids: bool,
    pub(crate) prompt_logprobs: bool,
    /// `None`: thinks if the engine does.
    pub(crate) thinking: Option<bool>,
    /// Members worth mentioning in the answer, as `name=value`.
    pub(crate) mentions: Vec<String>,
}

/// Members that are the question itself, or only say how to send the answer.
const NOT_MENTIONED: &[&str] = &[
    "documents",
    "echo",
    "file",
    "input",
    "instructions",
    "messages",
    "model",
    "prompt",
    "stream",
    "stream_options",
    "system",
    "tools",
];

impl Params {
    /// Reads them. `max`: the members that may bound the answer, the first that is there counts.
    pub(crate) fn read(fields: &Fields, max: &[&'static str], settings: &Settings) -> Result<Self, Fail> {
        let stream = fields.flag("stream")?;
        let limits = max.iter().map(|name| fields.int(name)).collect::<Result<Vec<_>, _>>()?;
        let n = fields.int("n")?.unwrap_or(1);
        let options = fields.get("stream_options");
        if options.is_some() && !stream {
            return Err(Fail::bad(
                "Stream options can only be defined when `stream=True`. (parameter=stream_options)",
                Some("stream_options"),
            ));
        }
        let prompt_logprobs = fields.int("prompt_logprobs")?.is_some();
        if prompt_logprobs && stream {
            return Err(Fail::bad(
                "`prompt_logprobs` are not available when `stream=True`. (parameter=prompt_logprobs)",
                Some("prompt_logprobs"),
            ));
        }
        let option = |name: &str| options.and_then(|options| options.get(name)).and_then(Value::as_bool) == Some(true);
        let stop = match fields.get("stop").or_else(|| fields.get("stop_sequences")) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(all)) => all.iter().filter_map(|one| one.as_str().map(Into::into)).collect(),
            _ => Vec::new(),
        };
        let force = settings.args.enable_force_include_usage;
        Ok(Self {
            n: usize::try_from(n)
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| Fail::value("n", n, format_args!("n must be at least 1, got {n}.")))?,
            max_tokens: check_limit(limits.into_iter().flatten().next(), settings.args.max_model_len)?,
            min_tokens: usize::try_from(fields.int("min_tokens")?.unwrap_or(0)).unwrap_or(0),
            ignore_eos: fields.flag("ignore_eos")?,
            stop,
            stream,
            include_usage: option("include_usage") || force,
            continuous_usage: option("include_usage") && option("continuous_usage_stats") || force,
            token_ids: fields.flag("return_token_ids")?,
            prompt_logprobs,
            thinking: thinking(fields),
            mentions: mentions(&fields.0),
        })
    }

    /// Sampling settings that vLLM refuses, in its words; it looks at them after the model's name.
    pub(crate) fn check_sampling(fields: &Fields) -> Result<(), Fail> {
        if let Some(temperature) = fields.float("temperature")?.filter(|value| *value < 0.0) {
            let given = format!("{temperature:?}");
            return Err(Fail::value(
                "temperature",
                &given,
                format_args!("temperature must be non-negative, got {given}."),
            ));
        }
        if let Some(top_p) = fields.float("top_p")?.filter(|value| !(*value > 0.0 && *value <= 1.0)) {
            let given = format!("{top_p:?}");
            return Err(Fail::value("top_p", &given, format_args!("top_p must be in (0, 1], got {given}.")));
        }
        let logprobs = match fields.get("logprobs") {
            Some(Value::Bool(true)) => fields.int("top_logprobs")?,
            Some(Value::Number(number)) => number.as_i64(),
            _ => None,
        };
        match logprobs.filter(|wanted| *wanted > MAX_LOGPROBS) {
            None => Ok(()),
            Some(wanted) => {
                let what = "Requested sample logprobs of";
                let message = format_args!("{what} {wanted}, which is greater than max allowed: {MAX_LOGPROBS}");
                Err(Fail::value("logprobs", wanted, message))
            }
        }
    }

    /// Most tokens after a prompt of `prompt` tokens.
    ///
    /// # Errors
    /// The prompt alone is too long.
    pub(crate) fn room(&self, prompt: usize, settings: &Settings) -> Result<usize, Fail> {
        let limit = settings.args.max_model_len;
        // One token must be left to be generated.
        if prompt >= limit {
            return Err(Fail::too_long(limit));
        }
        Ok(self.max_tokens.unwrap_or(usize::MAX).min(limit - prompt))
    }
}

/// Whether the request says that the model shall think: to the template, or by how much effort.
fn thinking(fields: &Fields) -> Option<bool> {
    let template = fields.get("chat_template_kwargs");
    let said = template.and_then(|kwargs| kwargs.get("enable_thinking").or_else(|| kwargs.get("thinking")));
    let inner = |member: &str, name: &str| fields.get(member).and_then(|value| value.get(name)).and_then(Value::as_str);
    if let Some(said) = said.and_then(Value::as_bool) {
        return Some(said);
    }
    if inner("thinking", "type") == Some("disabled") {
        return Some(false);
    }
    let effort = fields.get("reasoning_effort").and_then(Value::as_str);
    let effort = effort.or_else(|| inner("reasoning", "effort")).or_else(|| inner("output_config", "effort"));
    effort.map(|effort| effort != "none")
}

/// The bound of an answer, which vLLM calls max_tokens in its messages, whatever the member's name was.
fn check_limit(given: Option<i64>, longest: usize) -> Result<Option<usize>, Fail> {
    let Some(value) = given else { return Ok(None) };
    let refused = |message: String| Err(Fail::value("max_tokens", value, message));
    match usize::try_from(value) {
        Ok(0) | Err(_) => refused(format!("max_tokens must be at least 1, got {value}.")),
        Ok(tokens) if tokens > longest => refused(format!(
            "max_tokens={tokens} cannot be greater than max_model_len={longest}. Please request fewer output tokens."
        )),
        Ok(tokens) => Ok(Some(tokens)),
    }
}

fn mentions(members: &Map<String, Value>) -> Vec<String> {
    members
        .iter()
        .filter(|(name, value)| !NOT_MENTIONED.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| {
            let mut text = value.as_str().map_or_else(|| value.to_string(), Into::into);
            if let Some((end, _)) = text.char_indices().nth(200) {
                text.truncate(end);
                text.push('…');
            }
            format!("{name}={text}")
        })
        .collect()
}
