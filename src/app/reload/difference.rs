//! What one configuration changes, compared with another: which names, which keys. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::api::{ChangeKind, NameChange, SettingChange};
use crate::config::{Admin, Alias, Caller, Config, Engines, Model, Spawn};
use crate::ids::Name;

/// Keys whose values a running process keeps.
const NEED_RESTART: [&str; 5] = ["admin.listen", "name", "ports", "state_dir", "threads"];

/// What differs between two configurations, but for what becomes of engines.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) models: Vec<NameChange>,
    pub(super) aliases: Vec<NameChange>,
    pub(super) callers: Vec<NameChange>,
    pub(super) settings: Vec<SettingChange>,
    pub(super) restart_required: Vec<SettingChange>,
}

/// What `new` changes, compared with `old`.
pub(super) fn difference(old: &Config, new: &Config) -> Difference {
    let (old_settings, new_settings) = (settings(old), settings(new));
    let changed = new_settings.into_iter().filter_map(|(key, to)| {
        let from = old_settings.get(&key).cloned().unwrap_or_default();
        (from != to).then(|| SettingChange { key, from: from.shown(), to: to.shown() })
    });
    let (restart_required, settings) = changed.partition(|change| NEED_RESTART.contains(&change.key.as_str()));
    let mut models = names(&old.models, &new.models, |model| &model.name, model_keys);
    for change in models.iter_mut().filter(|change| change.kind == ChangeKind::Changed) {
        let find = |models: &'_ [Model]| models.iter().position(|model| *model.name == *change.name);
        if let (Some(before), Some(after)) = (find(&old.models), find(&new.models)) {
            change.values = external_values(&old.models[before], &new.models[after]);
        }
    }
    Difference {
        models,
        aliases: names(&old.aliases, &new.aliases, |alias| &alias.name, alias_keys),
        callers: names(&old.callers, &new.callers, |caller| &caller.name, caller_keys),
        settings,
        restart_required,
    }
}

/// `new` with the values of `running` for all keys that need a new process.
pub(super) fn keep_what_needs_a_restart(running: &Config, new: &mut Config) {
    new.admin.listen = running.admin.listen;
    new.name.clone_from(&running.name);
    new.ports.clone_from(&running.ports);
    new.state_dir.clone_from(&running.state_dir);
    new.threads = running.threads;
}

fn names<T: PartialEq>(
    old: &[T],
    new: &[T],
    name: impl Fn(&T) -> &Name,
    keys: impl Fn(&T, &T) -> Vec<String>,
) -> Vec<NameChange> {
    let find = |list: &'_ [T], wanted: &Name| list.iter().position(|one| name(one) == wanted);
    let change = |one: &T, kind, keys| NameChange { name: name(one).to_string(), kind, keys, values: Vec::new() };
    let gone = old.iter().filter(|one| find(new, name(one)).is_none());
    let other = new.iter().filter_map(|one| match find(old, name(one)).and_then(|at| old.get(at)) {
        None => Some(change(one, ChangeKind::Added, Vec::new())),
        Some(before) if before != one => Some(change(one, ChangeKind::Changed, keys(before, one))),
        Some(_) => None,
    });
    gone.map(|one| change(one, ChangeKind::Removed, Vec::new())).chain(other).collect()
}

/// The keys of those fields that differ. Every field is listed: a new one does not compile until it is.
macro_rules! differing {
    ($type:ident, $old:expr, $new:expr; but $($same:ident),+; $($field:ident => $key:literal),+) => {{
        let $type { $($field: _,)+ $($same: _),* } = $old;
        let fields = [$(($key, $old.$field == $new.$field)),+];
        fields.into_iter().filter(|(_, same)| !same).map(|(key, _)| key.to_owned()).collect::<Vec<String>>()
    }};
}

fn model_keys(old: &Model, new: &Model) -> Vec<String> {
    let mut keys = differing!(Model, old, new; but name, engines;
        served_name => "served_name", api_key => "api_key", health => "health", balance => "balance",
        usage => "usage", dialect => "dialect", response_model => "response_model", settings => "request settings");
    match (&old.engines, &new.engines) {
        (Engines::Spawn(old), Engines::Spawn(new)) => keys.extend(spawn_keys(old, new)),
        (Engines::Urls(old), Engines::Urls(new)) if old == new => {}
        (Engines::Urls(_), Engines::Urls(_)) => keys.push("urls".into()),
        (Engines::Spawn(_), Engines::Urls(_)) | (Engines::Urls(_), Engines::Spawn(_)) => {
            keys.extend(["source", "urls"].map(str::to_owned));
        }
    }
    keys
}

/// What changes about how external engines are reached. What changes about engines that run here is told with them.
fn external_values(old: &Model, new: &Model) -> Vec<SettingChange> {
    if let (Engines::Spawn(_), Engines::Spawn(_)) = (&old.engines, &new.engines) {
        return Vec::new();
    }
    let values = |model: &Model| {
        let (source, urls) = match &model.engines {
            Engines::Spawn(spawn) => (Setting::Shown(spawn.source.clone()), Setting::Unset),
            Engines::Urls(urls) => {
                let urls: Vec<String> = urls.iter().map(ToString::to_string).collect();
                (Setting::Unset, Setting::Shown(urls.join(", ")))
            }
        };
        let health = model.health.as_ref().map_or_else(|| Setting::Shown("off".into()), Setting::of);
        [("source", source), ("urls", urls), ("served_name", Setting::of(&model.served_name)), ("health", health)]
    };
    let both = values(old).into_iter().zip(values(new)).filter(|((_, from), (_, to))| from != to);
    let shown =
        both.map(|((key, from), (_, to))| SettingChange { key: key.into(), from: from.shown(), to: to.shown() });
    shown.collect()
}

fn spawn_keys(old: &Spawn, new: &Spawn) -> Vec<String> {
    differing!(Spawn, old, new; but lora_later, overruled, takes_lora;
        source => "source", command => "command", gpus => "gpus", profile => "profile", start_order => "start_order",
        gpu_memory => "gpu_memory", replicas => "replicas", port => "port", args => "args", env => "env", lora => "lora",
        restart => "restart", stall_timeout => "stall_timeout", sleep_mode => "sleep_mode", load => "load",
        start_timeout => "start_timeout", stop_timeout => "stop_timeout")
}

fn alias_keys(old: &Alias, new: &Alias) -> Vec<String> {
    differing!(Alias, old, new; but name;
        model => "model", settings => "request settings", response_model => "response_model", hidden => "hidden",
        listen => "listen", fallback => "fallback", split => "split", sticky => "sticky", mirror => "mirror",
        dialect => "dialect", gym => "gym", access_log => "access_log", capture => "capture")
}

fn caller_keys(old: &Caller, new: &Caller) -> Vec<String> {
    differing!(Caller, old, new; but name; keys => "keys")
}

/// The value of a key, to be compared and shown.
#[derive(Clone, Debug, Default, PartialEq)]
enum Setting {
    #[default]
    Unset,
    Shown(String),
    /// Compared, never shown.
    Secret(crate::secret::Secret),
}

impl Setting {
    fn shown(&self) -> String {
        match self {
            Self::Unset => "(not set)".into(),
            Self::Shown(text) => text.clone(),
            Self::Secret(_) => "***".into(),
        }
    }

    fn of(value: &impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(Value::String(text)) => Self::Shown(text),
            Ok(Value::Null) | Err(_) => Self::Unset,
            Ok(other) => Self::Shown(other.to_string()),
        }
    }
}

/// The value of every key that belongs neither to a model nor to an alias nor to a caller.
fn settings(config: &Config) -> BTreeMap<String, Setting> {
    let Config {
        listen,
        admin: Admin { listen: admin_listen, token, metrics },
        name,
        state_dir,
        on_exit,
        watch,
        ports,
        engine_logs,
        threads,
        models: _,
        aliases: _,
        callers: _,
        anonymous,
        cors,
        hosts,
        readiness,
        limits,
        timeouts,
        retry,
        log,
        source_map: _,
    } = config;
    let single = [
        ("listen", Setting::of(listen)),
        ("admin.listen", Setting::of(admin_listen)),
        ("admin.token", token.clone().map_or(Setting::Unset, Setting::Secret)),
        ("admin.metrics", Setting::of(metrics)),
        ("name", Setting::of(name)),
        ("state_dir", Setting::of(state_dir)),
        ("on_exit", Setting::of(on_exit)),
        ("watch", Setting::of(watch)),
        ("ports", Setting::Shown(format!("{}-{}", ports.start(), ports.end()))),
        ("threads", Setting::of(threads)),
        ("hosts", Setting::of(hosts)),
        ("anonymous", Setting::of(&anonymous.is_some())),
        ("anonymous.keys", anonymous.as_ref().map_or(Setting::Unset, |anonymous| Setting::of(&anonymous.keys))),
    ];
    let groups = [
        ("engine_logs", serde_json::to_value(engine_logs)),
        ("cors", serde_json::to_value(cors)),
        ("readiness", serde_json::to_value(readiness)),
        ("limits", serde_json::to_value(limits)),
        ("timeouts", serde_json::to_value(timeouts)),
        ("retry", serde_json::to_value(retry)),
        ("log", serde_json::to_value(log)),
    ];
    let mut all: BTreeMap<String, Setting> = single.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    for (group, value) in groups {
        let members = value.ok().and_then(|value| value.as_object().cloned()).unwrap_or_default();
        all.extend(members.iter().map(|(key, value)| (format!("{group}.{key}"), Setting::of(value))));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        crate::config::parse(text, &|_| None).expect("a configuration")
    }

    fn setting(key: &str, from: &str, to: &str) -> SettingChange {
        SettingChange { key: key.into(), from: from.into(), to: to.into() }
    }

    #[test]
    fn equal_configurations_differ_in_nothing() {
        let config = config("models: {m: {source: s}}\naliases: {a: {model: m}}");
        assert_eq!(difference(&config, &config), Difference::default());
    }

    #[test]
    fn names_are_told_apart_by_what_becomes_of_them() {
        let old = config(
            "models: {m: {source: s}, gone: {urls: ['http://h:1']}}\naliases: {a: {model: m}, b: {model: m}}\n\
             callers: {c: {keys: [one-key-of-16-chars]}}",
        );
        let new = config(
            "models: {m: {source: s, args: {seed: 1}, balance: random}, new: {urls: ['http://h:1']}}\n\
             aliases: {a: {model: new, hidden: true}, d: {model: m}}\ncallers: {c: {keys: [two-key-of-16-chars]}}",
        );
        let told = difference(&old, &new);
        let short = |changes: &[NameChange]| -> Vec<String> {
            changes.iter().map(|one| format!("{} {:?} {}", one.name, one.kind, one.keys.join(","))).collect()
        };
        assert_eq!(short(&told.models), ["gone Removed ", "m Changed balance,args", "new Added "]);
        assert_eq!(short(&told.aliases), ["b Removed ", "a Changed model,hidden", "d Added "]);
        assert_eq!(short(&told.callers), ["c Changed keys"]);
    }

    #[test]
    fn settings_are_told_with_both_values_and_secrets_with_none() {
        let old = config("models: {m: {source: s}}\nlimits: {body: 1MiB}\nadmin: {token: abcdefghijklmnop}");
        let new = config(
            "models: {m: {source: s}}\nlimits: {body: 2MiB}\nadmin: {token: ponmlkjihgfedcba, listen: '127.0.0.1:9'}\n\
             threads: 3\ntimeouts: {read: 5s}\nports: 22000-22999",
        );
        let told = difference(&old, &new);
        let expected = [
            setting("admin.token", "***", "***"),
            setting("limits.body", "1MiB", "2MiB"),
            setting("timeouts.read", "10m", "5s"),
        ];
        assert_eq!(told.settings, expected);
        let keys: Vec<&str> = told.restart_required.iter().map(|change| change.key.as_str()).collect();
        assert_eq!(keys, ["admin.listen", "ports", "threads"]);

        let mut kept = new.clone();
        keep_what_needs_a_restart(&old, &mut kept);
        assert_eq!(difference(&old, &kept).restart_required, []);
        assert_eq!(difference(&old, &kept).settings, expected);
    }
}
