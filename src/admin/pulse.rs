//! Tells listeners every second what has changed, and lines of the log as they come.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::status::engines;
use super::{Admin, gpus, show};
use crate::api::{EngineView, Event, GpusView, ModelView, PulseView};

/// How often.
const PAUSE: Duration = Duration::from_secs(1);

/// What listeners were told.
#[derive(Debug, Default)]
struct Told {
    models: HashMap<String, ModelView>,
    engines: HashMap<String, EngineView>,
    gpus: GpusView,
    /// Lines of the log.
    lines: u64,
}

/// Tells what changes, for ever; nothing while nobody listens.
pub(super) async fn run(admin: Admin) {
    let mut told = None;
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !admin.events.is_heard() {
            // Who listens next begins with a snapshot.
            told = None;
            continue;
        }
        // The first one tells all: what changed since a listener's snapshot is not to be missed.
        let told = told.get_or_insert_with(|| Told { lines: admin.logs.since(u64::MAX).1, ..Told::default() });
        let (lines, all) = admin.logs.since(std::mem::take(&mut told.lines));
        told.lines = all;
        if !lines.is_empty() {
            admin.events.publish(&Event::Log { lines });
        }
        let models = admin.registry.pools().iter().map(|pool| show::model(pool, &admin)).collect();
        let gpus = gpus::show(&admin.monitor, &admin.registry.engines());
        let mut rates = admin.requests.rates();
        rates.history.drain(..rates.history.len().saturating_sub(1));
        let (models, gone_models) = news(&mut told.models, models, |model: &ModelView| &model.model);
        let mut now = engines(&admin);
        // It differs every time, and says nothing new: an event tells when the state changes.
        now.iter_mut().for_each(|engine| engine.state_seconds = 0.0);
        let (engines, gone_engines) = news(&mut told.engines, now, |engine| &engine.engine);
        let gpus = (gpus.inventory != told.gpus.inventory).then(|| told.gpus.clone_from(&gpus)).map(|()| gpus);
        let pulse = PulseView { models, engines, gone_models, gone_engines, gpus, rates };
        admin.events.publish(&Event::Pulse(Box::new(pulse)));
    }
}

/// Those of `now` that were not told so, and the names of those that are there no more.
fn news<T: Clone + PartialEq>(
    told: &mut HashMap<String, T>,
    now: Vec<T>,
    name: impl Fn(&T) -> &String,
) -> (Vec<T>, Vec<String>) {
    let mut gone: Vec<String> =
        told.keys().filter(|known| !now.iter().any(|one| name(one) == *known)).cloned().collect();
    gone.sort_unstable();
    for name in &gone {
        told.remove(name);
    }
    let mut news = now;
    news.retain(|one| told.get(name(one)) != Some(one));
    told.extend(news.iter().map(|one| (name(one).clone(), one.clone())));
    (news, gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_news() {
        let mut told = HashMap::from([("a".to_owned(), ("a".to_owned(), 1)), ("b".to_owned(), ("b".to_owned(), 1))]);
        let own =
            |list: &[(&str, i32)]| list.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect::<Vec<_>>();
        let mut step = |now: &[(&str, i32)]| news(&mut told, own(now), |one| &one.0);
        assert_eq!(step(&[("a", 1), ("c", 1)]), (own(&[("c", 1)]), vec!["b".to_owned()]));
        assert_eq!(step(&[("a", 2), ("c", 1)]), (own(&[("a", 2)]), vec![]));
        assert_eq!(step(&[("a", 2), ("c", 1)]), (vec![], vec![]));
    }
}
