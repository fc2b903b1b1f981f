//! GPUs as lines with bars.

use ratatui::text::{Line, Span};

use super::figures::{NONE, gib, or_none};
use crate::gpu::{Gpu, Memory, Mig};
use crate::tui::frame::{Style, Theme};
use crate::tui::widgets::{bar, clean, width};

/// Columns of all but the bars and the names.
const FIXED: u16 = 38;

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

/// A line of a GPU: memory, load, temperature, power, and the engines on it. `names`: columns of names.
pub(super) fn gpu(gpu: &Gpu, names: usize, columns: u16, theme: &Theme) -> Line<'static> {
    let mut line = Line::from(vec![Span::styled(format!("{:>2} ", gpu.index), theme.accent())]);
    line.push_span(Span::raw(padded(&name(gpu), names)));
    if gpu.lost {
        line.push_span(Span::styled("  ✗ lost: it fell off the bus or needs a reset", theme.bad()));
        return line;
    }
    let names = u16::try_from(names).unwrap_or(0);
    let bars = (columns.saturating_sub(FIXED + names) / 4).clamp(4, 30);
    memory(&mut line, gpu.memory.as_ref(), bars, theme);
    let load = gpu.utilisation.map_or(0.0, |percent| f64::from(percent) / 100.0);
    line.push_span(Span::styled("  load ", theme.dim()));
    line.extend(bar(load, bars, theme.accent(), theme));
    line.push_span(Span::raw(format!(" {:>4}", or_none(gpu.utilisation, |percent| format!("{percent}%")))));
    let heat = match gpu.temperature {
        Some(degrees) if degrees >= HOT => theme.bad(),
        Some(degrees) if degrees >= WARM => theme.busy(),
        _ => Style::default(),
    };
    line.push_span(Span::styled(format!(" {:>5}", or_none(gpu.temperature, |degrees| format!("{degrees}°C"))), heat));
    if columns >= 100 {
        line.push_span(Span::raw(format!(" {:>5}", or_none(gpu.power, |watts| format!("{watts:.0}W")))));
    }
    line.push_span(Span::styled(
        format!("  {}", clean(&gpu.engines.as_deref().unwrap_or_default().join(" "))),
        theme.accent(),
    ));
    line
}

/// A line of a MIG instance.
pub(super) fn mig(part: &Mig, names: usize, columns: u16, theme: &Theme) -> Line<'static> {
    let name = part.name.as_deref().and_then(|name| name.split_once("MIG ")).map_or("MIG", |(_, name)| name);
    let mut line = Line::raw(format!("   {}", padded(&format!("└ {} {}", part.index, clean(name)), names)));
    let bars = (columns.saturating_sub(FIXED + u16::try_from(names).unwrap_or(0)) / 4).clamp(4, 30);
    memory(&mut line, part.memory.as_ref(), bars, theme);
    line.push_span(Span::styled(
        format!("  {}", clean(&part.engines.as_deref().unwrap_or_default().join(" "))),
        theme.accent(),
    ));
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
    let text: String = if width(text) > columns { text.chars().take(columns).collect() } else { text.to_owned() };
    let gap = " ".repeat(columns.saturating_sub(width(&text)));
    text + &gap
}

#[cfg(test)]
mod tests {
    use super::*;

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
