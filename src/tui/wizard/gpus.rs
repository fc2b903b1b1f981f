//! The page where a model's GPUs are chosen: what each has left, and why one cannot be taken. Pure.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::fit::{
    ROUNDING, Said, each, engines_on, foreign, has, listed, names, others, placed, refusal, said_share, share,
    too_small, uneven, word,
};
use super::form::Filled;
use super::known::Known;
use crate::config::{Answers, Gpus, ModelAnswers, is_vllm};
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

/// What is chosen, and what that means. `why`: why automatic choice finds no place now.
fn told(model: &ModelAnswers, why: Option<&str>, known: &Known) -> Vec<String> {
    let name = clean(&model.name);
    let engines =
        if model.replicas == 1 { "its engine".to_owned() } else { format!("each of its {} engines", model.replicas) };
    let spread = match each(model) {
        each if each < 2 || !is_vllm(&model.command) => String::new(),
        each => format!(" With {each} GPUs {engines} uses tensor parallelism."),
    };
    let chosen = match &model.gpus {
        Gpus::Any(count) => format!(
            "Automatic: {engines} gets {} when it starts, where there is room: {}. ← → changes how many, a chooses by \
             hand.{spread}",
            gpus(*count),
            why.map_or_else(
                || "now those marked (x)".to_owned(),
                |why| format!("now nowhere ({})", why.trim_end_matches('.'))
            ),
        ),
        Gpus::Listed(_) => format!("Chosen by hand; a has them chosen automatically.{spread}"),
        Gpus::AsVisible => {
            format!("None is chosen: {engines} sees all GPUs. Space takes one, a has them chosen automatically.")
        }
    };
    let (share, said) = said_share(model, known);
    let own = match said {
        Said::Model => "",
        Said::Profile => ", as its profile says",
        Said::Default if !is_vllm(&model.command) => ", which is reserved where nothing else is said",
        Said::Default | Said::Unknown => ", as vLLM has it by default",
    };
    let share = match said {
        Said::Unknown => format!("How much memory {name} takes is not known: it is not vLLM. + and - say a share."),
        _ => format!("{name} takes a share of {share:.2} of each GPU's memory{own}."),
    };
    vec![
        chosen,
        share,
        format!("Several models can be on one GPU, as long as their shares are at most {LARGEST_SHARE} together."),
    ]
}

fn gpus(count: usize) -> String {
    if count == 1 { "1 GPU".to_owned() } else { format!("{count} GPUs") }
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
    let engines: usize = on.iter().map(|place| engines_on(&answers.models[*place], unit).max(1)).sum();
    #[expect(clippy::cast_precision_loss, reason = "there are few engines")]
    let each = (LARGEST_SHARE / engines as f64 * 100.0 + ROUNDING).floor() / 100.0;
    for place in &on {
        answers.models[*place].gpu_memory = Some(each);
    }
    let why = if has(&answers.models[at], unit) { None } else { toggle(answers, at, unit, known) };
    why.or_else(|| Some(format!("{} of {}: a share of {each:.2} for each.", models(on.len()), unit.label())))
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
    let others = others(answers, at, unit, known);
    let mut taken: Vec<String> = others.iter().map(|(name, part)| format!("{}{}", clean(name), share(*part))).collect();
    taken.extend(foreign(unit).map(|bytes| format!("others {}", gib(bytes))));
    if taken.is_empty() { "nobody".to_owned() } else { taken.join(", ") }
}

#[cfg(test)]
mod tests;
