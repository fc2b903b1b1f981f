//! The page between the others: what is configured so far, and where to go on.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::config::{Answers, Gpus, ModelAnswers};
use crate::tui::frame::Theme;
use crate::tui::widgets::{Column, Row, Selection, Table, clean};

const COLUMNS: [Column; 5] = [
    Column::new("", 9).flexible(20),
    Column::new("FROM", 7).flexible(10),
    Column::new("ENGINES", 5).right(),
    Column::new("GPUS", 6).flexible(6),
    Column::new("PROFILE", 4).flexible(6),
];

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    Back,
    Gateway,
    /// Change this model.
    Model(usize),
    /// Take this model out.
    Remove(usize),
    Add,
    Review,
}

/// The page. Its last row is selected: Enter goes on to the review.
#[derive(Clone, Copy, Debug)]
pub(super) struct Models {
    selection: Selection,
}

impl Models {
    pub(super) fn new(answers: &Answers) -> Self {
        Self { selection: Selection::new(answers.models.len() + 2) }
    }

    /// Acts on a key.
    pub(super) fn key(&mut self, key: KeyEvent, answers: &Answers) -> Next {
        let models = answers.models.len();
        if self.selection.key(key, models + 3) {
            return Next::Stay;
        }
        let at = self.selection.of(models + 3).unwrap_or(0);
        match key.code {
            KeyCode::Esc => Next::Back,
            KeyCode::Char('a') => Next::Add,
            KeyCode::Char('d') | KeyCode::Delete if (1..=models).contains(&at) => Next::Remove(at - 1),
            KeyCode::Enter if at == 0 => Next::Gateway,
            KeyCode::Enter if at <= models => Next::Model(at - 1),
            KeyCode::Enter if at == models + 1 => Next::Add,
            KeyCode::Enter => Next::Review,
            _ => Next::Stay,
        }
    }

    /// Draws it.
    pub(super) fn draw(&self, answers: &Answers, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let text = |cells: [&str; 5]| Row::new(cells.map(|cell| Line::raw(clean(cell))).to_vec());
        let mut rows = vec![text([&format!("Gateway {}", answers.listen), "", "", "", ""])];
        for model in &answers.models {
            let name = format!("Model {}", [&[model.name.clone()][..], &model.aliases].concat().join(", "));
            let engines = model.replicas.to_string();
            rows.push(text([&name, &model.source, &engines, &gpus(model), model.profile.as_deref().unwrap_or("none")]));
        }
        let add = if answers.models.is_empty() { "Add a model" } else { "Add another model" };
        rows.push(Row::new(vec![Line::styled(add, theme.accent())]));
        rows.push(Row::new(vec![Line::styled("Review, save and start", theme.accent())]));
        Table::new(&COLUMNS, rows).draw(area, Some(self.selection), buffer, theme);
    }
}

/// The GPUs of a model, in a word or two.
fn gpus(model: &ModelAnswers) -> String {
    let share = model.gpu_memory.map_or_else(String::new, |share| format!(" × {share:.2}"));
    let turns = if model.on_demand { ", in turns" } else { "" };
    match &model.gpus {
        Gpus::AsVisible => format!("as visible{share}{turns}"),
        Gpus::Any(count) => format!("any {count}{share}{turns}"),
        Gpus::Listed(gpus) => format!("{}{share}{turns}", gpus.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_leads_on_and_the_last_one_is_selected() {
        let models = vec![ModelAnswers::default(), ModelAnswers::default()];
        let answers = Answers { models, ..Answers::usual() };
        let mut page = Models::new(&answers);
        let mut press = |code: KeyCode| page.key(code.into(), &answers);
        assert_eq!(press(KeyCode::Enter), Next::Review);
        for next in [Next::Add, Next::Model(1), Next::Model(0), Next::Gateway] {
            press(KeyCode::Up);
            assert_eq!(press(KeyCode::Enter), next);
        }
        assert_eq!((press(KeyCode::Char('a')), press(KeyCode::Char('d'))), (Next::Add, Next::Stay));
        press(KeyCode::Down);
        assert_eq!((press(KeyCode::Char('d')), press(KeyCode::Esc)), (Next::Remove(0), Next::Back));
    }
}
