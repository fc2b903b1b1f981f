//! The operations of operators: those under way, and the newest that are over.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::watch;

use super::action::Action;
use crate::api::{Event, OperationState, OperationView, OperatorView};
use crate::telemetry::EventBus;

/// Operations that are kept once they are over.
const MOST: usize = 200;

/// Those that listeners are told of at first.
const NEWEST: usize = 20;

/// All of them. Clones are one.
#[derive(Clone, Debug)]
pub struct Operations {
    kept: Arc<Mutex<VecDeque<Operation>>>,
    events: EventBus,
}

#[derive(Debug)]
struct Operation {
    view: OperationView,
    action: Action,
    /// How many engines the model was to have before.
    wanted: Option<usize>,
    since: Instant,
    cancelled: watch::Sender<bool>,
}

/// What is to be undone.
pub(super) struct Cancelled {
    pub(super) view: OperationView,
    pub(super) action: Action,
    pub(super) wanted: Option<usize>,
}

impl Operations {
    /// None yet. `events` hears of them.
    #[must_use]
    pub fn new(events: EventBus) -> Self {
        Self { kept: Arc::default(), events }
    }

    /// Notes that `operator` has `action` begun; `wanted`: how many engines the model is to have until now. Returns how it is
    /// called, and what tells that it is not wanted any more.
    pub(super) fn begin(
        &self,
        action: &Action,
        operator: OperatorView,
        (can_be_cancelled, wanted): (bool, Option<usize>),
    ) -> (String, watch::Receiver<bool>) {
        let view = OperationView {
            id: format!("{:016x}", fastrand::u64(..)),
            action: action.word().into(),
            target: action.target().name().to_owned(),
            detail: action.to_string(),
            state: OperationState::Running,
            began: now(),
            ended: None,
            seconds: 0.0,
            error: None,
            operator,
            can_be_cancelled,
        };
        let (cancelled, is_cancelled) = watch::channel(false);
        let id = view.id.clone();
        let operation = Operation { view, action: action.clone(), wanted, since: Instant::now(), cancelled };
        let told = operation.shown();
        let mut kept = self.lock();
        kept.push_front(operation);
        if kept.len() > MOST
            && let Some(oldest) = kept.iter().rposition(|one| one.view.state != OperationState::Running)
        {
            kept.remove(oldest);
        }
        drop(kept);
        self.events.publish(&Event::Operation(told));
        (id, is_cancelled)
    }

    /// Notes that it is over.
    pub(super) fn end(&self, id: &str, error: Option<String>) {
        let told = self.lock().iter_mut().find(|one| one.view.id == id).map(|operation| {
            operation.view.state = match error {
                None => OperationState::Done,
                Some(_) if *operation.cancelled.borrow() => OperationState::Cancelled,
                Some(_) => OperationState::Failed,
            };
            operation.view.seconds = operation.since.elapsed().as_secs_f64();
            operation.view.can_be_cancelled = false;
            operation.view.ended = Some(now());
            operation.view.error = error;
            operation.shown()
        });
        if let Some(told) = told {
            self.events.publish(&Event::Operation(told));
        }
    }

    /// Notes that it is not wanted any more: what it is; `None`: there is no such operation. One that cannot be cancelled, or is
    /// over, is as it was.
    pub(super) fn cancel(&self, id: &str) -> Option<Cancelled> {
        let kept = self.lock();
        let operation = kept.iter().find(|one| one.view.id == id)?;
        if operation.view.can_be_cancelled {
            operation.cancelled.send_replace(true);
        }
        Some(Cancelled { view: operation.shown(), action: operation.action.clone(), wanted: operation.wanted })
    }

    /// The one of this id.
    pub(super) fn find(&self, id: &str) -> Option<OperationView> {
        self.lock().iter().find(|one| one.view.id == id).map(Operation::shown)
    }

    /// All that are kept, the newest first.
    pub(super) fn all(&self) -> Vec<OperationView> {
        self.lock().iter().map(Operation::shown).collect()
    }

    /// Those under way, and the newest of the others.
    pub(super) fn newest(&self) -> Vec<OperationView> {
        let kept = self.lock();
        let is_shown = |(at, one): &(usize, &Operation)| *at < NEWEST || one.view.state == OperationState::Running;
        kept.iter().enumerate().filter(is_shown).map(|(_, operation)| operation.shown()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Operation>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Operation {
    fn shown(&self) -> OperationView {
        let mut view = self.view.clone();
        if view.state == OperationState::Running {
            view.seconds = self.since.elapsed().as_secs_f64();
        }
        view
    }
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::action::Target;
    use crate::api::Login;

    #[test]
    fn what_is_under_way_is_kept_and_what_was_cancelled_is_told_so() {
        let operations = Operations::new(EventBus::default());
        let action = Action::Drain(Target::Model("m".into()));
        let operator = || OperatorView { address: None, login: Login::None, agent: None };
        let (first, mut cancelled) = operations.begin(&action, operator(), (true, None));
        for _ in 0..MOST + 5 {
            let (id, _) = operations.begin(&action, operator(), (false, None));
            operations.end(&id, None);
        }
        assert_eq!(operations.all().len(), MOST);
        assert_eq!(operations.find(&first).expect("under way").state, OperationState::Running);
        assert!(operations.cancel("none").is_none());
        assert_eq!(operations.cancel(&first).expect("known").view.id, first);
        assert!(*cancelled.borrow_and_update());
        operations.end(&first, Some("it was not wanted".into()));
        let view = operations.find(&first).expect("kept");
        assert_eq!((view.state, view.can_be_cancelled), (OperationState::Cancelled, false));
    }
}
