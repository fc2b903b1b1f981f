//! Runs a benchmark from its first request to its report.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use tokio::sync::mpsc::channel;
use tokio_util::sync::CancellationToken;

use super::args::{Api, Args};
use super::collect::{Collected, Collector};
use super::compare::comparison;
use super::figures::{Circumstances, Figures, Parameters};
use super::load::{Limits, Load};
use super::measure::{Ending, Fault};
use super::plan::{Arrivals, Spacing};
use super::progress::Progress;
use super::prompts::Prompts;
use super::report::report;
use super::request::Asker;
use crate::cli::data_port::{Client, Destination};
use crate::cli::outlet::{Outlet, harmless};
use crate::cli::output::{Exit, Failure, complain, ended, print};

/// Requests of a run without limits.
const REQUESTS: u64 = 100;

/// Most requests of a run that ends by its time.
const MOST: u64 = 10_000_000;

/// Requests under way of a closed load.
const CONCURRENCY: u64 = 8;

/// Most requests under way of a load at a rate.
const MOST_UNDER_WAY: u64 = 10_000;

/// `enginehouse bench`.
pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    ended(benchmark(args))
}

fn benchmark(args: &Args) -> Result<(), Failure> {
    // Before the load, which may take long.
    let before = args.output.compare.as_deref().map(read).transpose()?;
    let (figures, verdict) = match &args.output.show {
        Some(file) => (read(file)?, Ok(())),
        None => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            let runtime =
                runtime.map_err(|error| Failure::new(Exit::Failed, format!("cannot start worker threads: {error}")))?;
            let measured = runtime.block_on(measure(args));
            runtime.shutdown_background();
            measured?
        }
    };
    let outlet = Outlet::of(&io::stdout());
    if args.output.json {
        print(&figures.json());
    } else {
        print(&report(&figures, outlet));
    }
    if let Some(before) = &before {
        let text = comparison(before, &figures, args.output.tolerance, outlet);
        // What reads the JSON must not stumble over it.
        if args.output.json {
            complain(&text);
        } else {
            print(&format!("\n{text}"));
        }
    }
    // Last: a file that cannot be written must not take the report along.
    if let Some(file) = &args.output.save {
        std::fs::write(file, figures.json())
            .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", file.display())))?;
    }
    verdict
}

fn read(file: &Path) -> Result<Figures, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let figures = text.and_then(|text| Figures::read(&text));
    figures.map_err(|why| Failure::new(Exit::Failed, format!("{}: {why}", file.display())))
}

/// Puts the load on the gateway; the figures, and whether the command succeeds with them.
async fn measure(args: &Args) -> Result<(Figures, Result<(), Failure>), Failure> {
    let alias = args.alias.as_deref().unwrap_or_default();
    let prompts = Prompts::new(alias, &args.content, args.shape.seed);
    let prompts = Arc::new(prompts.map_err(|why| Failure::new(Exit::Failed, why))?);
    let destination = args.target.find()?;
    let (concurrency, requests) = sizes(args);
    super::files::raise(concurrency)?;
    let client = Client::connect(&destination).await;
    let client = Arc::new(client.map_err(|error| error.failure(&destination.address))?);
    let mut progress = Progress::new();
    if args.shape.warmup > 0 {
        let limits = Limits { requests: args.shape.warmup, duration: None };
        let asker = asker(args, &client, &destination);
        let load = Run { args, asker, prompts: prompts.clone(), limits, first_prompt: u64::MAX / 2 };
        let done = load.closed_only(concurrency, &mut progress).await?;
        warmed(&done.collected, &mut progress, |fault| told(fault, alias, &destination))?;
    }
    let started = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let asker = asker(args, &client, &destination);
    let limits = Limits { requests: requests.unwrap_or(MOST), duration: args.shape.duration };
    let load = Run { args, asker, prompts, limits, first_prompt: 0 };
    let done = load.whole(concurrency, requests, &mut progress).await?;
    let Done { collected, sent, unsent } = done;
    let run = Circumstances {
        started,
        url: destination.address.to_string(),
        gateway_version: destination.version.clone(),
        seconds: collected.seconds,
        ended_early: collected.cut || collected.fatal.is_some(),
        sent,
        unsent,
    };
    let figures = Figures::new(alias, Parameters::of(args, concurrency, requests), &collected.totals, run);
    let verdict = match &collected.fatal {
        Some(fault) => Err(told(fault, alias, &destination)),
        None => verdict(&figures, args.output.allow_failures),
    };
    Ok((figures, verdict))
}

/// Whether the warm-up lets the measured requests begin.
fn warmed(done: &Collected, progress: &mut Progress, told: impl FnOnce(&Fault) -> Failure) -> Result<(), Failure> {
    if let Some(fault) = &done.fatal {
        return Err(told(fault));
    }
    if done.cut {
        return Err(Failure::new(Exit::Failed, "Ended before the first measured request."));
    }
    let faults = done.totals.faults.first_key_value();
    if let Some((kind, faults)) = faults.filter(|_| done.totals.answered == 0) {
        progress.say(&format!("The warm-up failed: {}: {}", harmless(kind), harmless(&faults.message)));
    }
    Ok(())
}

/// Requests under way at a time, and in all.
fn sizes(args: &Args) -> (u64, Option<u64>) {
    let shape = &args.shape;
    let default = if shape.rate.is_some() { MOST_UNDER_WAY } else { CONCURRENCY };
    let requests = shape.requests.or_else(|| shape.duration.is_none().then_some(REQUESTS));
    (shape.concurrency.unwrap_or(default), requests)
}

fn asker(args: &Args, client: &Arc<Client>, destination: &Destination) -> Arc<Asker> {
    let route = match args.content.api {
        Api::Chat => "chat/completions",
        Api::Completions => "completions",
    };
    Arc::new(Asker {
        client: client.clone(),
        api: args.content.api,
        path: destination.address.path(route),
        timeout: args.shape.timeout,
        start: Instant::now(),
        pieces: AtomicU64::new(0),
    })
}

/// One load on the gateway.
struct Run<'a> {
    args: &'a Args,
    asker: Arc<Asker>,
    prompts: Arc<Prompts>,
    limits: Limits,
    first_prompt: u64,
}

/// A load that is over.
struct Done {
    collected: Collected,
    sent: u64,
    unsent: u64,
}

impl Run<'_> {
    async fn closed_only(self, concurrency: u64, progress: &mut Progress) -> Result<Done, Failure> {
        let requests = Some(self.limits.requests);
        self.drive(requests, progress, |load| {
            load.closed(concurrency);
            Ok(())
        })
        .await
    }

    async fn whole(self, concurrency: u64, requests: Option<u64>, progress: &mut Progress) -> Result<Done, Failure> {
        let Some(rate) = self.args.shape.rate else {
            let start = |load: Load| {
                load.closed(concurrency);
                Ok(())
            };
            return self.drive(requests, progress, start).await;
        };
        let spacing = if self.args.shape.poisson { Spacing::Poisson } else { Spacing::Even };
        let arrivals = Arrivals::new(rate, spacing, self.args.shape.seed);
        self.drive(requests, progress, |load| load.open(arrivals, concurrency)).await
    }

    async fn drive(
        self,
        requests: Option<u64>,
        progress: &mut Progress,
        start: impl FnOnce(Load) -> io::Result<()>,
    ) -> Result<Done, Failure> {
        let (outcomes, incoming) = channel(4096);
        let (sent, unsent) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (enough, cut) = (CancellationToken::new(), CancellationToken::new());
        let load = Load {
            asker: self.asker.clone(),
            prompts: self.prompts,
            limits: self.limits,
            first_prompt: self.first_prompt,
            sent: sent.clone(),
            unsent: unsent.clone(),
            enough: enough.clone(),
            cut: cut.clone(),
            outcomes,
        };
        start(load).map_err(|error| Failure::new(Exit::Failed, format!("cannot start a thread: {error}")))?;
        let collector = Collector {
            asker: self.asker,
            incoming,
            sent: sent.clone(),
            requests,
            duration: self.limits.duration,
            enough,
            cut,
        };
        let collected = collector.run(progress).await;
        progress.end();
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Ok(Done { collected, sent: count(&sent), unsent: count(&unsent) })
    }
}

/// A fault that ended the run.
fn told(fault: &Fault, alias: &str, destination: &Destination) -> Failure {
    let message = harmless(&fault.message);
    match fault.ends {
        Some(Ending::Unknown) => Failure::new(
            Exit::Unknown,
            format!("enginehouse: {} at {} is not known: {message}", harmless(alias), destination.address),
        ),
        Some(Ending::Unauthorized) => Failure::new(
            Exit::Failed,
            format!(
                "enginehouse: {message}\nPut the key of a caller into ENGINEHOUSE_API_KEY, or use --key-file FILE."
            ),
        ),
        Some(Ending::Unreachable) | None => Failure::new(
            Exit::NoGateway,
            format!("enginehouse: no gateway answers at {}: {message}", destination.address),
        ),
    }
}

/// Whether a run that came to its end is a success.
fn verdict(figures: &Figures, allow_failures: bool) -> Result<(), Failure> {
    let requests = &figures.requests;
    if allow_failures {
        return Ok(());
    }
    match (requests.failed, requests.succeeded) {
        (1, _) => Err(Failure::new(Exit::Failed, "enginehouse: one request failed.")),
        (0, 0) if !figures.ended_early => Err(Failure::new(Exit::Failed, "enginehouse: no request succeeded.")),
        (0, _) => Ok(()),
        (failed, _) => Err(Failure::new(Exit::Failed, format!("enginehouse: {failed} requests failed."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_decide_unless_they_are_allowed() {
        let mut figures = super::super::compare::tests::run(1.0);
        let exit = |figures: &Figures, allowed| verdict(figures, allowed).err().map(|failure| failure.exit);
        assert_eq!(exit(&figures, false), None);
        figures.requests.shed = 50;
        assert_eq!(exit(&figures, false), None, "sheds are no failures");
        figures.requests.failed = 1;
        assert_eq!((exit(&figures, false), exit(&figures, true)), (Some(Exit::Failed), None));
        (figures.requests.failed, figures.requests.succeeded) = (0, 0);
        assert_eq!(exit(&figures, false), Some(Exit::Failed), "nothing but sheds");
    }
}
