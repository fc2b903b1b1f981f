//! Embeddings, scores, ranks and classes: numbers made from the text alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::generate::{ApiReply, ApiRequest, Head};
use super::tokens;
use crate::sim::engine::{Run, Step, Tempo};
use crate::sim::hash::fnv1a64;
use crate::sim::metrics::{Finish, Record};
use crate::sim::stamp::random_id;
use crate::sim::wire::errors::Fail;
use crate::sim::wire::fields::{Fields, content_text};

/// `POST /v1/embeddings`
pub(crate) async fn embeddings(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let (fields, head) = open(request, &[])?;
    let base64 = fields.text("encoding_format")? == Some("base64");
    let size = dimensions(request, &fields)?;
    each_input(request, &fields, &head, "embd", |at, input| {
        let vector = embed(input, size);
        let embedding = if base64 { to_base64(&vector).into() } else { json!(vector) };
        json!({ "index": at, "object": "embedding", "embedding": embedding })
    })
    .await
}

/// `POST /v2/embed` (Cohere), of texts
pub(crate) async fn embed_v2(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let (fields, head) = open(request, &[])?;
    let words = fields.get("texts").map(texts).filter(|texts| !texts.is_empty());
    let words = words.ok_or_else(|| {
        Fail::bad("Exactly one of texts, images, or inputs must be provided, and it must be non-empty", None)
    })?;
    let wanted = fields.int("output_dimension")?.and_then(|wanted| usize::try_from(wanted).ok());
    let size = wanted.unwrap_or(request.engine.settings.args.dimensions).clamp(1, 65_536);
    let prompt = work(request, &words).await?;
    let vectors: Vec<Vec<f32>> = words.iter().map(|text| embed(text, size)).collect();
    Ok(ApiReply::Json(json!({
        "id": format!("embd-{}", head.id), "embeddings": { "float": vectors }, "texts": words,
        "meta": { "api_version": { "version": "2" }, "billed_units": { "input_tokens": prompt } },
        "response_type": "embeddings_by_type",
    })))
}

/// `POST /generative_scoring`
pub(crate) async fn generative_scoring(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let (fields, head) = open(request, &["query", "items", "label_token_ids"])?;
    let query = fields.get("query").map(content_text).unwrap_or_default().into_owned();
    let items = fields.get("items").map(texts).unwrap_or_default();
    let all: Vec<String> = items.iter().map(|item| format!("{query}{item}")).collect();
    let prompt = work(request, &all).await?;
    let score = |item: &String| (similarity(&query, item) + 1.0) / 2.0;
    let data = items.iter().enumerate();
    let data = data.map(|(at, item)| json!({ "index": at, "object": "score", "score": score(item) })).collect();
    Ok(ApiReply::Json(list(&head, "generative-scoring", data, prompt)))
}

/// `POST /pooling`
pub(crate) async fn pooling(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let (fields, head) = open(request, &[])?;
    let size = dimensions(request, &fields)?;
    each_input(
        request,
        &fields,
        &head,
        "pooling",
        |at, input| json!({ "index": at, "object": "pooling", "data": embed(input, size) }),
    )
    .await
}

/// `POST /classify`
pub(crate) async fn classify(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let (fields, head) = open(request, &[])?;
    each_input(request, &fields, &head, "classify", |at, input| {
        let yes = (f64::from(unit(fnv1a64(input.as_bytes()))) + 1.0) / 2.0;
        let label = if yes >= 0.5 { "LABEL_1" } else { "LABEL_0" };
        json!({ "index": at, "label": label, "probs": [1.0 - yes, yes], "num_classes": 2 })
    })
    .await
}

/// A list with what `make` makes of the number and the text of each input.
async fn each_input(
    request: &ApiRequest,
    fields: &Fields,
    head: &Head,
    prefix: &str,
    make: impl Fn(usize, &str) -> Value,
) -> Result<ApiReply, Fail> {
    let inputs = inputs(fields)?;
    let prompt = work(request, &inputs).await?;
    let data = inputs.iter().enumerate().map(|(at, input)| make(at, input)).collect();
    Ok(ApiReply::Json(list(head, prefix, data, prompt)))
}

/// `POST /score` and `/v1/score`
pub(crate) async fn score(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let (fields, head) = open(request, &[])?;
    let ask_one = |names: [&str; 3]| {
        let found = names.into_iter().find_map(|name| fields.get(name));
        found.map(texts).ok_or_else(|| Fail::missing(&names[..1], fields.0.len()))
    };
    let left = ask_one(["text_1", "queries", "data_1"])?;
    let right = ask_one(["text_2", "documents", "data_2"])?;
    let all: Vec<String> = left.iter().chain(&right).cloned().collect();
    let prompt = work(request, &all).await?;
    let data = right
        .iter()
        .enumerate()
        .map(|(at, right)| {
            let left = left.get(at).or(left.first()).map_or("", String::as_str);
            json!({ "index": at, "object": "score", "score": similarity(left, right) })
        })
        .collect();
    Ok(ApiReply::Json(list(&head, "score", data, prompt)))
}

/// `POST /rerank`, `/v1/rerank` and `/v2/rerank`
pub(crate) async fn rerank(request: &ApiRequest) -> Result<ApiReply, Fail> {
    let (fields, head) = open(request, &["query", "documents"])?;
    let query = fields.get("query").map(content_text).unwrap_or_default().into_owned();
    let documents = fields.get("documents").map(texts).unwrap_or_default();
    let all: Vec<String> = std::iter::once(&query).chain(&documents).cloned().collect();
    let prompt = work(request, &all).await?;
    let mut ranked: Vec<(usize, f32)> =
        documents.iter().enumerate().map(|(at, document)| (at, similarity(&query, document))).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let top = fields.int("top_n")?.and_then(|top| usize::try_from(top).ok()).filter(|top| *top > 0);
    let results: Vec<Value> = ranked
        .into_iter()
        .take(top.unwrap_or(usize::MAX))
        .map(|(at, score)| {
            json!({
                "index": at, "document": { "text": documents[at], "multi_modal": null }, "relevance_score": score,
            })
        })
        .collect();
    Ok(ApiReply::Json(json!({
        "id": format!("score-{}", head.id), "model": head.model,
        "usage": { "prompt_tokens": prompt, "total_tokens": prompt }, "results": results,
    })))
}

fn open(request: &ApiRequest, required: &[&str]) -> Result<(Fields, Head), Fail> {
    let fields = request.fields()?;
    fields.require(required)?;
    let head = request.head(&fields).map_err(|fail| Fail {
        // Pooling servers say less about it than generating ones.
        message: fail.message.split(" Valid aliases").next().unwrap_or_default().to_owned(),
        param: None,
        ..fail
    })?;
    Ok((fields, head))
}

fn dimensions(request: &ApiRequest, fields: &Fields) -> Result<usize, Fail> {
    let wanted = fields.int("dimensions")?.and_then(|wanted| usize::try_from(wanted).ok());
    Ok(wanted.unwrap_or(request.engine.settings.args.dimensions).clamp(1, 65_536))
}

/// `input` (text, tokens, or lists of them) or `messages`.
fn inputs(fields: &Fields) -> Result<Vec<String>, Fail> {
    if let Some(Value::Array(messages)) = fields.get("messages") {
        return Ok(vec![super::conversation::render(messages)]);
    }
    fields.get("input").map(texts).ok_or_else(|| Fail::missing(&["input"], fields.0.len()))
}

fn texts(value: &Value) -> Vec<String> {
    let from_ids = |ids: &[Value]| tokens::text(ids.iter().filter_map(Value::as_u64));
    match value {
        Value::Array(all) if all.first().is_some_and(Value::is_number) => vec![from_ids(all)],
        Value::Array(all) => all
            .iter()
            .map(|one| match one {
                Value::Array(ids) => from_ids(ids),
                Value::Object(part) => part.get("text").and_then(Value::as_str).unwrap_or_default().to_owned(),
                other => content_text(other).into_owned(),
            })
            .collect(),
        other => vec![content_text(other).into_owned()],
    }
}

/// Takes a slot for the time of one forward pass. Returns the number of tokens read.
async fn work(request: &ApiRequest, inputs: &[String]) -> Result<usize, Fail> {
    let limit = request.engine.settings.args.max_model_len;
    let mut prompt = 0;
    for input in inputs {
        let tokens = tokens::count(input);
        if tokens > limit {
            return Err(Fail::too_long(limit));
        }
        prompt += tokens;
    }
    let tempo = Tempo { gap: std::time::Duration::ZERO, ..request.pace.tempo };
    let mut run = Run::enqueue(&request.engine, tempo, 1, Record::new(prompt, None, 1))?;
    let finish = match run.step(1).await {
        Step::Made(_) => Finish::Stop,
        Step::Aborted => Finish::Abort,
        Step::Failed(fail) => return Err(fail),
    };
    run.finish(finish);
    match finish {
        Finish::Abort => Err(Fail::internal("Request aborted")),
        _ => Ok(prompt),
    }
}

fn list(head: &Head, prefix: &str, data: Vec<Value>, prompt: usize) -> Value {
    json!({
        "id": format!("{prefix}-{}", if head.id.is_empty() { random_id() } else { head.id.clone() }),
        "object": "list", "created": head.created, "model": head.model, "data": data,
        "usage": {
            "prompt_tokens": prompt, "total_tokens": prompt, "completion_tokens": 0, "prompt_tokens_details": null,
            "completion_tokens_details": null,
        },
    })
}

/// A number from -1 to 1.
fn unit(seed: u64) -> f32 {
    // 24 bits: as many as a float holds exactly.
    ((seed >> 40) as f32 / (1u64 << 23) as f32) - 1.0
}

/// A vector of length 1 that depends on all of `text`.
fn embed(text: &str, size: usize) -> Vec<f32> {
    let mut state = fnv1a64(text.as_bytes());
    let mut vector: Vec<f32> = (0..size)
        .map(|_| {
            // SplitMix64 (Steele, Lea, Flood 2014).
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            unit(mixed ^ (mixed >> 31))
        })
        .collect();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|x| *x /= length);
    vector
}

/// Shared words count, so that a rank looks sensible; the rest is noise from the texts.
fn similarity(left: &str, right: &str) -> f32 {
    let words =
        |text: &str| -> std::collections::BTreeSet<String> { text.split_whitespace().map(str::to_lowercase).collect() };
    let (a, b) = (words(left), words(right));
    let shared = a.intersection(&b).count() as f32 / a.union(&b).count().max(1) as f32;
    let noise = unit(fnv1a64(left.as_bytes()) ^ fnv1a64(right.as_bytes()).rotate_left(1));
    shared * 0.9 + noise * 0.1
}

/// Little-endian floats as OpenAI's `encoding_format: base64` has them (RFC 4648).
fn to_base64(vector: &[f32]) -> String {
    STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_rfc_4648() {
        assert_eq!(to_base64(&[1.0]), "AACAPw==");
        assert_eq!(to_base64(&[1.0, -1.0]), "AACAPwAAgL8=");
        assert_eq!(to_base64(&[1.0, 0.0, 0.0]), "AACAPwAAAAAAAAAA");
    }

    #[test]
    fn vectors_are_normed_and_depend_on_the_text() {
        let (a, b) = (embed("a", 64), embed("b", 64));
        assert!((a.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-4);
        assert_ne!(a, b);
        assert_eq!(a, embed("a", 64));
        assert!(similarity("red cat", "a red cat") > similarity("red cat", "blue dog"));
    }
}
