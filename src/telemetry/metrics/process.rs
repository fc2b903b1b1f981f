//! What the operating system tells of this process, under the names that all Prometheus clients have for it
//! (Prometheus documentation, "Writing client libraries", Process metrics).

use std::fs;

use prometheus::{Counter, Error, Gauge};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::register::Register;

/// What is told of the process.
#[derive(Debug)]
pub(super) struct ProcessMetrics {
    cpu: Counter,
    open_fds: Gauge,
    max_fds: Gauge,
    virtual_memory: Gauge,
    resident_memory: Gauge,
    threads: Gauge,
    start_time: Gauge,
}

/// Of `/proc/{pid}/stat` (proc(5)), in the units that it has.
#[derive(Debug, PartialEq)]
struct Stat {
    /// User and system time, in ticks.
    cpu: u64,
    threads: u64,
    /// Ticks after the machine was started.
    started: u64,
    /// Bytes.
    virtual_memory: u64,
    /// Pages.
    resident_memory: u64,
}

impl ProcessMetrics {
    pub(super) fn new(to: &Register) -> Result<Self, Error> {
        let gauge = |name, help| to.add(Gauge::new(name, help)?);
        Ok(Self {
            cpu: to.add(Counter::new(
                "process_cpu_seconds_total",
                "User and system CPU time that this process has used, in seconds.",
            )?)?,
            open_fds: gauge("process_open_fds", "Open file descriptors of this process.")?,
            max_fds: gauge("process_max_fds", "The most file descriptors that this process may open.")?,
            virtual_memory: gauge("process_virtual_memory_bytes", "Virtual memory of this process.")?,
            resident_memory: gauge("process_resident_memory_bytes", "Memory of this process that is resident.")?,
            threads: gauge("process_threads", "Threads of this process.")?,
            start_time: gauge("process_start_time_seconds", "Start time of this process, Unix time.")?,
        })
    }

    /// Reads it anew. What cannot be read stays as it was.
    #[expect(clippy::cast_precision_loss, reason = "times, sizes and counts of one process stay far below 2^52")]
    pub(super) fn read(&self) {
        if let Ok(folder) = fs::read_dir("/proc/self/fd") {
            // One of them is the folder itself.
            self.open_fds.set(folder.count().saturating_sub(1) as f64);
        }
        // `None`: as many as it likes.
        self.max_fds.set(getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |most| most as f64));
        let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| parse(&text)) else { return };
        let ticks = clock_ticks_per_second() as f64;
        self.cpu.reset();
        self.cpu.inc_by(stat.cpu as f64 / ticks);
        self.threads.set(stat.threads as f64);
        self.virtual_memory.set(stat.virtual_memory as f64);
        self.resident_memory.set(stat.resident_memory as f64 * page_size() as f64);
        if self.start_time.get() == 0.0
            && let Some(boot) = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text))
        {
            self.start_time.set(boot as f64 + stat.started as f64 / ticks);
        }
    }
}

/// Reads the fields of `/proc/{pid}/stat`.
fn parse(text: &str) -> Option<Stat> {
    // The name of the program comes second, in brackets, and may hold blanks and brackets.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Numbered as in proc(5), where the first field after the name is the third.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        cpu: field(14)?.saturating_add(field(15)?),
        threads: field(20)?,
        started: field(22)?,
        virtual_memory: field(23)?,
        resident_memory: field(24)?,
    })
}

/// When the machine was started, Unix time, from `/proc/stat`.
fn boot_time(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_the_program_is_called() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 12 0 4242 104857600 2560 18446744073709551615 1";
        let stat = Stat { cpu: 300, threads: 12, started: 4242, virtual_memory: 104_857_600, resident_memory: 2560 };
        assert_eq!(parse(text), Some(stat));
        assert_eq!((parse(""), parse("7 (a) S 1")), (None, None));
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\nprocesses 3\n"), Some(1_700_000_000));
    }

    #[test]
    fn this_process_is_told_of() {
        let register = Register::default();
        let metrics = ProcessMetrics::new(&register).expect("metrics");
        metrics.read();
        let ProcessMetrics { open_fds, max_fds, virtual_memory, resident_memory, threads, start_time, .. } = &metrics;
        assert!(open_fds.get() > 2.0 && max_fds.get() > open_fds.get(), "{metrics:?}");
        assert!(resident_memory.get() > 1e6 && virtual_memory.get() > resident_memory.get(), "{metrics:?}");
        assert!(threads.get() >= 1.0, "{metrics:?}");
        let age = super::super::config::unix_time() - start_time.get();
        assert!((-2.0..86400.0).contains(&age), "{age}");
    }
}
