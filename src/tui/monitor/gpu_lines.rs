//! GPUs as lines with bars.

use ratatui::text::{Line, Span};

use super::figures::{NONE, gib, or_none};
use crate::gpu::{Gpu, Memory, Mig};
use crate::tui::frame::{Style, Theme};
use crate::tui::widgets::{bar, clean, width};

/// Columns of all but the names, the bars and the engines: without power, and of power.
const FIXED: usize = 41;
const POWER: usize = 6;

/// From so many columns on there is room for the power.
const WIDE: u16 = 100;

/// Columns that a bar takes: at least, and at most.
const BARS: (usize, usize) = (4, 30);

/// From this temperature on a chip is warm, and hot (°C).
const WARM: u32 = 75;
const HOT: u32 = 85;

/// What a GPU is called.
pub(super) fn name(gpu: &Gpu) -> String {
    let name = gpu.name.as_deref().unwrap_or("GPU");
    let name = name.strip_prefix("NVIDIA ").unwrap_or(name);
    // Its memory is told beside it.
    let mut words = Vec::new();
    for word in name.split(' ') {
        let start = word.strip_suffix("GB").map(|size| size.rsplit_once('-').map_or("", |(start, _)| start));
        match start {
            None => words.push(word),
            Some("") if words.is_empty() => words.push(word),
            Some("") => break,
            Some(start) => {
                words.push(start);
                break;
            }
        }
    }
    clean(&words.join(" "))
}

/// How the lines of several GPUs are laid out, so that they are below each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    names: usize,
    bars: u16,
    all: u16,
}

impl Columns {
    /// For these GPUs in so many columns; their names take `most` of them at most. Bars give way to names of engines.
    pub(super) fn of(gpus: &[Gpu], all: u16, most: u16) -> Self {
        let has_parts = gpus.iter().any(|gpu| gpu.mig.is_some());
        let names = gpus.iter().map(|gpu| width(&name(gpu))).max().unwrap_or(0);
        let names = names.max(if has_parts { 16 } else { 0 }).min(usize::from(most));
        let listed = gpus
            .iter()
            .map(|gpu| gpu.engines.as_deref())
            .chain(gpus.iter().flat_map(|gpu| gpu.mig.iter().flatten()).map(|part| part.engines.as_deref()));
        let engines = listed.map(|engines| width(&together(engines, usize::MAX))).max().unwrap_or(0);
        let taken = FIXED + names + engines + if all >= WIDE { POWER } else { 0 };
        let bars = (usize::from(all).saturating_sub(taken) / 2).clamp(BARS.0, BARS.1);
        Self { names, bars: u16::try_from(bars).unwrap_or(0), all }
    }
}

/// Engines one after the other; where there is no room for all of them, how many more there are.
fn together(engines: Option<&[String]>, room: usize) -> String {
    let engines = engines.unwrap_or_default();
    let some = |count: usize| {
        let names: Vec<String> = engines.iter().take(count).map(|engine| clean(engine)).collect();
        let more = if count < engines.len() { format!(" +{}", engines.len() - count) } else { String::new() };
        names.join(" ") + &more
    };
    (1..=engines.len()).rev().map(some).find(|text| width(text) <= room).unwrap_or_else(|| some(1.min(engines.len())))
}

/// A line of a GPU: memory, load, temperature, power, and the engines on it.
pub(super) fn gpu(gpu: &Gpu, columns: Columns, theme: &Theme) -> Line<'static> {
    let mut line = Line::from(vec![Span::styled(format!("{:>2} ", gpu.index), theme.accent())]);
    line.push_span(Span::raw(padded(&name(gpu), columns.names)));
    if gpu.lost {
        line.push_span(Span::styled("  ✗ lost: it fell off the bus or needs a reset", theme.bad()));
        return line;
    }
    memory(&mut line, gpu.memory.as_ref(), columns.bars, theme);
    let load = gpu.utilisation.map_or(0.0, |percent| f64::from(percent) / 100.0);
    line.push_span(Span::styled("  load ", theme.dim()));
    line.extend(bar(load, columns.bars, theme.accent(), theme));
    line.push_span(Span::raw(format!(" {:>4}", or_none(gpu.utilisation, |percent| format!("{percent}%")))));
    let heat = match gpu.temperature {
        Some(degrees) if degrees >= HOT => theme.bad(),
        Some(degrees) if degrees >= WARM => theme.busy(),
        _ => Style::default(),
    };
    line.push_span(Span::styled(format!(" {:>5}", or_none(gpu.temperature, |degrees| format!("{degrees}°C"))), heat));
    if columns.all >= WIDE {
        line.push_span(Span::raw(format!(" {:>5}", or_none(gpu.power, |watts| format!("{watts:.0}W")))));
    }
    engines(&mut line, gpu.engines.as_deref(), columns, theme);
    line
}

fn engines(line: &mut Line<'static>, engines: Option<&[String]>, columns: Columns, theme: &Theme) {
    let room = usize::from(columns.all).saturating_sub(line.width() + 2);
    line.push_span(Span::styled(format!("  {}", together(engines, room)), theme.accent()));
}

/// A line of a MIG instance.
pub(super) fn mig(part: &Mig, columns: Columns, theme: &Theme) -> Line<'static> {
    let name = part.name.as_deref().and_then(|name| name.split_once("MIG ")).map_or("MIG", |(_, name)| name);
    let mut line = Line::raw(format!("   {}", padded(&format!("└ {} {}", part.index, clean(name)), columns.names)));
    memory(&mut line, part.memory.as_ref(), columns.bars, theme);
    engines(&mut line, part.engines.as_deref(), columns, theme);
    line
}

fn memory(line: &mut Line<'static>, memory: Option<&Memory>, bars: u16, theme: &Theme) {
    let share = memory.map_or(0.0, |memory| memory.used as f64 / memory.total.max(1) as f64);
    line.push_span(Span::styled("  memory ", theme.dim()));
    line.extend(bar(share, bars, theme.fullness(share), theme));
    let text = memory.map_or_else(|| NONE.to_owned(), |memory| format!("{}/{}G", gib(memory.used), gib(memory.total)));
    line.push_span(Span::raw(format!(" {text:>8}")));
}

fn padded(text: &str, columns: usize) -> String {
    let mut text = text.to_owned();
    while width(&text) > columns {
        text.pop();
    }
    let gap = " ".repeat(columns.saturating_sub(width(&text)));
    text + &gap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_give_way_to_engines_and_what_has_no_room_is_counted() {
        let engines: Vec<String> = ["first-model/0", "second-model/0", "third-model/0"].map(str::to_owned).to_vec();
        let one =
            |engines: &[String]| Gpu { name: Some("H100".into()), engines: Some(engines.to_vec()), ..Gpu::default() };
        let drawn = |count: usize| {
            let gpus = [one(&engines[..count])];
            gpu(&gpus[0], Columns::of(&gpus, 80, 16), &Theme::new(true, true))
        };
        assert!(drawn(1).to_string().ends_with("  first-model/0"));
        assert!(drawn(3).to_string().ends_with("  first-model/0 +2"), "{}", drawn(3));
        assert!((1..=3).all(|count| drawn(count).width() <= 80));
    }

    #[test]
    fn names_lose_their_memory_and_are_never_empty() {
        for (given, expected) in [
            ("NVIDIA A100-SXM4-80GB", "A100-SXM4"),
            ("NVIDIA H100 80GB HBM3", "H100"),
            ("NVIDIA GeForce RTX 4090", "GeForce RTX 4090"),
            ("NVIDIA GB200", "GB200"),
            ("80GB", "80GB"),
        ] {
            assert_eq!(name(&Gpu { name: Some(given.to_owned()), ..Gpu::default() }), expected);
        }
    }
}
