//! The page where a model's GPUs are chosen: what each has left, and why one cannot be taken. Pure.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::form::Filled;
use super::known::Known;
use crate::config::{Answers, Gpus, ModelAnswers, is_vllm};
use crate::gpu::Inventory;
use crate::inventory::{Unit, gib, units};
use crate::placement::{DEFAULT_SHARE, LARGEST_SHARE};
use crate::tui::frame::Theme;
use crate::tui::widgets::{Column, Row, Selection, Table, clean, put, wrap};

const COLUMNS: [Column; 7] = [
    Column::new("", 9),
    Column::new("GPU", 9),
    Column::new("NAME", 5).flexible(10),
    Column::new("USED / ALL", 6).right(),
    Column::new("LOAD", 3).right(),
    Column::new("TEMP", 2).right(),
    Column::new("TAKEN BY", 8).flexible(10),
];

/// By how much + and - change a share.
const STEP: f64 = 0.05;

/// Sums of shares such as 0.45 + 0.5 are a little off.
const ROUNDING: f64 = 1e-9;

/// More is never free: the driver's own memory, and what its figures waver.
const MOST_IN_USE: f64 = 0.98;

/// The page.
#[derive(Clone, Debug, Default)]
pub(super) struct GpuPage {
    selection: Selection,
    /// What the last key came to.
    said: Option<String>,
}

/// The word by which a configuration names a unit.
fn word(unit: &Unit<'_>) -> String {
    match (unit.mig, unit.uuid) {
        (Some(_), Some(uuid)) => uuid.to_owned(),
        _ => unit.gpu.index.to_string(),
    }
}

fn names(unit: &Unit<'_>, text: &str) -> bool {
    word(unit) == text || unit.uuid.is_some_and(|uuid| uuid == text)
}

fn listed(model: &ModelAnswers) -> &[String] {
    match &model.gpus {
        Gpus::Listed(gpus) => gpus,
        Gpus::AsVisible | Gpus::Any(_) => &[],
    }
}

fn has(model: &ModelAnswers, unit: &Unit<'_>) -> bool {
    listed(model).iter().any(|text| names(unit, text))
}

/// The share of each GPU that a model's profile says.
fn share_of_profile(model: &ModelAnswers, known: &Known) -> Option<f64> {
    let name = model.profile.as_ref()?;
    known.profiles.iter().find(|profile| profile.name == *name)?.gpu_memory
}

/// The share of each GPU that a model takes.
fn share(model: &ModelAnswers, known: &Known) -> f64 {
    model.gpu_memory.or_else(|| share_of_profile(model, known)).unwrap_or(DEFAULT_SHARE)
}

/// What the other models of this configuration take of a unit.
fn others<'a>(answers: &'a Answers, at: usize, unit: &Unit<'_>, known: &Known) -> Vec<(&'a str, f64)> {
    let all = answers.models.iter().enumerate().filter(|(place, model)| *place != at && has(model, unit));
    all.map(|(_, model)| (model.name.as_str(), share(model, known))).collect()
}

/// Why the model at `at` cannot take a unit with its share; `None`: it can.
fn refusal(answers: &Answers, at: usize, unit: &Unit<'_>, known: &Known) -> Option<String> {
    let label = unit.label();
    let own = answers.models.get(at).map_or(DEFAULT_SHARE, |model| share(model, known));
    if unit.gpu.lost {
        return Some(format!("{label} fell off the bus or needs a reset: nothing can run on it."));
    }
    if unit.mig.is_none() && unit.gpu.mig.is_some() {
        return Some(format!("{label} is in MIG mode: choose one of its instances."));
    }
    let others = others(answers, at, unit, known);
    let sum: f64 = others.iter().map(|(_, share)| share).sum();
    if sum + own > LARGEST_SHARE + ROUNDING {
        let who: Vec<String> = others.iter().map(|(name, share)| format!("{name} takes {share:.2}")).collect();
        let who = if who.is_empty() { String::new() } else { format!("{}, ", clean(&who.join(", "))) };
        return Some(format!(
            "{label}: {who}and {own:.2} more is over {LARGEST_SHARE}. - lowers the share; = shares it equally."
        ));
    }
    let memory = unit.memory?;
    #[expect(clippy::cast_precision_loss, reason = "shares of memory are not exact")]
    let (used, total) = (memory.used as f64, memory.total as f64);
    (used + (own + sum) * total > MOST_IN_USE * total).then(|| {
        format!(
            "{label}: other processes hold {} of its {}: a share of {own:.2} does not fit. - lowers the share.",
            gib(memory.used),
            gib(memory.total)
        )
    })
}

/// Why the model cannot run on the GPUs that are chosen for it; `None`: it can, as far as is known.
fn too_small(model: &ModelAnswers, inventory: &Inventory, known: &Known) -> Option<String> {
    let weights = known.model(&model.source)?.memory.weights?;
    let all = units(inventory);
    let chosen: Vec<u64> =
        all.iter().filter(|unit| has(model, unit)).filter_map(|unit| Some(unit.memory?.total)).collect();
    let smallest = *chosen.iter().min()?;
    let each = weights / u64::try_from(chosen.len()).unwrap_or(1).max(1);
    #[expect(clippy::cast_precision_loss, reason = "shares of memory are not exact")]
    let (room, needed) = (smallest as f64 * share(model, known), each as f64);
    (needed > room).then(|| {
        format!(
            "Its weights need {} on each GPU, which is more than a share of {:.2} of {}: choose more GPUs, or a larger share.",
            gib(each),
            share(model, known),
            gib(smallest)
        )
    })
}

impl GpuPage {
    /// Proposes GPUs for a model of vLLM that has none: the first one that it fits on. Another server may need none.
    pub(super) fn propose(answers: &mut Answers, at: usize, known: &Known) {
        let Some(inventory) = known.gpus() else { return };
        if answers.models.get(at).is_none_or(|model| model.gpus != Gpus::AsVisible || !is_vllm(&model.command)) {
            return;
        }
        let all = units(inventory);
        let free = all.iter().find(|unit| refusal(answers, at, unit, known).is_none()).map(word);
        if let (Some(free), Some(model)) = (free, answers.models.get_mut(at)) {
            model.gpus = Gpus::Listed(vec![free]);
        }
    }

    /// Acts on a key; what is said of it then.
    pub(super) fn key(
        &mut self,
        key: KeyEvent,
        answers: &mut Answers,
        at: usize,
        known: &Known,
    ) -> (Filled, Option<String>) {
        let (filled, said) = self.decide(key, answers, at, known);
        self.said.clone_from(&said);
        (filled, said)
    }

    fn decide(&mut self, key: KeyEvent, answers: &mut Answers, at: usize, known: &Known) -> (Filled, Option<String>) {
        let Some(inventory) = known.gpus() else {
            return (if key.code == KeyCode::Esc { Filled::Back } else { Filled::Done }, None);
        };
        let all = units(inventory);
        if self.selection.key(key, all.len()) {
            return (Filled::Going, None);
        }
        let unit = self.selection.of(all.len()).and_then(|place| all.get(place));
        let said = match (key.code, unit) {
            (KeyCode::Esc, _) => return (Filled::Back, None),
            (KeyCode::Enter, _) => {
                let model = answers.models.get(at);
                let chosen = all.iter().filter(|unit| model.is_some_and(|model| has(model, unit)));
                let wrong = chosen.filter_map(|unit| refusal(answers, at, unit, known)).next();
                return match wrong.or_else(|| too_small(model?, inventory, known)) {
                    Some(why) => (Filled::Going, Some(why)),
                    None => (Filled::Done, None),
                };
            }
            (KeyCode::Char(' '), Some(unit)) => toggle(answers, at, unit, known),
            (KeyCode::Char('+'), _) => change(answers, at, STEP, known),
            (KeyCode::Char('-'), _) => change(answers, at, -STEP, known),
            (KeyCode::Char('='), Some(unit)) => equal(answers, at, unit, known),
            _ => None,
        };
        (Filled::Going, said)
    }

    /// Draws it.
    pub(super) fn draw(
        &self,
        answers: &Answers,
        at: usize,
        known: &Known,
        area: Rect,
        buffer: &mut Buffer,
        theme: &Theme,
    ) {
        let Some(inventory) = known.gpus() else { return };
        let Some(model) = answers.models.get(at) else { return };
        let rows = units(inventory).iter().map(|unit| row(answers, at, unit, (known, theme))).collect::<Vec<_>>();
        let height = u16::try_from(rows.len() + 1).unwrap_or(area.height).min(area.height.saturating_sub(7));
        Table::new(&COLUMNS, rows).draw(Rect { height, ..area }, Some(self.selection), buffer, theme);
        let count = listed(model).len();
        let parallel = if count > 1 {
            format!(" Its engine spreads over {count} GPUs (tensor parallelism).")
        } else {
            String::new()
        };
        let own = match (model.gpu_memory, share_of_profile(model, known)) {
            (Some(_), _) => "",
            (None, Some(_)) => ", as its profile says",
            (None, None) => ", as vLLM has it by default",
        };
        let lines = [
            format!(
                "{} takes a share of {:.2} of each GPU's memory{own}.{parallel}",
                clean(&model.name),
                share(model, known)
            ),
            "Several models can be on one GPU, as long as their shares are 0.95 together.".to_owned(),
        ];
        for (line, y) in lines.iter().zip(area.y + height + 1..area.bottom()) {
            put(buffer, area.x, y, area.width, &Line::styled(line.as_str(), theme.dim()));
        }
        let said = self.said.as_deref().map(|said| wrap(said, usize::from(area.width))).unwrap_or_default();
        for (line, y) in said.iter().zip(area.y + height + 4..area.bottom()) {
            put(buffer, area.x, y, area.width, &Line::styled(line.as_str(), theme.busy()));
        }
    }
}

fn toggle(answers: &mut Answers, at: usize, unit: &Unit<'_>, known: &Known) -> Option<String> {
    let is_chosen = answers.models.get(at).is_some_and(|model| has(model, unit));
    let why = if is_chosen { None } else { refusal(answers, at, unit, known) };
    if why.is_some() {
        return why;
    }
    let model = answers.models.get_mut(at)?;
    let mut gpus = listed(model).to_vec();
    if is_chosen {
        gpus.retain(|text| !names(unit, text));
    } else {
        gpus.push(word(unit));
        gpus.sort_by_key(|text| (text.parse::<u32>().unwrap_or(u32::MAX), text.clone()));
    }
    model.gpus = if gpus.is_empty() { Gpus::AsVisible } else { Gpus::Listed(gpus) };
    None
}

fn rounded(share: f64) -> f64 {
    ((share * 100.0).round() / 100.0).clamp(0.05, LARGEST_SHARE)
}

fn change(answers: &mut Answers, at: usize, by: f64, known: &Known) -> Option<String> {
    let model = answers.models.get_mut(at)?;
    // From 0.92 to 0.90, and on in whole steps.
    let steps = share(model, known) / STEP;
    let next = if by < 0.0 { (steps - ROUNDING).ceil() - 1.0 } else { (steps + ROUNDING).floor() + 1.0 };
    model.gpu_memory = Some(rounded(next * STEP));
    None
}

/// Gives the model and the others on a unit the same share, and the model the unit.
fn equal(answers: &mut Answers, at: usize, unit: &Unit<'_>, known: &Known) -> Option<String> {
    let on: Vec<usize> =
        (0..answers.models.len()).filter(|place| *place == at || has(&answers.models[*place], unit)).collect();
    #[expect(clippy::cast_precision_loss, reason = "there are few models")]
    let each = (LARGEST_SHARE / on.len() as f64 * 100.0 + ROUNDING).floor() / 100.0;
    for place in &on {
        answers.models[*place].gpu_memory = Some(each);
    }
    let why = if has(&answers.models[at], unit) { None } else { toggle(answers, at, unit, known) };
    why.or_else(|| Some(format!("{} of {}: a share of {each:.2} for each.", models(on.len()), unit.label())))
}

fn models(count: usize) -> String {
    if count == 1 { "1 model".to_owned() } else { format!("{count} models") }
}

fn row(answers: &Answers, at: usize, unit: &Unit<'_>, (known, theme): (&Known, &Theme)) -> Row {
    let is_chosen = answers.models.get(at).is_some_and(|model| has(model, unit));
    let others = others(answers, at, unit, known);
    let taken: Vec<String> = others.iter().map(|(name, share)| format!("{} {share:.2}", clean(name))).collect();
    let is_free = refusal(answers, at, unit, known).is_none();
    let (mark, style) = match (is_chosen, is_free) {
        (true, _) => ("[x]", theme.good()),
        (false, true) => ("[ ]", theme.accent()),
        (false, false) => ("[–]", theme.dim()),
    };
    let number = |value: Option<String>| Line::raw(value.unwrap_or_else(|| "-".to_owned()));
    let memory = unit.memory.map(|memory| format!("{} / {}", gib(memory.used).replace(" GiB", ""), gib(memory.total)));
    let label = unit.mig.map_or_else(|| unit.gpu.index.to_string(), |mig| format!("{}:{mig}", unit.gpu.index));
    Row::new(vec![
        Line::from(Span::styled(mark, style)),
        Line::raw(label),
        Line::raw(clean(unit.name.unwrap_or("-"))),
        number(memory),
        number(unit.gpu.utilisation.map(|load| format!("{load} %"))),
        number(unit.gpu.temperature.map(|degrees| format!("{degrees} °C"))),
        Line::raw(if taken.is_empty() { "-".to_owned() } else { taken.join(", ") }),
    ])
}

#[cfg(test)]
mod tests;
