//! Threads that ask a gateway and tell what it says.

use std::fmt::{self, Debug, Formatter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use super::news::News;
use super::wish::Order;
use crate::api::{Client, ClientError, EventKind, LogQuery, RequestQuery};
use crate::tui::frame::Teller;

/// After how long a lost connection is tried again: first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));

/// Lines of each log that are read before those that come.
pub(super) const LINES: usize = 300;

/// Lines of the gateway's own log that are read before those that come.
const OWN_LINES: usize = 100;

/// Requests that are read before those that come.
const REQUESTS: usize = 200;

/// All but who did what, which nothing here shows, and requests, which may be many and are followed only while they are shown.
const KINDS: [EventKind; 7] = [
    EventKind::Snapshot,
    EventKind::Resync,
    EventKind::Engine,
    EventKind::Reload,
    EventKind::Operation,
    EventKind::Pulse,
    EventKind::Log,
];

/// The way to one gateway. One that was restarted may have another address and another token: it is looked for then.
#[derive(Clone)]
pub struct Link(Arc<Way>);

struct Way {
    client: Mutex<Client>,
    find: Box<dyn Fn() -> Option<Client> + Send + Sync>,
}

impl Link {
    /// A link by `client` and, once that gets no answer any more, by what `find` finds.
    pub fn new(client: Client, find: impl Fn() -> Option<Client> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Way { client: Mutex::new(client), find: Box::new(find) }))
    }

    pub(super) fn client(&self) -> Client {
        self.0.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks for the gateway; where it is not found, it may still come back where it was.
    fn find(&self) {
        if let Some(client) = (self.0.find)() {
            *self.0.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
        }
    }
}

impl Debug for Link {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

/// Tells all events, over lost connections and restarts of the gateway, until the interface ends. After each loss it begins with a
/// snapshot: another gateway counts its events anew. Once `turn` is over another thread does it.
pub(super) fn events(link: &Link, turn: &Turn, teller: &Teller) {
    let mut pause = AGAIN.0;
    while turn.goes_on() {
        let client = link.client();
        let why = match client.events(None, &KINDS) {
            Ok(events) => {
                pause = AGAIN.0;
                if !teller.tell(News::Connected) {
                    return;
                }
                // After the stream has begun: none is missed between them.
                let query =
                    LogQuery { from: Some("gateway".to_owned()), lines: Some(OWN_LINES), ..LogQuery::default() };
                if let Ok(found) = client.logs(&query) {
                    teller.tell(News::OwnLog(found.lines));
                }
                let mut why = "the gateway closed it".to_owned();
                for message in events.until(turn.over()) {
                    match message {
                        Ok(message) => {
                            if !teller.tell(News::Event(Box::new(message.value))) {
                                return;
                            }
                        }
                        Err(error) => why = reason(error),
                    }
                }
                why
            }
            Err(error) => reason(error),
        };
        if !turn.goes_on() || !teller.tell(News::Lost(why)) {
            return;
        }
        sleep(pause);
        pause = (pause * 2).min(AGAIN.1);
        link.find();
    }
}

/// The reason alone: where the gateway is, and what to do, is said elsewhere.
fn reason(error: ClientError) -> String {
    match error {
        ClientError::Unreachable { why, .. } => why,
        other => other.to_string(),
    }
}

/// Tells the requests that have ended, and those that end, as long as `turn` goes on.
pub(super) fn requests(link: &Link, turn: &Turn, teller: &Teller) {
    let mut pause = AGAIN.0;
    while turn.goes_on() {
        let client = link.client();
        if let Ok(events) = client.events(None, &[EventKind::Requests]) {
            pause = AGAIN.0;
            // After the stream has begun: none is missed between them.
            let query = RequestQuery { limit: Some(REQUESTS), ..RequestQuery::default() };
            if let Ok(found) = client.requests(&query) {
                teller.tell(News::Requests(found.requests));
            }
            for message in events.until(turn.over()).map_while(Result::ok) {
                if !turn.goes_on() || !teller.tell(News::Event(Box::new(message.value))) {
                    return;
                }
            }
        }
        sleep(pause);
        pause = (pause * 2).min(AGAIN.1);
    }
}

/// Tells one request with all that is kept of it.
pub(super) fn request(link: &Link, id: &str, teller: &Teller) {
    match link.client().request(id) {
        Ok(found) => teller.tell(News::Request(Box::new(found))),
        Err(error) => teller.tell(News::NotDone(error.to_string())),
    };
}

/// Tells all aliases.
pub(super) fn aliases(link: &Link, teller: &Teller) {
    if let Ok(found) = link.client().aliases() {
        teller.tell(News::Aliases(found.aliases));
    }
}

/// Counts the turns of threads that do the same, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<AtomicU64>);

/// The turn of one of them. It goes on until the next one begins.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    turns: Arc<AtomicU64>,
    /// Which one it is.
    pub(super) number: u64,
}

impl Turns {
    /// The next turn begins, and the one before is over.
    pub(super) fn next(&self) -> Turn {
        Turn { turns: self.0.clone(), number: self.0.fetch_add(1, Ordering::SeqCst) + 1 }
    }
}

impl Turn {
    fn goes_on(&self) -> bool {
        self.turns.load(Ordering::SeqCst) == self.number
    }

    /// Tells when it is over.
    fn over(&self) -> impl Fn() -> bool + Send + 'static {
        let turn = self.clone();
        move || !turn.goes_on()
    }
}

/// Tells lines of logs: of an engine, of `gateway`, or of all; over lost connections, as long as `turn` goes on.
pub(super) fn logs(link: &Link, from: Option<String>, turn: &Turn, teller: &Teller) {
    let query = LogQuery { from, lines: Some(LINES), ..LogQuery::default() };
    let mut pause = AGAIN.0;
    while turn.goes_on() {
        match link.client().follow_logs(&query) {
            Ok(lines) => {
                pause = AGAIN.0;
                // Whoever shows them begins anew: those that came during a loss are among the first ones.
                if !teller.tell(News::LogFollowed(turn.number)) {
                    return;
                }
                for line in lines.until(turn.over()).map_while(Result::ok) {
                    if !teller.tell(News::Log(turn.number, line.value)) {
                        return;
                    }
                }
            }
            // Such as of an engine that is being replaced: another one of its name may come.
            Err(error @ ClientError::Refused { .. }) => {
                if !teller.tell(News::LogLost(turn.number, error.to_string())) {
                    return;
                }
            }
            Err(_) => {}
        }
        sleep(pause);
        pause = (pause * 2).min(AGAIN.1);
    }
}

/// Has the gateway do something, and tells how that went.
pub(super) fn order(link: &Link, order: &Order, teller: &Teller) {
    let client = link.client();
    let done = match order {
        Order::Act(verb, target) => client.act(*verb, target).map(|done| done.operation.detail),
        Order::Scale(model, count) => client.scale(model, *count).map(|done| done.operation.detail),
        Order::Cancel(id) => client.cancel(id).map(|cancelled| format!("cancelled: {}", cancelled.detail)),
    };
    match done {
        Ok(done) => teller.tell(News::Done(done)),
        Err(error) => teller.tell(News::NotDone(error.to_string())),
    };
}

/// Has the gateway end.
pub(super) fn shut_down(link: &Link, teller: &Teller) {
    match link.client().shut_down() {
        Ok(()) => teller.tell(News::ShutDown),
        Err(error) => teller.tell(News::NotDone(error.to_string())),
    };
}
