//! The page where a model's GPUs are chosen: what each has left, and why one cannot be taken. Pure.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use self::told::told;
use super::fit::{
    ROUNDING, Taken, each, engines_on, foreign, has, listed, names, others, placed, refusal, share, too_small, uneven,
    word,
};
use super::form::Filled;
use super::known::Known;
use crate::config::{Answers, Gpus, is_vllm};
use crate::inventory::{Unit, gib, units};
use crate::placement::{Assignment, LARGEST_SHARE};
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

/// From here + and - change a share that is not known.
const UNKNOWN: f64 = 0.45;

/// The page.
#[derive(Clone, Debug, Default)]
pub(super) struct GpuPage {
    selection: Selection,
    /// What the last key came to.
    said: Option<String>,
}

impl GpuPage {
    /// Proposes GPUs for a model of vLLM that has none: the first ones that it fits on, one for each engine. Another server may
    /// need none.
    pub(super) fn propose(answers: &mut Answers, at: usize, known: &Known) {
        let Some(inventory) = known.gpus() else { return };
        let Some(model) = answers.models.get(at) else { return };
        if model.gpus != Gpus::AsVisible || !is_vllm(&model.command) {
            return;
        }
        let (all, engines) = (units(inventory), model.replicas);
        let free = all.iter().filter(|unit| refusal(answers, at, unit, known).is_none()).map(word);
        let free: Vec<String> = free.take(engines).collect();
        if let Some(model) = answers.models.get_mut(at).filter(|_| free.len() == engines) {
            model.gpus = Gpus::Listed(free);
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
                return match wrong(answers, at, &all, known) {
                    Some(why) => (Filled::Going, Some(why)),
                    None => (Filled::Done, None),
                };
            }
            (KeyCode::Char('a'), _) => turn(answers, at, known),
            (KeyCode::Left, _) => count(answers, at, -1, all.len()),
            (KeyCode::Right, _) => count(answers, at, 1, all.len()),
            (KeyCode::Char(' '), Some(unit)) => toggle(answers, at, unit, known),
            (KeyCode::Char('+'), _) => change(answers, at, STEP, known),
            (KeyCode::Char('-'), _) => change(answers, at, -STEP, known),
            (KeyCode::Char('='), Some(unit)) => equal(answers, at, unit, known),
            (KeyCode::Char('t'), _) => on_demand(answers, at, known),
            (KeyCode::Char('T'), Some(unit)) => all_in_turns(answers, at, unit, known),
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
        let room = usize::from(area.width);
        // Where automatic choice would put it now, or why nowhere.
        let placed = if matches!(model.gpus, Gpus::Any(_)) { placed(answers, at, known) } else { Ok(Vec::new()) };
        let why = placed.as_ref().err().map(String::as_str);
        let told: Vec<String> = told(model, why, known).iter().flat_map(|text| wrap(text, room)).collect();
        let said = self.said.as_deref().map(|said| wrap(said, room)).unwrap_or_default();
        let shown = (placed.as_deref().ok(), known, theme);
        let rows = units(inventory).iter().map(|unit| row(answers, at, unit, shown)).collect::<Vec<_>>();
        let lines = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let below = lines(told.len() + said.len() + 2);
        let height = lines(rows.len() + 1).min(area.height.saturating_sub(below).max(3));
        Table::new(&COLUMNS, rows).draw(Rect { height, ..area }, Some(self.selection), buffer, theme);
        let told = told.iter().map(|line| Line::styled(line.as_str(), theme.dim()));
        let said = said.iter().map(|line| Line::styled(line.as_str(), theme.busy()));
        let (told, said): (Vec<Line<'_>>, Vec<Line<'_>>) = (told.collect(), said.collect());
        // In a small window the reason why something was refused matters more.
        let is_small = area.height < height + below;
        let (first, second) = if is_small { (said, told) } else { (told, said) };
        let gap = (!first.is_empty() && !second.is_empty()).then(Line::default);
        for (line, y) in first.iter().chain(&gap).chain(&second).zip(area.y + height + 1..area.bottom()) {
            put(buffer, area.x, y, area.width, line);
        }
    }
}

/// Why the page cannot be left with what is chosen.
fn wrong(answers: &Answers, at: usize, all: &[Unit<'_>], known: &Known) -> Option<String> {
    let (model, inventory) = (answers.models.get(at)?, known.gpus()?);
    let mut chosen = all.iter().filter(|unit| has(model, unit));
    let by_hand = chosen.find_map(|unit| refusal(answers, at, unit, known)).or_else(|| uneven(model));
    let automatic = || placed(answers, at, known).err().filter(|_| matches!(model.gpus, Gpus::Any(_)));
    by_hand.or_else(|| too_small(model, inventory, known)).or_else(automatic)
}

/// Turns from GPUs that are chosen by hand to as many that are chosen automatically, and back.
fn turn(answers: &mut Answers, at: usize, known: &Known) -> Option<String> {
    let model = answers.models.get_mut(at)?;
    model.gpus = match &model.gpus {
        Gpus::Any(_) => Gpus::AsVisible,
        Gpus::AsVisible | Gpus::Listed(_) => Gpus::Any(each(model).max(1)),
    };
    GpuPage::propose(answers, at, known);
    None
}

/// Changes how many GPUs are chosen automatically.
fn count(answers: &mut Answers, at: usize, by: isize, most: usize) -> Option<String> {
    match &mut answers.models.get_mut(at)?.gpus {
        Gpus::Any(count) => {
            *count = count.saturating_add_signed(by).clamp(1, most.max(1));
            None
        }
        Gpus::AsVisible | Gpus::Listed(_) => {
            Some("The arrows change how many GPUs are chosen automatically: a first.".to_owned())
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
    // From 0.92 to 0.90, and on in whole steps; where none is known, from the middle.
    let share = Some(share(model, known)).filter(|share| *share > 0.0);
    let steps = share.unwrap_or(UNKNOWN) / STEP;
    let next = if by < 0.0 { (steps - ROUNDING).ceil() - 1.0 } else { (steps + ROUNDING).floor() + 1.0 };
    model.gpu_memory = Some(rounded(next * STEP));
    None
}

/// Gives the model and the others on a unit the same share, and the model the unit.
fn equal(answers: &mut Answers, at: usize, unit: &Unit<'_>, known: &Known) -> Option<String> {
    let on: Vec<usize> =
        (0..answers.models.len()).filter(|place| *place == at || has(&answers.models[*place], unit)).collect();
    let engines_on = |place: &usize| engines_on(&answers.models[*place], unit).max(1);
    // Of those in turns one is there at a time.
    let (in_turns, kept): (Vec<usize>, Vec<usize>) = on.iter().partition(|place| answers.models[**place].on_demand);
    let engines = kept.iter().map(engines_on).sum::<usize>() + in_turns.iter().map(engines_on).max().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "there are few engines")]
    let each = (LARGEST_SHARE / engines as f64 * 100.0 + ROUNDING).floor() / 100.0;
    for place in &on {
        answers.models[*place].gpu_memory = Some(each);
    }
    let why = if has(&answers.models[at], unit) { None } else { toggle(answers, at, unit, known) };
    why.or_else(|| Some(format!("{} of {}: a share of {each:.2} for each.", models(on.len()), unit.label())))
}

/// Has the model loaded when a request needs it, or for good.
fn on_demand(answers: &mut Answers, at: usize, known: &Known) -> Option<String> {
    let model = answers.models.get_mut(at)?;
    model.on_demand = !model.on_demand;
    if model.on_demand {
        // There may be room for its turn where there was none for good.
        GpuPage::propose(answers, at, known);
    }
    None
}

/// Has the model and all others that it could meet take turns: those on a unit, which it takes, or all that are chosen automatically.
fn all_in_turns(answers: &mut Answers, at: usize, unit: &Unit<'_>, known: &Known) -> Option<String> {
    let is_automatic = matches!(answers.models.get(at)?.gpus, Gpus::Any(_));
    let mut count = 0;
    for (place, model) in answers.models.iter_mut().enumerate() {
        if place == at || has(model, unit) || (is_automatic && model.gpus != Gpus::AsVisible) {
            model.on_demand = true;
            count += 1;
        }
    }
    let is_taken = is_automatic || has(&answers.models[at], unit);
    let why = if is_taken { None } else { toggle(answers, at, unit, known) };
    let whose = if is_automatic { String::new() } else { format!(" of {}", unit.label()) };
    let said = if count == 1 {
        "1 model is loaded when a request needs it.".to_owned()
    } else {
        format!("{count} models{whose} take turns: each is loaded when a request needs it.")
    };
    why.or(Some(said))
}

fn models(count: usize) -> String {
    if count == 1 { "1 model".to_owned() } else { format!("{count} models") }
}

fn row(
    answers: &Answers,
    at: usize,
    unit: &Unit<'_>,
    (placed, known, theme): (Option<&[Assignment]>, &Known, &Theme),
) -> Row {
    let model = answers.models.get(at);
    let is_automatic = model.is_some_and(|model| matches!(model.gpus, Gpus::Any(_)));
    let is_placed = || {
        let places = placed.unwrap_or_default().iter().flat_map(|one| one.gpus.iter().flatten());
        places.into_iter().any(|place| names(unit, &place.text))
    };
    let is_chosen = if is_automatic { is_placed() } else { model.is_some_and(|model| has(model, unit)) };
    let is_free = refusal(answers, at, unit, known).is_none();
    let (sign, style) = match (is_chosen, is_free) {
        (true, _) => ('x', theme.good()),
        (false, true) => (' ', theme.accent()),
        (false, false) => ('–', theme.dim()),
    };
    let mark = if is_automatic { format!("({sign})") } else { format!("[{sign}]") };
    let number = |value: Option<String>| Line::raw(value.unwrap_or_else(|| "-".to_owned()));
    let memory = unit.memory.map(|memory| format!("{} / {}", gib(memory.used).replace(" GiB", ""), gib(memory.total)));
    let label = unit.mig.map_or_else(|| unit.gpu.index.to_string(), |mig| format!("{}:{mig}", unit.gpu.index));
    Row::new(vec![
        Line::from(Span::styled(mark, style)),
        Line::raw(label),
        Line::raw(unit.name.map_or_else(|| "-".to_owned(), |name| clean(name.strip_prefix("NVIDIA ").unwrap_or(name)))),
        number(memory),
        number(unit.gpu.utilisation.map(|load| format!("{load} %"))),
        number(unit.gpu.temperature.map(|degrees| format!("{degrees} °C"))),
        Line::raw(taken_by(answers, at, unit, known)),
    ])
}

/// Who takes something of a unit: other models of this configuration, and processes that are not of it.
fn taken_by(answers: &Answers, at: usize, unit: &Unit<'_>, known: &Known) -> String {
    let share = |share: f64| if share > 0.0 { format!(" {share:.2}") } else { String::new() };
    let (turns, kept): (Vec<_>, Vec<_>) =
        others(answers, at, unit, known).into_iter().partition(|other| other.in_turns);
    let told = |one: &Taken<'_>| format!("{}{}", clean(one.name), share(one.share));
    let mut taken: Vec<String> = kept.iter().map(told).collect();
    taken.extend(foreign(unit).map(|bytes| format!("others {}", gib(bytes))));
    let turns: Vec<String> = turns.iter().map(told).collect();
    taken.extend((!turns.is_empty()).then(|| format!("in turns: {}", turns.join(", "))));
    if taken.is_empty() { "nobody".to_owned() } else { taken.join(", ") }
}

mod told;

#[cfg(test)]
mod tests;
