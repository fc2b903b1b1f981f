//! Open files, shared memory, memory, processors, locked memory and threads.

use super::super::facts::{Facts, GpuNeed, Threads};
use super::super::report::{Check, size};

/// As `app` counts it: each request has two sockets, and the rest has some.
const SPARE_FILES: u64 = 256;

/// Less than what most systems allow.
const FEW_FILES: u64 = 4096;

/// What an engine that is loading takes of the machine's own memory at least: Python, CUDA's libraries, buffers.
const MEMORY_OF_ENGINE: u64 = 4 << 30;

/// The ranks of an engine talk through `/dev/shm`: vLLM's queue takes some hundred MiB, NCCL's buffers some for each pair.
/// Docker gives 64 MiB unless told.
const LEAST_SHARED: u64 = 256 << 20;
const ENOUGH_SHARED: u64 = 1 << 30;

/// Beside one for each GPU: the API server's process and that of the engine's core.
const PROCESSORS_OF_ENGINE: usize = 2;

/// Threads of an engine, with those of its ranks: PyTorch starts some for each core.
const THREADS_OF_ENGINE: u64 = 1000;

/// All of them.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![open_files(facts)];
    checks.extend(shared_memory(facts));
    checks.extend(memory(facts));
    checks.extend([processors(facts), locked_memory(facts), threads(facts)]);
    checks
}

fn open_files(facts: &Facts) -> Check {
    let name = "open_files";
    let Some(hard) = facts.open_files.hard else { return Check::ok(name, "There is no limit of open files.") };
    let requests = hard.saturating_sub(SPARE_FILES) / 2;
    let found = format!("The limit of open files is {hard}: enough for {requests} requests at a time.");
    let chosen = facts.wanted.connections;
    let wanted = chosen.map_or(FEW_FILES, |connections| connections.saturating_mul(2).saturating_add(SPARE_FILES));
    let why = chosen.map_or_else(String::new, |connections| format!(" `limits.connections` is {connections}."));
    match hard < wanted {
        true => Check::warning(
            name,
            format!("{found}{why}"),
            "Raise the hard limit (`ulimit -Hn`, `LimitNOFILE=` of systemd, `--ulimit nofile=` of Docker), or lower `limits.connections`.",
        ),
        false => Check::ok(name, found),
    }
}

fn shared_memory(facts: &Facts) -> Option<Check> {
    let (name, disk) = ("shared_memory", facts.shared_memory?);
    let found = format!("{} of {} of /dev/shm are free.", size(disk.free), size(disk.total));
    let remedy =
        "In a container: `--ipc=host` or `--shm-size=8g`. Else remount it: `mount -o remount,size=8g /dev/shm`.";
    let why = "Engines on several GPUs need it: their ranks talk through it.";
    let several = match facts.wanted.gpu_need {
        GpuNeed::Unknown => facts.gpus.gpus.len() > 1,
        _ => facts.wanted.widest > 1,
    };
    let is_sure = facts.wanted.widest > 1;
    Some(match disk.free {
        free if several && free < LEAST_SHARED => Check::bad(is_sure, name, format!("{found} {why}"), remedy),
        free if several && free < ENOUGH_SHARED => Check::warning(name, format!("{found} {why}"), remedy),
        _ => Check::ok(name, found),
    })
}

fn memory(facts: &Facts) -> Option<Check> {
    let (name, memory) = ("memory", facts.memory);
    let (total, available) = (memory.total?, memory.available?);
    let limit =
        memory.limit.map_or_else(String::new, |limit| format!(", with a limit of {} for this program", size(limit)));
    let found = format!("{} of {} of memory are available{limit}.", size(available), size(total));
    let wanted = (facts.wanted.engines as u64).saturating_mul(MEMORY_OF_ENGINE);
    let running = facts.deployments.iter().any(|one| one.processes > 0);
    Some(match available < wanted && !running {
        true => Check::warning(
            name,
            format!("{found} Engines of vLLM ({}) take some {} while they load.", facts.wanted.engines, size(wanted)),
            "Stop something else, add memory, or let engines start one after the other (`start_order`).",
        ),
        false => Check::ok(name, found),
    })
}

fn processors(facts: &Facts) -> Check {
    let (name, count) = ("processors", facts.processors);
    let found = format!("This program may use {count} processors.");
    let wanted = facts.wanted.engines.saturating_mul(PROCESSORS_OF_ENGINE).saturating_add(facts.wanted.gpus);
    match facts.wanted.engines > 0 && count < wanted {
        true => Check::warning(
            name,
            format!(
                "{found} Engines of vLLM ({}) and their GPUs ({}) keep about {wanted} busy.",
                facts.wanted.engines, facts.wanted.gpus
            ),
            "Expect slow starts and slow tokens, or give more processors (`--cpus` of Docker, `CPUQuota=` of systemd).",
        ),
        false => Check::ok(name, found),
    }
}

fn locked_memory(facts: &Facts) -> Check {
    let (name, locked) = ("locked_memory", facts.locked_memory);
    match locked.hard {
        None => Check::ok(name, "There is no limit of locked memory."),
        Some(hard) if locked.has_rdma => Check::warning(
            name,
            format!(
                "No more than {} of memory can be locked. This machine has InfiniBand or RoCE adapters, for which NCCL locks more.",
                size(hard)
            ),
            "Set it to unlimited (`LimitMEMLOCK=infinity` of systemd, `--ulimit memlock=-1` of Docker, limits.conf).",
        ),
        Some(hard) => Check::ok(
            name,
            format!("{} of memory can be locked; only InfiniBand and RoCE adapters need more.", size(hard)),
        ),
    }
}

fn threads(facts: &Facts) -> Check {
    let Threads { of_user, of_group } = facts.threads;
    let name = "threads";
    let Some(limit) = of_user.into_iter().chain(of_group).min() else {
        return Check::ok(name, "There is no limit of threads.");
    };
    let found = format!("This program and all it starts may have {limit} threads.");
    let wanted = (facts.wanted.engines.max(1) as u64).saturating_mul(THREADS_OF_ENGINE);
    match limit < wanted {
        true => Check::warning(
            name,
            format!(
                "{found} Engines of vLLM may have {THREADS_OF_ENGINE} each; when no more can be started, they crash."
            ),
            "Raise it (`ulimit -Hu`, `TasksMax=` of systemd, `--pids-limit` of Docker).",
        ),
        false => Check::ok(name, found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::{Disk, LockedMemory, Memory, OpenFiles};
    use super::super::super::report::Status;
    use super::super::super::testing::healthy;
    use super::*;

    #[test]
    fn open_files_must_do_for_the_connections() {
        let mut facts = healthy();
        facts.open_files = OpenFiles { hard: Some(20_000) };
        assert_eq!(open_files(&facts).status, Status::Warning);
        facts.wanted.connections = Some(1000);
        assert_eq!(open_files(&facts).status, Status::Ok);
        facts.wanted.connections = None;
        assert_eq!(open_files(&facts).status, Status::Ok, "nobody asked for more");
        facts.open_files = OpenFiles { hard: Some(1024) };
        assert_eq!(open_files(&facts).status, Status::Warning);
        facts.open_files = OpenFiles { hard: None };
        assert_eq!(open_files(&facts).status, Status::Ok);
    }

    #[test]
    fn shared_memory_matters_to_engines_on_several_gpus() {
        let mut facts = healthy();
        let mut status = |widest, free, need| {
            facts.wanted.widest = widest;
            facts.wanted.gpu_need = need;
            facts.shared_memory = Some(Disk { total: 64 << 20, free });
            shared_memory(&facts).map(|check| check.status)
        };
        assert_eq!(status(2, 64 << 20, GpuNeed::Sure), Some(Status::Problem));
        assert_eq!(status(2, 512 << 20, GpuNeed::Sure), Some(Status::Warning));
        assert_eq!(status(2, 8 << 30, GpuNeed::Sure), Some(Status::Ok));
        assert_eq!(status(1, 64 << 20, GpuNeed::Sure), Some(Status::Ok));
        assert_eq!(status(0, 64 << 20, GpuNeed::Unknown), Some(Status::Warning), "two GPUs are here");
    }

    #[test]
    fn memory_and_processors_are_compared_with_the_engines() {
        let mut facts = healthy();
        facts.memory = Memory { total: Some(8 << 30), available: Some(5 << 30), limit: None };
        assert_eq!(memory(&facts).map(|check| check.status), Some(Status::Warning), "two engines");
        facts.wanted.engines = 1;
        assert_eq!(memory(&facts).map(|check| check.status), Some(Status::Ok));
        facts.memory = Memory::default();
        assert_eq!(memory(&facts), None);
        facts.processors = 3;
        assert_eq!(processors(&facts).status, Status::Warning);
        facts.wanted.engines = 0;
        assert_eq!(processors(&facts).status, Status::Ok);
    }

    #[test]
    fn limits_that_engines_would_meet_are_told() {
        let mut facts = healthy();
        facts.locked_memory = LockedMemory { hard: Some(8 << 20), has_rdma: false };
        assert_eq!(locked_memory(&facts).status, Status::Ok);
        facts.locked_memory.has_rdma = true;
        assert_eq!(locked_memory(&facts).status, Status::Warning);
        facts.threads = Threads { of_user: Some(100_000), of_group: Some(512) };
        assert_eq!(threads(&facts).status, Status::Warning);
        facts.threads = Threads::default();
        assert_eq!(threads(&facts).status, Status::Ok);
    }
}
