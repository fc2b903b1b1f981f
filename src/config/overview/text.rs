//! What would run where, as a table for people.

use std::fmt::{self, Display, Formatter};

use super::view::{AliasOverview, GpusOverview, ModelOverview, Overview};
use crate::config::types::{Config, Idle};
use crate::text_table::aligned;

/// The overview of `config`: addresses, models and aliases in aligned columns.
#[must_use]
pub fn overview(config: &Config) -> String {
    Overview::of(config).to_string()
}

impl Display for Overview {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let token = if self.admin_token { " (token required)" } else { "" };
        writeln!(out, "callers    http://{}/v1{}", self.listen, keys(self))?;
        writeln!(out, "operators  http://{}{token}", self.admin)?;
        if let Some(folder) = &self.state_dir {
            writeln!(out, "state      {folder}")?;
        }
        let mut models = vec![["MODEL", "ENGINES", "GPUS", "WHAT RUNS"].map(str::to_owned)];
        self.models.iter().for_each(|model| rows(model, &mut models));
        write!(out, "\n{}", aligned(&models))?;
        if self.aliases.is_empty() {
            return Ok(());
        }
        let mut aliases = vec![["ALIAS", "MODEL", "CHANGES"].map(str::to_owned)];
        aliases.extend(self.aliases.iter().map(alias_row));
        write!(out, "\n{}", aligned(&aliases))
    }
}

/// Who needs a key.
fn keys(overview: &Overview) -> String {
    if overview.callers.is_empty() {
        return String::new();
    }
    let rest = if overview.anonymous { "; anybody without a key" } else { "" };
    format!(" (with a key: {}{rest})", overview.callers.join(", "))
}

fn rows(model: &ModelOverview, out: &mut Vec<[String; 4]>) {
    let mut more = Vec::new();
    let first = if model.command.is_empty() {
        let mut urls = model.urls.iter().cloned();
        let first = [format!("{} running", model.engines), "-".to_owned(), urls.next().unwrap_or_default()];
        more.extend(urls);
        first
    } else {
        more.extend(details(model));
        let words: Vec<String> = model.command.iter().map(|word| quoted(word)).collect();
        let when = if model.on_demand.is_some() { "on demand" } else { "started" };
        [format!("{} {when}", model.engines), gpus(model), words.join(" ")]
    };
    if let Some(name) = &model.served_name {
        more.push(format!("served as {name}"));
    }
    if !model.health_checks {
        more.push("never checked: always considered up".into());
    }
    let [engines, gpus, what] = first;
    out.push([model.model.clone(), engines, gpus, what]);
    out.extend(more.into_iter().map(|text| [String::new(), String::new(), String::new(), text]));
}

/// What else is told of engines that are started.
fn details(model: &ModelOverview) -> Vec<String> {
    let mut more: Vec<String> = model.on_demand.iter().map(loaded).collect();
    if !model.env.is_empty() {
        more.push(format!("with {} set", model.env.join(", ")));
    }
    if let Some(port) = model.port {
        let last = usize::from(port).saturating_add(model.engines.saturating_sub(1));
        more.push(if model.engines > 1 { format!("on ports {port} to {last}") } else { format!("on port {port}") });
    }
    more.extend(model.adapters.iter().map(|(name, source)| format!("adapter {name}: {source}")));
    more
}

/// When it is loaded, and for how long.
fn loaded(idle: &Idle) -> String {
    let mut told = "loaded when a request needs it, in turns with others on its GPUs".to_owned();
    for (time, what) in [(idle.sleep_after, "asleep"), (idle.stop_after, "ended")] {
        if let Some(time) = time {
            told.push_str(&format!("; {what} after {} without a request", humantime::format_duration(time)));
        }
    }
    told
}

/// The GPUs of each engine, and the share it takes.
fn gpus(model: &ModelOverview) -> String {
    let share = model.gpu_memory.map_or_else(String::new, |share| format!(" at {share}"));
    match &model.gpus {
        Some(GpusOverview::Listed(each)) => {
            format!("{}{share}", each.iter().map(|gpus| gpus.join(",")).collect::<Vec<_>>().join(" | "))
        }
        Some(GpusOverview::Any(count)) => format!("any {count}{share}"),
        None => format!("as visible{share}"),
    }
}

/// As a shell would want it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let visible: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("'{}'", visible.replace('\'', r"'\''"))
}

fn alias_row(AliasOverview { alias, model, changes }: &AliasOverview) -> [String; 3] {
    let changes = if changes.is_empty() { "nothing but the name".into() } else { changes.join("; ") };
    [alias.clone(), model.clone(), changes]
}
