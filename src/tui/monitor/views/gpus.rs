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
        for fault in &inventory.faults {
            lines.extend(
                wrap(&clean(fault), room).into_iter().map(|text| Line::styled(format!(" {text}"), theme.busy())),
            );
        }
        let columns = Columns::of(&inventory.gpus, area.width, area.width / 5);
        for gpu in &inventory.gpus {
            of_gpu(gpu, columns, &mut lines, theme);
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
