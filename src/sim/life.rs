//! From start to end: loading, readiness, signals, the last requests.

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::conn::{ConnHandle, SimListener};
use super::engine::{Engine, Stats};
use super::faults::ProcessFaults;
use super::flags::{Args, Settings};
use super::{loading, log, orphans, routes, server};

/// How long aborted answers may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs `enginehouse sim` until a signal ends it. Returns the exit code a vLLM would have had.
pub async fn run(args: Args) -> ExitCode {
    let settings = match Settings::new(args, |name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(why) => {
            log::raw(&format!("enginehouse sim: error: {why}"));
            return ExitCode::from(2);
        }
    };
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut term), Ok(mut interrupt)) = signals else {
        log::raw("enginehouse sim: error: the system gives no signals to wait for.");
        return ExitCode::FAILURE;
    };
    let faults = settings.process_faults.clone();
    loading::announce(&settings);
    orphans::start(&faults);
    let loaded = tokio::select! {
        loaded = loading::load(&faults, &settings) => loaded,
        () = ended(&mut term, &mut interrupt, lost(&faults, faults.swallow_term)) => Err(ExitCode::from(143)),
    };
    if let Err(code) = loaded {
        return code;
    }
    let (host, port) = (settings.args.host.clone(), settings.args.port);
    let tcp = match TcpListener::bind((host.as_str(), port)).await {
        Ok(tcp) => tcp,
        Err(why) => {
            log::raw(&format!(
                "OSError: cannot listen on {host}:{port}: {why}. Choose another --port (0 takes a free one)."
            ));
            return ExitCode::FAILURE;
        }
    };
    let patience = Duration::from_secs(settings.args.shutdown_timeout);
    let running = match Running::start(settings, tcp) {
        Ok(running) => running,
        Err(why) => {
            log::raw(&format!("OSError: the listening socket is gone: {why}."));
            return ExitCode::FAILURE;
        }
    };
    running.announce();
    tokio::select! {
        () = ended(&mut term, &mut interrupt, lost(&faults, false)) => {}
        () = running.engine.dead.cancelled() => {
            log::from("EngineCore", "ERROR", "core.py:1532", "EngineCore encountered a fatal error.");
            return ExitCode::FAILURE;
        }
    }
    if let Some(delay) = faults.slow_term {
        sleep(delay).await;
    }
    log::info("launcher.py:254", "[shutdown] API server: shutdown triggered");
    running.stop(patience).await;
    if faults.hang_at_end {
        std::future::pending::<()>().await;
    }
    log::raw("INFO:     Application shutdown complete.");
    ExitCode::SUCCESS
}

/// Starts an engine inside this process, with flags as `enginehouse sim` takes them, without loading time or signals.
///
/// # Errors
/// The flags contradict each other, or the address cannot be bound.
pub async fn start(args: Args) -> io::Result<Running> {
    let settings = Settings::new(args, |_| None).map_err(io::Error::other)?;
    let tcp = TcpListener::bind((settings.args.host.as_str(), settings.args.port)).await?;
    Running::start(settings, tcp)
}

/// The same on a listener that is there already; `--host` and `--port` count for nothing.
///
/// # Errors
/// The flags contradict each other, or the listener has no address.
pub fn start_on(args: Args, listener: TcpListener) -> io::Result<Running> {
    Running::start(Settings::new(args, |_| None).map_err(io::Error::other)?, listener)
}

/// An engine that serves. Dropped, it dies as by SIGKILL: its port refuses and its connections are cut.
pub struct Running {
    addr: SocketAddr,
    engine: Arc<Engine>,
    server: JoinHandle<io::Result<()>>,
    closing: CancellationToken,
    cut: CancellationToken,
}

impl Running {
    fn start(settings: Settings, tcp: TcpListener) -> io::Result<Self> {
        let addr = tcp.local_addr()?;
        let engine = Arc::new(Engine::new(settings));
        let (closing, cut) = (CancellationToken::new(), CancellationToken::new());
        let listener = SimListener {
            tcp,
            stats: Arc::clone(&engine.stats),
            keep_alive: engine.settings.keep_alive,
            cut: cut.clone(),
        };
        let service = server::router(Arc::clone(&engine)).into_make_service_with_connect_info::<ConnHandle>();
        let stop = closing.clone().cancelled_owned();
        let (dead, conns) = (engine.dead.clone(), cut.clone());
        let server = tokio::spawn(async move {
            let served = axum::serve(listener, service).with_graceful_shutdown(stop).into_future();
            let served = dead.run_until_cancelled(served).await;
            served.unwrap_or_else(|| {
                conns.cancel();
                Ok(())
            })
        });
        Ok(Self { addr, engine, server, closing, cut })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Its counters, which stay readable after its end.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.engine.stats)
    }

    /// Ends as on SIGTERM: requests in flight have `patience` to finish, then they are aborted.
    pub async fn stop(mut self, patience: Duration) {
        if !patience.is_zero() {
            self.engine.draining.store(true, Ordering::SeqCst);
            let scheduler = &self.engine.scheduler;
            let idle = async {
                while scheduler.running() + scheduler.waiting() > 0 {
                    scheduler.idle().await;
                    // Those that wait start now that others ended.
                    tokio::task::yield_now().await;
                    sleep(Duration::from_millis(5)).await;
                }
            };
            let _ = timeout(patience, idle).await;
        }
        self.engine.scheduler.abort_all();
        self.closing.cancel();
        let _ = timeout(LAST_WORDS, &mut self.server).await;
    }

    fn announce(&self) {
        let host = &self.engine.settings.args.host;
        log::info("entry.py:140", &format!("Starting vLLM server on http://{host}:{}", self.addr.port()));
        log::info("launcher.py:186", "Available routes are:");
        for (path, methods) in routes::served(&self.engine.settings) {
            log::info("launcher.py:195", &format!("Route: {path}, Methods: {methods}"));
        }
        log::raw(&format!("INFO:     Started server process [{}]", std::process::id()));
        log::raw("INFO:     Waiting for application startup.");
        log::raw("INFO:     Application startup complete.");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
        self.cut.cancel();
    }
}

/// How many signals are lost: all, or, while it loads, the first one, as vLLM does.
fn lost(faults: &ProcessFaults, swallow: bool) -> usize {
    if faults.ignore_term { usize::MAX } else { usize::from(swallow) }
}

/// Returns when a signal has come after `lost` others.
async fn ended(term: &mut Signal, interrupt: &mut Signal, lost: usize) {
    for _ in 0..lost.saturating_add(1) {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}
