//! When engines are loaded, and when they give their GPU memory back.

use super::entries::models;
use crate::config::diagnostic::Draft;
use crate::config::raw::{Raw, RawLoad};

pub(super) fn idle_is_for_models_on_demand(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, name, model) in models(raw) {
        if model.source.is_some() && model.idle.is_some() && model.load != Some(RawLoad::OnDemand) {
            let reason = format!("The engines of `{name}` keep their GPU memory, so `idle` has no effect.");
            let remedy = "Add `load: on_demand`, which has a request load them again; or remove `idle`.";
            out.push(Draft::new(path.key("idle"), reason, remedy).hidden());
        }
    }
}

pub(super) fn idle_times_make_sense(raw: &Raw, out: &mut Vec<Draft>) {
    for (path, name, model) in models(raw) {
        let Some(idle) = model.idle else { continue };
        let path = path.key("idle");
        if idle.sleep_after.is_some() && model.sleep_mode != Some(true) {
            let reason = format!("The engines of `{name}` cannot be put to sleep.");
            let remedy = "Add `sleep_mode: true`, or write `stop_after` instead.";
            out.push(Draft::new(path.key("sleep_after"), reason, remedy));
        }
        if let (Some(sleep), Some(stop)) = (idle.sleep_after, idle.stop_after)
            && stop <= sleep
        {
            let reason = "The engines would end before they are put to sleep.";
            out.push(Draft::new(path.key("stop_after"), reason, "Make it longer than `sleep_after`."));
        }
        for (key, time) in [("sleep_after", idle.sleep_after), ("stop_after", idle.stop_after)] {
            if time.is_some_and(|time| time.is_zero()) {
                let reason = "Without any pause no second request would find the engines loaded.";
                out.push(Draft::new(path.key(key), reason, "Write a time such as 10m, or off."));
            }
        }
    }
}
