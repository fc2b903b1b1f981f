//! The first line of the overview: how everything is.

use ratatui::text::{Line, Span};

use super::super::figures;
use super::super::known::Known;
use crate::api::{EngineState, EngineView};
use crate::tui::frame::{Style, Theme};

/// What ready engines are called that get no requests.
const DRAINED: &str = "drained";

/// How everything is, in one line; what is wrong comes before what is well. In narrow windows it is told in fewer words.
pub(super) fn summary(known: &Known, columns: u16, theme: &Theme) -> Line<'static> {
    let active: usize = known.engines().map(|engine| engine.in_flight).sum();
    let mut line = Line::raw(format!(" {active} active"));
    if let Some(rates) = &known.rates {
        line.push_span(Span::raw(format!(" · {} req/s", figures::count(rates.all.requests_per_second))));
        let errors = rates.all.errors_per_second;
        let style = if errors > 0.0 { theme.bad() } else { Style::default() };
        line.push_span(Span::styled(format!(" · {} err/s", figures::count(errors)), style));
    }
    let engines = figures::counted(known.engines().count(), "engine");
    let counted = format!(" · {}, {engines}:", figures::counted(known.models.len(), "model"));
    let told = |counted: &str, has_words| {
        let mut line = line.clone();
        line.push_span(Span::raw(counted.to_owned()));
        line.extend(states(known, has_words, theme));
        line
    };
    let ways = [told(&counted, true), told(&counted, false), told(" ·", false)];
    let [.., shortest] = &ways;
    ways.iter().find(|line| line.width() <= usize::from(columns)).unwrap_or(shortest).clone()
}

/// How many engines are in each state.
fn states(known: &Known, has_words: bool, theme: &Theme) -> Vec<Span<'static>> {
    let words = [
        ("failed", "✗", theme.bad()),
        ("unhealthy", "▲", theme.bad()),
        ("starting", "◐", theme.busy()),
        ("stopping", "◌", theme.busy()),
        ("stopped", "○", theme.dim()),
        ("asleep", "☾", theme.calm()),
        (DRAINED, "●", theme.busy()),
        ("ready", "●", theme.good()),
    ];
    let count = |word: &str| known.engines().filter(|engine| told_as(engine) == word).count();
    let told = |(word, sign, style)| match count(word) {
        0 => None,
        count if has_words => Some(Span::styled(format!(" {sign} {count} {word}"), style)),
        count => Some(Span::styled(format!(" {sign}{count}"), style)),
    };
    words.into_iter().filter_map(told).collect()
}

/// Ready ones that get no requests are not counted as ready.
fn told_as(engine: &EngineView) -> &'static str {
    if engine.drained && engine.state == EngineState::Ready { DRAINED } else { engine.state.word() }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::super::example::snapshot;
    use super::*;
    use crate::api::Event;

    #[test]
    fn every_state_is_told_however_narrow_the_window_is() {
        let mut known = Known::new(Instant::now());
        known.hear(&snapshot());
        let told = |columns| summary(&known, columns, &Theme::new(true, true)).to_string();
        assert!(told(200).ends_with("3 models, 5 engines: ✗ 1 failed ◐ 1 starting ○ 1 stopped ☾ 1 asleep ● 1 ready"));
        assert!(told(80).ends_with("3 models, 5 engines: ✗1 ◐1 ○1 ☾1 ●1"), "{}", told(80));
        assert!(told(60).ends_with("err/s · ✗1 ◐1 ○1 ☾1 ●1"), "{}", told(60));
        let Event::Snapshot(mut drained) = snapshot() else { panic!("no snapshot") };
        drained.engines[0].drained = true;
        known.hear(&Event::Snapshot(drained));
        let line = summary(&known, 200, &Theme::new(true, true)).to_string();
        assert!(line.ends_with("☾ 1 asleep ● 1 drained"), "{line}");
    }
}
