//! GPUs, with the engines and processes on each.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyEvent;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::figures::{NONE, gib, or_none};
use super::super::gpu_lines::{self, Columns};
use super::super::view::{Shown, View};
use super::super::wish::Wish;
use crate::gpu::{Gpu, GpuProcess};
use crate::tui::frame::{KeyHelp, Theme};
use crate::tui::widgets::{Scroll, clean, wrap};

/// Some drivers count a little memory as used where nobody uses a GPU; it is less than this (bytes).
const DRIVER: u64 = 64 << 20;

/// GPUs.
#[derive(Debug, Default)]
pub(in super::super) struct Gpus {
    scroll: Scroll,
}

impl View for Gpus {
    fn title(&self) -> String {
        "gpus".to_owned()
    }

    fn key(&mut self, key: KeyEvent, _shown: &Shown<'_>) -> Option<Wish> {
        self.scroll.key(key);
        None
    }

    fn draw(&self, shown: &Shown<'_>, area: Rect, buffer: &mut Buffer, theme: &Theme) {
        let gpus = &shown.known.gpus;
        let inventory = &gpus.inventory;
        let driver = or_none(inventory.driver.as_deref(), clean);
        let cuda = or_none(inventory.cuda.as_deref(), clean);
        let heading = if inventory.gpus.is_empty() {
            " No GPUs are known here.".to_owned()
        } else {
            format!(" driver {driver} · CUDA up to {cuda}")
        };
        let mut lines = vec![Line::styled(heading, theme.dim())];
        let room = usize::from(area.width).saturating_sub(2);
        let columns = Columns::of(&inventory.gpus, area.width, area.width / 5);
        for gpu in &inventory.gpus {
            of_gpu(gpu, columns, &mut lines, theme);
        }
        for fault in together(&inventory.faults) {
            lines.extend(
                wrap(&clean(&fault), room).into_iter().map(|text| Line::styled(format!(" {text}"), theme.busy())),
            );
        }
        self.scroll.draw_told(&lines, area, buffer, theme);
    }

    fn keys(&self) -> Vec<KeyHelp> {
        vec![KeyHelp::new("↑ ↓", "scroll")]
    }
}

/// A GPU, its instances, and who uses it.
fn of_gpu(gpu: &Gpu, columns: Columns, lines: &mut Vec<Line<'static>>, theme: &Theme) {
    lines.push(gpu_lines::gpu(gpu, columns, theme));
    let mut processes: Vec<&GpuProcess> = gpu.processes.iter().flatten().collect();
    for part in gpu.mig.iter().flatten() {
        lines.push(gpu_lines::mig(part, columns, theme));
        processes.extend(part.processes.iter().flatten());
    }
    match &gpu.processes {
        None => lines.push(Line::styled("     who uses it is not known", theme.dim())),
        Some(_) if processes.is_empty() => {
            let text = if is_unused(gpu) { "nobody uses it" } else { "no process is visible from here" };
            lines.push(Line::styled(format!("     {text}"), theme.dim()));
        }
        Some(_) => {}
    }
    processes.sort_by_key(|process| std::cmp::Reverse(process.memory));
    for process in processes {
        let memory = process.memory.map_or_else(|| NONE.to_owned(), |bytes| format!("{}G", gib(bytes)));
        let mut line = Line::raw(format!("     {:>8} {memory:>6}  ", process.pid));
        match &process.engine {
            Some(engine) => line.push_span(Span::styled(format!("engine {}  ", clean(engine)), theme.accent())),
            None => line.push_span(Span::styled("not ours  ", theme.busy())),
        }
        line.push_span(Span::styled(or_none(process.name.as_deref(), clean), theme.dim()));
        lines.push(line);
    }
}

/// Whether nothing tells of a use.
fn is_unused(gpu: &Gpu) -> bool {
    let has_engines =
        gpu.engines.iter().flatten().chain(gpu.mig.iter().flatten().flat_map(|part| part.engines.iter().flatten()));
    gpu.memory.is_some_and(|memory| memory.used < DRIVER) && has_engines.count() == 0
}

/// Each fault once: what is the same for several GPUs, with all of them before it.
fn together(faults: &[String]) -> Vec<String> {
    let mut all: Vec<(&str, Vec<u32>)> = Vec::new();
    for fault in faults {
        let of_gpu = fault.strip_prefix("GPU ").and_then(|rest| rest.split_once(": "));
        let (text, index) = match of_gpu.and_then(|(index, text)| Some((text, index.parse::<u32>().ok()?))) {
            Some((text, index)) => (text, Some(index)),
            None => (fault.as_str(), None),
        };
        match all.iter_mut().find(|(known, gpus)| *known == text && gpus.is_empty() == index.is_none()) {
            Some((_, gpus)) => gpus.extend(index),
            None => all.push((text, index.into_iter().collect())),
        }
    }
    all.into_iter()
        .map(|(text, gpus)| match gpus.len() {
            0 => text.to_owned(),
            1 => format!("GPU {}: {text}", ranges(&gpus)),
            _ => format!("GPUs {}: {text}", ranges(&gpus)),
        })
        .collect()
}

/// `0-3, 5`.
fn ranges(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let told = |(first, last): (u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.into_iter().map(told).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Memory;

    #[test]
    fn equal_faults_are_told_once() {
        let of = |index: u32| format!("GPU {index}: processes: not supported");
        let mut faults: Vec<String> = [0, 1, 2, 5].map(of).to_vec();
        faults.extend(["the driver is old".to_owned(), "GPU 7: lost".to_owned(), "the driver is old".to_owned()]);
        let told = together(&faults);
        assert_eq!(told, ["GPUs 0-2, 5: processes: not supported", "the driver is old", "GPU 7: lost"]);
    }

    #[test]
    fn memory_in_use_without_a_process_is_no_free_gpu() {
        let gpu =
            |used| Gpu { memory: Some(Memory { total: 80 << 30, used, free: (80 << 30) - used }), ..Gpu::default() };
        assert!(is_unused(&gpu(0)) && !is_unused(&gpu(40 << 30)) && !is_unused(&Gpu::default()));
        assert!(!is_unused(&Gpu { engines: Some(vec!["m/0".to_owned()]), ..gpu(0) }));
    }
}
