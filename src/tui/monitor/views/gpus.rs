//! GPUs, with the engines and processes on each.

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyEvent;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::figures::{NONE, gib, or_none};
use super::super::gpu_lines;
use super::super::view::{Shown, View};
use super::super::wish::Wish;
use crate::gpu::{Gpu, GpuProcess};
use crate::tui::frame::{KeyHelp, Theme};
use crate::tui::widgets::{Selection, clean, put, wrap};

/// GPUs.
#[derive(Debug, Default)]
pub(in super::super) struct Gpus {
    /// The uppermost line.
    scrolled: Selection,
}

impl View for Gpus {
    fn title(&self) -> String {
        "gpus".to_owned()
    }

    fn key(&mut self, key: KeyEvent, shown: &Shown<'_>) -> Option<Wish> {
        let inventory = &shown.known.gpus.inventory;
        // About how many lines there are: more than are drawn do no harm.
        let count = inventory
            .gpus
            .iter()
            .map(|gpu| 2 + gpu.processes.as_ref().map_or(0, Vec::len) + gpu.mig.as_ref().map_or(0, Vec::len));
        self.scrolled.key(key, count.sum::<usize>() + inventory.faults.len());
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
        for fault in &inventory.faults {
            lines.extend(
                wrap(&clean(fault), room).into_iter().map(|text| Line::styled(format!(" {text}"), theme.busy())),
            );
        }
        let names = inventory.gpus.iter().map(|gpu| gpu_lines::name(gpu).chars().count()).max().unwrap_or(0);
        let least = if inventory.gpus.iter().any(|gpu| gpu.mig.is_some()) { 16 } else { 4 };
        let names = names.max(least).min(usize::from(area.width / 5));
        for gpu in &inventory.gpus {
            of_gpu(gpu, names, area.width, &mut lines, theme);
        }
        let most = lines.len().saturating_sub(usize::from(area.height));
        let first = self.scrolled.of(lines.len()).unwrap_or(0).min(most);
        for (line, y) in lines.iter().skip(first).zip(area.y..area.bottom()) {
            put(buffer, area.x, y, area.width, line);
        }
    }

    fn keys(&self) -> Vec<KeyHelp> {
        vec![KeyHelp::new("↑ ↓", "scroll")]
    }
}

/// A GPU, its instances, and who uses it.
fn of_gpu(gpu: &Gpu, names: usize, columns: u16, lines: &mut Vec<Line<'static>>, theme: &Theme) {
    lines.push(gpu_lines::gpu(gpu, names, columns, theme));
    let mut processes: Vec<&GpuProcess> = gpu.processes.iter().flatten().collect();
    for part in gpu.mig.iter().flatten() {
        lines.push(gpu_lines::mig(part, names, columns, theme));
        processes.extend(part.processes.iter().flatten());
    }
    match &gpu.processes {
        None => lines.push(Line::styled("     who uses it is not known", theme.dim())),
        Some(_) if processes.is_empty() => lines.push(Line::styled("     nobody uses it", theme.dim())),
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
