//! Makes the calls that a turn asks for, on its session's replica or where else its plan leads.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::files;
use crate::dialects::gym::{self, Answer, Ask, GymRoute, Step, Turn};
use crate::engines::{CallLimits, Engine, Reply};
use crate::openai::{self, ApiError, Code, Endpoint, ResponseScanner};
use crate::proxy::ProxyState;
use crate::proxy::attempts::{Attempts, Terms};
use crate::proxy::exchange::{Message, Messages, exchange};
use crate::proxy::memory::BodyReservation;
use crate::proxy::timeline::Timeline;
use crate::proxy::upstream_request::{OFFLOAD, elsewhere};
use crate::routing::{OwnedHead, Plan, Snapshot, Target, tree_cost};

/// Most of an engine's answer that is read. Token ids and log-probabilities of a long rollout are some 10 MiB.
const ANSWER: usize = 256 << 20;

/// One turn's calls of the engines.
pub(super) struct Driver {
    pub(super) state: Arc<ProxyState>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) plan: Plan,
    /// The session, which stays on one replica, and how long its turn waits for engines.
    pub(super) terms: Terms,
    /// `x-request-id`.
    pub(super) id: String,
    /// What settings may depend on.
    pub(super) head: OwnedHead,
    pub(super) reservation: BodyReservation,
    /// The largest body of a call that is reserved for.
    pub(super) asked: usize,
}

/// What became of a turn's calls. It outlives a turn whose client leaves.
#[derive(Default)]
pub(super) struct Calls {
    /// Attempts that another one followed.
    pub(super) retries: usize,
    /// What the engines' last answers say of tokens.
    pub(super) usage: Option<ResponseScanner>,
    /// The engine called last.
    pub(super) engine: Option<Arc<Engine>>,
    pub(super) timeline: Timeline,
    /// The attempts of the call under way.
    attempts: Option<Attempts>,
}

impl Calls {
    /// The attempts of the next call.
    fn begin(&mut self, mut attempts: Attempts) -> &mut Attempts {
        attempts.timeline = std::mem::take(&mut self.timeline);
        self.attempts.insert(attempts)
    }

    /// The call under way, if there is one, is over.
    pub(super) fn close(&mut self) {
        let Some(mut attempts) = self.attempts.take() else { return };
        // What was not waited for to its end was given up; else this changes nothing.
        attempts.give_up();
        self.retries += attempts.retries();
        self.engine = attempts.engine().cloned();
        self.timeline = std::mem::take(&mut attempts.timeline);
    }
}

impl Driver {
    fn target(&self, leg: usize) -> Result<&Target, ApiError> {
        let at = self.plan.legs.get(leg).and_then(|at| self.snapshot.target(*at));
        at.ok_or_else(|| ApiError::new(Code::Internal, "The request's target is gone."))
    }

    /// Takes the turn that `body` asks for, and notes in `calls` what becomes of it.
    pub(super) async fn take(&mut self, calls: &mut Calls, route: GymRoute, body: Bytes) -> Result<Answer, ApiError> {
        let target = self.target(0)?;
        let Some(gym) = target.route.gym.clone() else {
            return Err(ApiError::new(Code::Internal, "The alias has no `gym:`."));
        };
        let model = target.served_name();
        // A turn is worked out on a tree of the request.
        self.reservation.grow_by(tree_cost(&body))?;
        // Files are read, and large bodies looked through, where they delay no other request.
        let aside = body.len() >= OFFLOAD || gym.audio_root.is_some();
        let begin = move || {
            let root = gym.audio_root.clone().unwrap_or_default();
            let read = |path: &Path| files::read(&root, path);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            gym::start(&gym, route, &model, &body, now, Box::new(gym::new_id), &read)
        };
        let (mut turn, mut step) = if aside { elsewhere(begin).await? } else { begin() };
        loop {
            let ask = match step {
                Step::Answer(answer) => return self.named(answer),
                Step::Ask(ask) => ask,
            };
            (turn, step) = match self.call(calls, ask).await {
                Ok(reply) => hear(turn, reply).await?,
                Err(error) => return Ok(turn.failed(&error)),
            };
        }
    }

    /// Calls an engine, and others or the same again as long as the plan and Gym's patience allow.
    async fn call(&mut self, calls: &mut Calls, ask: Ask) -> Result<Reply, ApiError> {
        // It is copied for each leg, and there is the request itself.
        self.reservation.grow_by(2 * ask.body.len().saturating_sub(self.asked))?;
        self.asked = self.asked.max(ask.body.len());
        let timeouts = &self.snapshot.timeouts;
        let limits = CallLimits { whole: None, connect: timeouts.connect, silence: timeouts.read, bytes: ANSWER };
        let attempts = calls.begin(Attempts::new(self.snapshot.clone(), self.plan.clone(), self.terms.clone()));
        let mut messages = CallMessages { driver: self, ask: &ask };
        let said = exchange(&self.state, attempts, limits, &mut messages).await;
        calls.close();
        if let Ok(Reply { status, body }) = &said
            && status.as_u16() == 200
        {
            let _ = calls.usage.get_or_insert_with(ResponseScanner::json).feed(body.clone());
        }
        said
    }

    /// The call for the engines of a leg: with the settings of the model and the alias, which have the last word.
    fn message(&self, ask: &Ask, leg: usize) -> Result<Message, ApiError> {
        let target = self.target(leg)?;
        let own = target.route.gym.iter().flat_map(|gym| gym.default_headers.iter()).filter_map(|(name, value)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.expose()).ok()?))
        });
        let mut headers: HeaderMap = own.collect();
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            headers.insert("x-request-id", id);
        }
        let mut body = BytesMut::from(&ask.body[..]);
        // The turn speaks of the first leg's model.
        let name = (leg > 0).then(|| target.served_name());
        if let Some(endpoint) = Endpoint::find(ask.path).filter(|_| name.is_some() || !target.rules.is_empty()) {
            let peek = openai::peek(&body)?;
            let head = self.head.head();
            let request = openai::Request {
                asked: head.endpoint,
                endpoint,
                headers: head.headers,
                caller: head.caller,
                ask_usage: false,
            };
            let done = openai::rewrite(&mut body, &peek, &target.rules, &request, name.as_deref(), None)?;
            headers.extend(done.headers);
        }
        Ok(Message { path: ask.path, headers, body: body.freeze() })
    }

    /// The answer, naming the alias if it is to.
    fn named(&self, answer: Answer) -> Result<Answer, ApiError> {
        let Some(name) = self.target(0)?.response_model(None).filter(|_| answer.status == 200) else {
            return Ok(answer);
        };
        let Some(scanner) = ResponseScanner::for_content_type(answer.content_type.as_bytes()) else {
            return Ok(answer);
        };
        Ok(Answer { body: scanner.renaming(name).feed(answer.body.into()).bytes.into(), ..answer })
    }
}

/// One call, for the engines of each leg.
struct CallMessages<'a> {
    driver: &'a Driver,
    ask: &'a Ask,
}

#[async_trait]
impl Messages for CallMessages<'_> {
    async fn message(&mut self, leg: usize) -> Result<Message, ApiError> {
        self.driver.message(self.ask, leg)
    }
}

/// What follows from what the engine said. Token ids and log-probabilities are large.
async fn hear(mut turn: Turn, Reply { status, body }: Reply) -> Result<(Turn, Step), ApiError> {
    let work = move || {
        let step = turn.engine_said(status.as_u16(), &body);
        (turn, step)
    };
    elsewhere(work).await
}
