//! A tree of Gym's servers to a configuration of ours, and what there is to be said about it.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};

use super::compose::{COMMAND_LINE, Composed};
use super::document::Section;
use super::face;
use super::local::local;
use super::notes::{Context, Fields};
use super::remote::remote;
use super::resolve::Resolver;
use super::secret::Secrets;
use super::servers::{Found, Kind, Server, find};
use super::swap::swap;

/// Names callers say may be so long.
const LONGEST_NAME: usize = 256;

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
    /// Servers of other kinds, counted by kind.
    pub(super) others: BTreeMap<String, usize>,
}

/// Converts what was composed.
pub(super) fn convert(composed: &Composed) -> Import {
    let secrets = Secrets::of(&composed.tree);
    let (servers, strays) = swap(composed.tree.clone());
    let tree = Value::Object(servers.clone());
    let resolver = Resolver::new(&tree);
    let found = find(&servers, &resolver);
    let context = Context { resolver: &resolver, secrets: &secrets };
    let mut house = House::new(composed, &found, &servers, &context);
    house.import.said = strays;
    for server in &found.servers {
        house.engine(server);
    }
    for server in &found.servers {
        house.alias(server);
    }
    for (name, why) in &found.broken {
        house.leave_out(name, why.clone());
    }
    house.finish(found.others.clone())
}

/// What stands for the engines of a server.
#[derive(Clone)]
enum Engines {
    /// A model of that name.
    Model(String),
    /// None: something kept it from being made.
    None,
    /// Those of another server.
    Of(String),
}

struct House<'a> {
    composed: &'a Composed,
    found: &'a Found,
    context: &'a Context<'a>,
    default_host: String,
    /// By the server's name.
    engines: HashMap<String, Engines>,
    /// Models by what they were made of.
    same: HashMap<String, String>,
    /// Names that are used.
    taken: HashSet<String>,
    ports: HashSet<String>,
    models: Section,
    aliases: Section,
    import: Import,
}

impl<'a> House<'a> {
    fn new(composed: &'a Composed, found: &'a Found, tree: &Map<String, Value>, context: &'a Context<'a>) -> Self {
        let host =
            tree.get("default_host").and_then(|host| context.resolver.value(&["default_host".into()], host).ok());
        let host = host.as_ref().and_then(Value::as_str).filter(|host| !host.trim().is_empty());
        Self {
            composed,
            found,
            context,
            default_host: host.unwrap_or("127.0.0.1").trim().to_owned(),
            engines: HashMap::new(),
            same: HashMap::new(),
            taken: found.servers.iter().map(|server| server.name.clone()).collect(),
            ports: HashSet::new(),
            models: Section::default(),
            aliases: Section::default(),
            import: Import::default(),
        }
    }

    /// The model behind a server, unless it has that of another.
    fn engine(&mut self, server: &Server) {
        if !is_fit(&server.name) {
            let why = "its name has to be visible text without `:*` at its end, of 256 bytes at most.";
            self.leave_out(&server.name.chars().take(80).collect::<String>(), why.into());
            self.engines.insert(server.name.clone(), Engines::None);
            return;
        }
        let mut fields = Fields::new(server, self.context);
        let has_url = !matches!(fields.get("base_url"), Ok(None))
            && server.fields.get("base_url") != Some(&Value::Array(Vec::new()));
        let made = match server.kind {
            Kind::Remote => remote(&mut fields).map(|remote| (remote.model, Some(remote.identity))),
            // Gym starts nothing then, and asks there.
            Kind::Local if has_url => remote(&mut fields).map(|remote| (remote.model, Some(remote.identity))),
            Kind::Local => local(&mut fields).map(|model| (model, None)),
            Kind::Proxy => {
                let engines = self.backing(&fields);
                match engines {
                    Ok(name) => drop(self.engines.insert(server.name.clone(), Engines::Of(name))),
                    Err(why) => {
                        self.leave_out(&server.name, why);
                        self.engines.insert(server.name.clone(), Engines::None);
                    }
                }
                return;
            }
        };
        let (model, identity) = match made {
            Ok(made) => made,
            Err(why) => {
                self.leave_out(&server.name, why);
                self.engines.insert(server.name.clone(), Engines::None);
                return;
            }
        };
        // Two servers in front of the same engines are two faces of one model.
        let same = identity.as_ref().and_then(|identity| self.same.get(identity)).cloned();
        let name = same.unwrap_or_else(|| {
            self.import.said.extend(fields.into_said());
            let name = self.free_name(&server.name);
            self.models.nest(name.clone(), model);
            self.import.models += 1;
            self.same.extend(identity.map(|identity| (identity, name.clone())));
            name
        });
        self.engines.insert(server.name.clone(), Engines::Model(name));
    }

    /// The server that a proxy names.
    fn backing(&self, fields: &Fields<'_>) -> Result<String, String> {
        let path: Vec<String> =
            fields.server.path.iter().cloned().chain(["model_server".to_owned(), "name".to_owned()]).collect();
        let name = match self.context.resolver.node(&path) {
            Some((at, value)) => self.context.resolver.value(&at, value)?,
            None => return Err("it does not say which server it stands for. Give it: `model_server: {type: responses_api_models, name: …}`.".into()),
        };
        let Some(name) = name.as_str() else { return Err("its `model_server.name` is no name.".into()) };
        if self.found.servers.iter().any(|server| server.name == name) {
            return Ok(name.to_owned());
        }
        if let Some(kind) = self.found.strangers.get(name) {
            return Err(format!("its server `{name}` is of type `{kind}`, which has no vLLM engine."));
        }
        if self.found.broken.iter().any(|(broken, _)| broken == name) {
            return Err(format!("its server `{name}` could not be carried over."));
        }
        let known = || {
            self.found.servers.iter().map(|server| server.name.as_str()).filter(|known| *known != fields.server.name)
        };
        let hint = match face::nearest(name, known()) {
            Some(near) => format!("Is `{near}` meant?"),
            None => format!(
                "Servers here: {}.",
                known().take(20).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        let origin = self.composed.origin(&path).map_or_else(String::new, |file| format!(" ({file})"));
        Err(format!("its server `{name}` is not there{origin}. Give the file that has it. {hint}"))
    }

    /// The model of a server, through proxies in front of proxies.
    fn model_of(&self, name: &str) -> Result<String, String> {
        let mut at = name;
        for _ in 0..=self.engines.len() {
            match self.engines.get(at) {
                Some(Engines::Model(model)) => return Ok(model.clone()),
                Some(Engines::Of(other)) => at = other,
                Some(Engines::None) | None => return Err(format!("its server `{at}` could not be carried over.")),
            }
        }
        Err(format!("its server `{at}` stands for it in turn."))
    }

    fn alias(&mut self, server: &Server) {
        let model = match self.engines.get(&server.name) {
            None | Some(Engines::None) => return,
            Some(_) => match self.model_of(&server.name) {
                Ok(model) => model,
                Err(why) => return self.leave_out(&server.name, why),
            },
        };
        let mut fields = Fields::new(server, self.context);
        let mut alias = Section::default();
        alias.put("model", model);
        let listen = face::listen(&mut fields, &self.default_host, &mut alias);
        if let Some(listen) = listen {
            if self.ports.insert(listen.clone()) {
                alias.put("listen", listen);
            } else {
                fields.say(&mut alias, "`port` was left out: an alias above has the same address.");
            }
        }
        let gym = face::gym(&mut fields);
        alias.nest("gym", gym);
        self.import.said.extend(fields.into_said());
        let file = self.composed.origin(&server.path).filter(|file| *file != COMMAND_LINE);
        let origin = file.map_or_else(String::new, |file| format!(", {file}"));
        self.aliases.comment(format!("{}{origin}", server.kind.word()));
        self.aliases.nest(server.name.clone(), alias);
        self.import.aliases += 1;
    }

    fn leave_out(&mut self, name: &str, why: String) {
        self.aliases.comment(format!("{name} is not here: {why}"));
        self.import.said.push(format!("{name} could not be carried over: {why}"));
    }

    fn free_name(&mut self, server: &str) -> String {
        let mut name = format!("{server}-engine");
        let mut count = 1;
        while !self.taken.insert(name.clone()) {
            count += 1;
            name = format!("{server}-engine-{count}");
        }
        name
    }

    fn finish(mut self, others: BTreeMap<String, usize>) -> Import {
        let mut document = Section::default();
        doors(&self.ports, &mut document);
        document.nest("models", self.models);
        document.nest("aliases", self.aliases);
        self.import.document = document;
        self.import.others = others;
        self.import
    }
}

/// Our own ports, where the usual ones are those of an alias.
fn doors(aliases: &HashSet<String>, document: &mut Section) {
    let used: HashSet<u16> = aliases.iter().filter_map(|listen| listen.rsplit(':').next()?.parse().ok()).collect();
    let free = |port: &u16| !used.contains(port) && !used.contains(&(port + 1));
    if !free(&8000)
        && let Some(port) = (8000..60_000).step_by(10).find(free)
    {
        let mut admin = Section::default();
        admin.put("listen", format!("127.0.0.1:{}", port + 1));
        document.comment("The usual ports 8000 and 8001 are those of aliases here.");
        document.put("listen", format!("0.0.0.0:{port}"));
        document.nest("admin", admin);
    }
}

fn is_fit(name: &str) -> bool {
    !name.trim().is_empty()
        && name.trim() == name
        && name.len() + "-engine-999".len() <= LONGEST_NAME
        && !name.chars().any(char::is_control)
        && !name.ends_with(":*")
}
