//! From settings as they are configured to rules that are applied to requests.

use crate::config::{self, Settings, Topic};
use crate::openai::{Block, Condition, Endpoint, Place, Prompt, Rules, Test};

/// The rules of `settings`, in order.
#[must_use]
pub(super) fn rules(settings: &[Settings]) -> Rules {
    Rules::new(settings.iter().map(|settings| block(settings, settings.whose.to_string())).collect())
}

fn block(settings: &Settings, whose: String) -> Block {
    let when = settings.when.iter().enumerate().map(|(at, when)| {
        let whose = format!("{whose}, when #{}", at + 1);
        (condition(&when.condition), block(&when.settings, whose))
    });
    Block {
        when: when.collect(),
        whose,
        remove: settings.remove.clone(),
        map: settings.map.clone(),
        defaults: settings.defaults.clone(),
        limits: settings.limits.clone(),
        overrides: settings.overrides.clone(),
        prompt: settings.prompt.as_ref().map(prompt),
        headers: settings.headers.clone(),
    }
}

fn prompt(prompt: &config::Prompt) -> Prompt {
    let place = match prompt.place {
        config::Place::Missing => Place::Missing,
        config::Place::Before => Place::Before,
        config::Place::After => Place::After,
    };
    Prompt { text: prompt.text.clone(), place }
}

fn condition(condition: &config::Condition) -> Condition {
    let test = |test: &config::Test| match test {
        config::Test::Present(wanted) => Test::Present(*wanted),
        config::Test::Any(values) => Test::Any(values.clone()),
    };
    Condition {
        body: condition.body.iter().map(|(way, it)| (way.clone(), test(it))).collect(),
        header: condition.header.iter().map(|(name, it)| (name.clone(), test(it))).collect(),
        caller: condition.caller.clone(),
        endpoint: condition.endpoint.iter().flat_map(|topic| endpoints(*topic)).copied().collect(),
    }
}

/// The endpoints that a word of the configuration means.
#[must_use]
pub fn endpoints(topic: Topic) -> &'static [Endpoint] {
    match topic {
        Topic::Chat => &[Endpoint::ChatCompletions],
        Topic::Completions => &[Endpoint::Completions],
        Topic::Responses => &[Endpoint::Responses],
        Topic::Messages => &[Endpoint::Messages],
        Topic::CountTokens => &[Endpoint::CountTokens],
        Topic::Embeddings => &[Endpoint::Embeddings],
        Topic::Rerank => &[Endpoint::RerankV1, Endpoint::Rerank, Endpoint::RerankV2],
        Topic::Score => &[Endpoint::ScoreV1, Endpoint::Score],
        Topic::Classify => &[Endpoint::Classify],
        Topic::Pooling => &[Endpoint::Pooling],
        Topic::Tokenize => &[Endpoint::Tokenize],
        Topic::Detokenize => &[Endpoint::Detokenize],
        Topic::Transcriptions => &[Endpoint::Transcriptions],
        Topic::Translations => &[Endpoint::Translations],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_has_one_word() {
        let all: Vec<Endpoint> = Topic::ALL.into_iter().flat_map(|topic| endpoints(topic)).copied().collect();
        for endpoint in Endpoint::ALL {
            assert_eq!(all.iter().filter(|other| **other == endpoint).count(), 1, "{endpoint:?}");
        }
    }
}
