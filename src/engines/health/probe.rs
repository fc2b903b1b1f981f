//! Looks at one engine: is it healthy, and does it serve what its model wants?

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::{HealthCheck, HttpHealthCheck};
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};

use super::cards::{self, Verdict};
use super::pulse::Pulse;
use super::resolve;
use super::vitals::{Probe, Rest, Thresholds};
use crate::api::HealthProblem;
use crate::config::{Health, Model};
use crate::engines::client::{peer, request};
use crate::engines::exchange::words;
use crate::engines::{Answer, Engine, EngineClient, Owner, Pool};
use crate::ids::Name;

/// Age at which what an engine serves is asked again.
const CARDS_EVERY: Duration = Duration::from_secs(30);

/// Time a question may take where the model has no health checks, which would say.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// Time that an engine may take to tell whether it rests: a core that is stuck never does, and its progress is looked at next.
const REST_WITHIN: Duration = Duration::from_secs(1);

/// Time between two looks at an engine that never was ready: it is waited for.
const EAGER_EVERY: Duration = Duration::from_millis(250);

/// Time between two looks at an engine without health checks whose name is not known yet.
const UNKNOWN_EVERY: Duration = Duration::from_secs(2);

/// Least time between two looks, however many requests suspect the engine.
const LEAST: Duration = Duration::from_millis(100);

/// How the health of an engine is checked.
enum Check {
    /// By asking it.
    Asked(Box<HttpHealthCheck>, Health),
    /// The question cannot be put.
    Impossible(HealthProblem),
    /// Not at all: it is considered up.
    Off,
}

/// Looks at one engine.
pub struct Prober {
    engine: Arc<Engine>,
    pool: Arc<Pool>,
    client: Arc<EngineClient>,
    check: Check,
    owner: Owner,
    /// The name that the engine must know the model by; `None`: the one that engines tell.
    named: Option<Name>,
    /// The name that this engine told, where that is another one than requests say.
    learned: Option<Name>,
    /// The last look.
    last: Option<Instant>,
    failing: bool,
    cards_at: Option<Instant>,
    /// Whether it may tell that it rests: only with vLLM's development mode it does.
    tells_rest: bool,
    /// `None`: nobody asks how it works.
    pulse: Option<Pulse>,
}

impl Prober {
    /// A prober of `engine`, one of `pool`, the engines of `model`.
    #[must_use]
    pub fn new(model: &Model, engine: Arc<Engine>, pool: Arc<Pool>, client: Arc<EngineClient>, owner: Owner) -> Self {
        engine.set_health_path(model.health.as_ref().map(|health| health.path.as_str()));
        let check = model.health.as_ref().map_or(Check::Off, |health| check(&engine, health));
        let own = (owner == Owner::Us).then_some(&model.name);
        let named = model.served_name.as_ref().or(own).cloned();
        Self {
            engine,
            pool,
            client,
            check,
            owner,
            named,
            learned: None,
            last: None,
            failing: false,
            cards_at: None,
            tells_rest: true,
            // Nothing is asked of others' engines without health checks.
            pulse: model.health.as_ref().map(|_| Pulse::reading()),
        }
    }

    /// The same, that also tells when the engine makes no progress for `limit`.
    #[must_use]
    pub fn with_stall_timeout(self, limit: Option<Duration>) -> Self {
        Self { pulse: limit.map(Pulse::judging), ..self }
    }

    /// Has requests say the name that the engine told. Call it when the engine is about to take requests: before, others may
    /// be asked that know the model by another name.
    pub fn teach_name(&mut self) {
        if let Some(name) = self.learned.take() {
            self.pool.set_served_name(Some(name));
        }
    }

    /// How many looks in a row change our mind about `model`'s engines.
    #[must_use]
    pub fn thresholds(model: &Model) -> Thresholds {
        let health = model.health.as_ref();
        Thresholds {
            failures: health.map_or(1, |health| health.failures.max(1)),
            successes: health.map_or(1, |health| health.successes.max(1)),
        }
    }

    /// Forgets what was seen: the engine has a new process, which is looked at at once.
    pub fn renew(&mut self) {
        (self.last, self.failing, self.cards_at, self.tells_rest) = (None, false, None, true);
        if let Some(pulse) = &mut self.pulse {
            pulse.renew();
        }
    }

    /// The next look, when it is due or as soon as a request suspects the engine. `eager`: it is waited for.
    /// May be dropped at any point.
    pub async fn next(&mut self, eager: bool) -> Probe {
        let mut suspected = false;
        if let Some(last) = self.last {
            tokio::select! {
                () = sleep_until(last + self.pause(eager)) => {}
                () = self.engine.suspected() => {
                    suspected = true;
                    sleep_until(last + LEAST).await;
                }
            }
        }
        let unasked = self.is_up_unasked();
        let probe = self.look(suspected).await;
        self.failing = !matches!(probe, Probe::Up | Probe::Resting(_));
        if self.failing {
            // Whatever comes back may be something else.
            (self.cards_at, self.tells_rest) = (None, true);
        }
        // Called up without having been asked anything: it is asked what it serves right after.
        self.last = (self.failing || !unasked).then(Instant::now);
        probe
    }

    fn is_up_unasked(&self) -> bool {
        matches!(self.check, Check::Off) && self.is_remote() && !self.engine.is_ready()
    }

    fn is_remote(&self) -> bool {
        self.owner == Owner::SomebodyElse
    }

    fn pause(&self, eager: bool) -> Duration {
        match &self.check {
            Check::Asked(_, health) if eager => health.interval.min(EAGER_EVERY),
            Check::Asked(_, health) => health.interval,
            Check::Off if eager && !self.is_remote() => EAGER_EVERY,
            Check::Off if self.cards_at.is_none() => UNKNOWN_EVERY,
            Check::Off | Check::Impossible(_) => {
                self.pulse.as_ref().map_or(CARDS_EVERY, |pulse| pulse.every().max(LEAST))
            }
        }
    }

    async fn look(&mut self, suspected: bool) -> Probe {
        let socket = match self.socket(suspected).await {
            Ok(socket) => socket,
            Err(problem) => return Probe::Down(problem),
        };
        match &self.check {
            Check::Impossible(problem) => Probe::Mismatch(problem.clone()),
            Check::Asked(check, health) => match ask_health(check, health, socket).await {
                Err(problem) => Probe::Down(problem),
                Ok(()) => {
                    let within = health.timeout;
                    self.look_closer(within).await
                }
            },
            Check::Off => {
                // Up without a question; what it serves is good to know, unless that was said, and nothing is to be asked
                // at all. Of ours, the first answer is waited for.
                if self.is_up_unasked() || (self.is_remote() && self.named.is_some()) {
                    return Probe::Up;
                }
                let ready = self.engine.is_ready();
                match self.look_closer(ASK_WITHIN).await {
                    Probe::Down(problem) | Probe::Mismatch(problem) if ready => {
                        tracing::debug!(engine = %self.engine.id, %problem, "what an engine serves is not known");
                        self.progress().await
                    }
                    probe => probe,
                }
            }
        }
    }

    /// What else there is to know of an engine that is well: what it serves, whether it rests, whether it makes progress.
    async fn look_closer(&mut self, within: Duration) -> Probe {
        match self.serves(within).await {
            Probe::Up => match self.rest(within).await {
                Some(rest) => {
                    if let Some(pulse) = &mut self.pulse {
                        pulse.reset();
                    }
                    Probe::Resting(rest)
                }
                None => self.progress().await,
            },
            probe => probe,
        }
    }

    /// Whether somebody else put it to rest. An engine whose core is busy answers late; nothing follows from that.
    async fn rest(&mut self, within: Duration) -> Option<Rest> {
        for (path, member, rest) in
            [("/is_sleeping", "is_sleeping", Rest::Asleep), ("/is_paused", "is_paused", Rest::Paused)]
        {
            if !self.tells_rest {
                return None;
            }
            match self.client.get(&self.engine, path, within.min(REST_WITHIN)).await {
                Ok(Answer::Json(told)) if told.get(member) == Some(&Value::Bool(true)) => return Some(rest),
                Ok(Answer::Json(_)) => {}
                Ok(Answer::Status(_) | Answer::NotJson) => self.tells_rest = false,
                Err(_) => return None,
            }
        }
        None
    }

    /// Where the engine is; looked up again when there is doubt.
    async fn socket(&self, suspected: bool) -> Result<SocketAddr, HealthProblem> {
        let current = self.engine.socket();
        match current {
            Some(socket) if !self.is_remote() || !(suspected || self.failing) => Ok(socket),
            _ => match (resolve::resolve(&self.engine.address.url, current, self.failing).await, current) {
                (Ok(socket), _) => {
                    if current != Some(socket) {
                        self.engine.set_socket(Some(socket));
                    }
                    Ok(socket)
                }
                // A name server that is down is no reason to give up an address that worked.
                (Err(_), Some(socket)) => Ok(socket),
                (Err(problem), None) => Err(problem),
            },
        }
    }

    /// Whether it makes progress with its requests; asked now and then.
    async fn progress(&mut self) -> Probe {
        let Some(pulse) = &mut self.pulse else { return Probe::Up };
        pulse.look(&self.client, &self.engine).await.map_or(Probe::Up, Probe::Stalled)
    }

    /// Whether it serves what is wanted; asked now and then.
    async fn serves(&mut self, within: Duration) -> Probe {
        if self.cards_at.is_some_and(|at| at.elapsed() < CARDS_EVERY) {
            return Probe::Up;
        }
        let expected = self.named.clone().or_else(|| self.pool.served_name());
        // What one says that is about to go binds nobody.
        let stays = |other: &Engine| other.key() != self.engine.key() && other.is_ready() && !other.is_retiring();
        let others = self.pool.engines().iter().any(|other| stays(other));
        let verdict = match self.client.get(&self.engine, "/v1/models", within).await {
            Ok(answer) => cards::judge(answer, expected.as_deref(), self.named.is_none() && !others),
            Err(error) => Verdict::Unclear(no_answer("/v1/models", error.why)),
        };
        match verdict {
            Verdict::Fits { cards, learned } => {
                self.learned = learned;
                self.engine.set_cards(cards);
                self.cards_at = Some(Instant::now());
                Probe::Up
            }
            Verdict::Mismatch(problem) => Probe::Mismatch(problem),
            // It was known, and its health is fine: asked again at the next look.
            Verdict::Unclear(_) if self.cards_at.is_some() => Probe::Up,
            Verdict::Unclear(problem) => Probe::Down(problem),
        }
    }
}

fn check(engine: &Engine, health: &Health) -> Check {
    let Ok(request) = request(engine, &health.path) else {
        return Check::Impossible(HealthProblem::BadHealthPath { path: health.path.clone() });
    };
    let mut check = HttpHealthCheck::new("localhost", engine.address.url.tls);
    // The address is filled in at every check.
    check.peer_template = peer(engine, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), health.timeout);
    check.req = request;
    Check::Asked(Box::new(check), health.clone())
}

async fn ask_health(check: &HttpHealthCheck, health: &Health, socket: SocketAddr) -> Result<(), HealthProblem> {
    let target = Backend { addr: PeerAddress::Inet(socket), weight: 1, ext: http::Extensions::new() };
    match timeout(health.timeout, check.check(&target)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(match error.etype {
            pingora::ErrorType::CustomCode(_, status) => {
                HealthProblem::BadStatus { request: format!("GET {}", health.path), status }
            }
            pingora::ErrorType::ConnectRefused => HealthProblem::Refused { request: format!("GET {}", health.path) },
            _ => no_answer(&health.path, words(&error)),
        }),
        Err(_) => {
            Err(no_answer(&health.path, format!("no answer within {}", humantime::format_duration(health.timeout))))
        }
    }
}

fn no_answer(path: &str, why: String) -> HealthProblem {
    HealthProblem::NoAnswer { request: format!("GET {path}"), why }
}
