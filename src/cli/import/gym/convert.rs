//! Converts a tree of Gym's servers to a configuration of ours, with notes about what could not be converted.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::super::document::Section;
use super::super::ports::addresses;
use super::super::secret::Secrets;
use super::alias::alias;
use super::compose::Composed;
use super::fields::{Context, Fields};
use super::local::local;
use super::remote::remote;
use super::resolve::resolve;
use super::servers::{Found, Kind, Server, find};

/// What became of it all.
#[derive(Debug, Default)]
pub(super) struct Import {
    /// The configuration.
    pub(super) document: Section,
    /// How many models and aliases are in it.
    pub(super) models: usize,
    /// See `models`.
    pub(super) aliases: usize,
    /// What could not be carried over, or is left to do; the server's name first.
    pub(super) said: Vec<String>,
}

/// Converts what was composed.
pub(super) fn convert(composed: &Composed) -> Import {
    let secrets = Secrets::of(&composed.tree);
    let resolved = resolve(&composed.tree);
    let found = find(&resolved.tree);
    let context = Context { resolved: &resolved, secrets: &secrets };
    let mut import = Import { said: resolved.errors.clone(), ..Import::default() };
    let (mut models, mut aliases) = (Section::default(), Section::default());
    let engines = engines(&found, &context, &mut models, &mut import);
    let mut broken = found.broken.clone();
    for server in &found.servers {
        let model = match server.kind {
            Kind::Proxy => backing(server, &context, &engines),
            Kind::Remote | Kind::Local => engines[server.name.as_str()].clone(),
        };
        let model = match model {
            Ok(model) => model,
            Err(why) => {
                broken.push((server.name.clone(), why));
                continue;
            }
        };
        let mut fields = Fields::new(server, &context);
        let section = alias(&mut fields, &model);
        import.said.extend(fields.said);
        aliases.comment(server.kind.word());
        aliases.nest(server.name.clone(), section);
        import.aliases += 1;
    }
    for (name, why) in broken {
        aliases.comment(format!("{name} is not here: {why}"));
        import.said.push(format!("{name} could not be carried over: {why}"));
    }
    import.document = addresses(&models.value(), &aliases.value());
    import.document.nest("models", models);
    import.document.nest("aliases", aliases);
    import
}

/// By server the model of its engines, or why there is none.
type Engines<'a> = BTreeMap<&'a str, Result<String, String>>;

/// Makes the models.
fn engines<'a>(found: &'a Found, context: &Context<'_>, models: &mut Section, import: &mut Import) -> Engines<'a> {
    let mut engines: Engines<'_> = found.broken.iter().map(|(name, why)| (name.as_str(), Err(why.clone()))).collect();
    // Models by what they were made of: two servers in front of the same engines are two aliases of one model.
    let mut same: HashMap<String, String> = HashMap::new();
    for server in found.servers.iter().filter(|server| server.kind != Kind::Proxy) {
        let mut fields = Fields::new(server, context);
        let base_url = fields.get("base_url");
        // With a URL Gym starts nothing, and asks there.
        let starts = server.kind == Kind::Local && matches!(&base_url, Ok(None)) || base_url == Ok(Some(json!([])));
        let identity = ["base_url", "api_key", "model"].map(|key| fields.get(key).ok().flatten());
        let identity = if starts { server.name.clone() } else { json!(identity).to_string() };
        let model = match same.get(&identity) {
            Some(name) => Ok(name.clone()),
            None => if starts { local(&mut fields) } else { remote(&mut fields) }.map(|model| {
                let name = free_name(&server.name, found, &same);
                models.nest(name.clone(), model);
                import.said.extend(fields.said);
                import.models += 1;
                same.insert(identity, name.clone());
                name
            }),
        };
        engines.insert(&server.name, model);
    }
    engines
}

fn free_name(server: &str, found: &Found, models: &HashMap<String, String>) -> String {
    let mut name = format!("{server}-engine");
    while found.servers.iter().any(|server| server.name == name) || models.values().any(|model| *model == name) {
        name.push_str("-2");
    }
    name
}

/// The model of the server that a proxy names.
fn backing(proxy: &Server, context: &Context<'_>, engines: &Engines<'_>) -> Result<String, String> {
    let server = Fields::new(proxy, context).get("model_server")?;
    let Some(name) = server.as_ref().and_then(|server| server.get("name")).and_then(Value::as_str) else {
        let text = "it does not say which server it uses. Write `model_server: {type: responses_api_models, name: …}`.";
        return Err(text.into());
    };
    match engines.get(name) {
        Some(Ok(model)) => Ok(model.clone()),
        Some(Err(_)) => Err(format!("its server `{name}` could not be carried over.")),
        None => {
            let known = engines.iter().filter(|(_, model)| model.is_ok()).map(|(name, _)| format!("`{name}`"));
            let known = known.collect::<Vec<_>>().join(", ");
            Err(format!("its server `{name}` does not exist, or has no vLLM engine. Servers with one: {known}."))
        }
    }
}
