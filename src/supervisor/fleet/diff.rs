//! What another configuration would change about the engines that run: a pure comparison.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use serde_json::Value;

use super::view::{FleetView, ModelView};
use crate::api::{Away, EngineAction, EngineChange};
use crate::config::{Gpus, Health, Idle, Load, Restart};
use crate::supervisor::launch::spec::LaunchSpec;

/// Compares what runs with `specs`. `room`: whether there is room for one more engine, of that number.
pub(crate) fn plan(
    view: &FleetView,
    specs: &[LaunchSpec],
    room: &dyn Fn(&LaunchSpec, usize) -> bool,
) -> Vec<EngineChange> {
    let is_kept = |name: &str| specs.iter().any(|spec| *spec.model.name == *name);
    let removed = view.models.keys().filter(|name| !is_kept(name)).map(|name| EngineChange {
        model: name.to_string(),
        action: EngineAction::Removed,
        replicas: 0,
        away: None,
        asleep: 0,
        reasons: vec![],
    });
    let others = specs.iter().filter_map(|spec| {
        let replicas = view.orders.replicas(&spec.model.name, spec.spawn.replicas);
        let model = spec.model.name.to_string();
        match view.models.get(&spec.model.name) {
            None => {
                let action = EngineAction::Added;
                Some(EngineChange { model, action, replicas, away: None, asleep: 0, reasons: vec![] })
            }
            Some(before) => {
                let (action, reasons) = difference(before, spec, replicas)?;
                let is_rolled = action == EngineAction::Rolled;
                let seconds = before.start_took.map(|took| took.as_secs_f64());
                let away = (is_rolled && is_away(before, spec, room)).then_some(Away { seconds });
                // All that know the model by another name go together.
                let sleep_on = is_rolled && before.spec.served_name() == spec.served_name();
                let asleep = if sleep_on { before.asleep } else { 0 };
                Some(EngineChange { model, action, replicas, away, asleep, reasons })
            }
        }
    });
    removed.chain(others).collect()
}

/// What is done to a model's engines, and because of what; `None`: nothing.
fn difference(before: &ModelView, after: &LaunchSpec, replicas: usize) -> Option<(EngineAction, Vec<String>)> {
    let starts_alike = before.spec.fingerprint() == after.fingerprint()
        && before.spec.spawn.gpus == after.spawn.gpus
        && before.spec.served_name() == after.served_name();
    let mut reasons = reasons(&before.spec, after);
    let action = if !starts_alike {
        if reasons.is_empty() {
            reasons.push("a file of a LoRA adapter has changed".into());
        }
        EngineAction::Rolled
    } else if replicas != before.wanted_replicas {
        EngineAction::Scaled
    } else {
        EngineAction::Updated
    };
    (!reasons.is_empty() || action != EngineAction::Updated).then_some((action, reasons))
}

/// Whether nobody serves the model while its engines are replaced.
fn is_away(before: &ModelView, after: &LaunchSpec, room: &dyn Fn(&LaunchSpec, usize) -> bool) -> bool {
    let next = before.present.last().map_or(0, |last| last + 1);
    // Requests say one name to all engines of a model, so all are replaced together.
    let together = before.spec.served_name() != after.served_name();
    before.ready > 0 && (together || before.present.len() == 1 && !room(after, next))
}

/// What is configured otherwise, as far as engines are concerned, a line each.
fn reasons(before: &LaunchSpec, after: &LaunchSpec) -> Vec<String> {
    let mut lines = Lines::default();
    let (old, new) = (&before.spawn, &after.spawn);
    lines.value("source", &old.source, &new.source);
    lines.value("command", &old.command.join(" "), &new.command.join(" "));
    lines.value("gpus", &gpus(&old.gpus), &gpus(&new.gpus));
    lines.option("gpu_memory", old.gpu_memory, new.gpu_memory);
    lines.value("replicas", &old.replicas, &new.replicas);
    lines.option("port", old.port, new.port);
    lines.map("args", &json(&old.args), &json(&new.args));
    // What a variable is may be a secret.
    lines.hidden("env", &old.env, &new.env);
    lines.map("lora", &texts(&old.lora), &texts(&new.lora));
    lines.value("lora (at run time)", &old.takes_lora, &new.takes_lora);
    lines.value("sleep_mode", &old.sleep_mode, &new.sleep_mode);
    lines.value("load", &load(old.load), &load(new.load));
    lines.option("served_name", before.model.served_name.as_ref(), after.model.served_name.as_ref());
    if before.model.api_key != after.model.api_key {
        lines.0.push("api_key: changed".into());
    }
    lines.value("health", &health(before.model.health.as_ref()), &health(after.model.health.as_ref()));
    lines.option("start_order", old.start_order, new.start_order);
    lines.value("restart", &restart(old.restart), &restart(new.restart));
    lines.value("stall_timeout", &time(old.stall_timeout), &time(new.stall_timeout));
    lines.value("start_timeout", &time(Some(old.start_timeout)), &time(Some(new.start_timeout)));
    lines.value("stop_timeout", &time(Some(old.stop_timeout)), &time(Some(new.stop_timeout)));
    lines.value("timeouts.drain", &time(Some(before.drain)), &time(Some(after.drain)));
    if before.rotation != after.rotation {
        lines.0.push("engine_logs: changed".into());
    }
    lines.0
}

/// Lines of a comparison.
#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn value(&mut self, key: &str, old: &(impl Display + PartialEq), new: &(impl Display + PartialEq)) {
        let (old, new) = (old.to_string(), new.to_string());
        if old != new {
            self.0.push(format!("{key}: {old} -> {new}"));
        }
    }

    fn option(&mut self, key: &str, old: Option<impl Display>, new: Option<impl Display>) {
        let text = |value: Option<String>| value.unwrap_or_else(|| "not set".into());
        self.value(key, &text(old.map(|old| old.to_string())), &text(new.map(|new| new.to_string())));
    }

    fn map(&mut self, key: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
        for name in merged(old, new) {
            self.option(&format!("{key}.{name}"), old.get(name), new.get(name));
        }
    }

    fn hidden(&mut self, key: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
        for name in merged(old, new) {
            let what = match (old.get(name), new.get(name)) {
                (None, _) => "added",
                (_, None) => "removed",
                (Some(old), Some(new)) if old != new => "changed",
                _ => continue,
            };
            self.0.push(format!("{key}.{name}: {what}"));
        }
    }
}

/// The keys of both, in order.
fn merged<'a>(old: &'a BTreeMap<String, String>, new: &'a BTreeMap<String, String>) -> Vec<&'a String> {
    old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).collect()
}

fn json(args: &serde_json::Map<String, Value>) -> BTreeMap<String, String> {
    args.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
}

fn texts<K: Display>(map: &BTreeMap<K, String>) -> BTreeMap<String, String> {
    map.iter().map(|(name, text)| (name.to_string(), text.clone())).collect()
}

fn gpus(gpus: &Gpus) -> String {
    match gpus {
        Gpus::AsVisible => "as visible".into(),
        Gpus::Any(count) => format!("any {count}"),
        Gpus::Listed(gpus) => format!("[{}]", gpus.join(", ")),
    }
}

fn load(load: Load) -> String {
    let Load::OnDemand(Idle { sleep_after, stop_after }) = load else { return "eager".into() };
    let (sleep, stop) = (time(sleep_after), time(stop_after));
    format!("on_demand, idle.sleep_after {sleep}, idle.stop_after {stop}")
}

fn time(time: Option<Duration>) -> String {
    time.map_or_else(|| "off".into(), |time| humantime::format_duration(time).to_string())
}

fn health(health: Option<&Health>) -> String {
    let Some(Health { path, interval, timeout, failures, successes }) = health else { return "off".into() };
    let (interval, timeout) = (time(Some(*interval)), time(Some(*timeout)));
    format!("{path} every {interval} within {timeout}, {failures} failures, {successes} successes")
}

fn restart(restart: Option<Restart>) -> String {
    let Some(Restart { initial_backoff, max_backoff, crashes, within }) = restart else { return "off".into() };
    let [first, most, within] = [initial_backoff, max_backoff, within].map(|pause| time(Some(pause)));
    format!("after {first} to {most}, {crashes} crashes within {within}")
}

#[cfg(test)]
mod tests;
