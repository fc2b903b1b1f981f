//! The external engines that the configuration lists: `urls:`.

use crate::config::{Config, EngineUrl, Engines, Model};
use crate::ids::EngineId;

/// A model whose engines are external: this gateway does not start them.
#[derive(Clone, Debug)]
pub(super) struct RemoteModel {
    /// The model.
    pub(super) model: Model,
    /// Where its engines are, each once.
    pub(super) urls: Vec<EngineUrl>,
}

/// Those that `config` lists.
pub(super) fn listed(config: &Config) -> Vec<RemoteModel> {
    let remote = config.models.iter().filter_map(|model| match &model.engines {
        Engines::Urls(urls) => Some((model, urls)),
        Engines::Spawn(_) => None,
    });
    let each_once = remote.map(|(model, listed)| {
        let mut urls: Vec<EngineUrl> = Vec::new();
        for url in listed {
            if !urls.iter().any(|known| id(model, known) == id(model, url)) {
                urls.push(url.clone());
            }
        }
        RemoteModel { model: model.clone(), urls }
    });
    each_once.collect()
}

/// The id of an engine: the same wherever in a list it stands.
pub(super) fn id(model: &Model, url: &EngineUrl) -> EngineId {
    EngineId::remote(&model.name, &url.host, url.port, &url.base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_one_engine_also_where_it_is_listed_with_http_and_with_https() {
        let url = |tls| EngineUrl { tls, host: "h".into(), port: 8000, base: String::new() };
        let other = EngineUrl { port: 8001, ..url(false) };
        let below = EngineUrl { base: "/b".into(), ..url(false) };
        let urls = vec![url(false), url(true), other.clone(), below.clone(), url(false), below.clone()];
        let model = Model { engines: Engines::Urls(urls), ..Model::for_test("m") };
        let found = listed(&Config { models: vec![model], ..Config::for_test() });
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].urls, [url(false), other, below], "the first one counts");
    }
}
