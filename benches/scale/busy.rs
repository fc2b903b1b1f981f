//! How busy the machine is, so that figures taken beside others' work can be told.

/// Of a second, in the files that are read here.
const TICKS: f64 = 100.0;

/// Seconds that all cores have been busy, or taken away by the host of a virtual machine.
pub(crate) fn machine() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").expect("/proc/stat");
    let numbers = numbers(stat.lines().next().unwrap_or_default());
    // user, nice, system, idle, iowait, irq, softirq, steal
    numbers.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, ticks)| ticks / TICKS).sum()
}

/// Seconds of CPU of this process and of its children that have ended.
pub(crate) fn ended_and_own() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc/self/stat");
    let numbers = numbers(stat.rsplit_once(')').map_or("", |(_, rest)| rest));
    // From the third field on, of which the first is a letter: utime, stime, cutime and cstime are the 14th to the 17th.
    numbers.iter().skip(10).take(4).map(|ticks| ticks / TICKS).sum()
}

fn numbers(line: &str) -> Vec<f64> {
    line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect()
}
