//! GPUs that a model names win over the parallel sizes of its profile.

use serde_json::{Map, Value};

use super::flag_names::{flag_name, flag_value};
use super::raw::{RawGpus, RawModel};

/// The sizes that follow from the GPUs where nobody says them.
const SIZES: [&str; 2] = ["tensor-parallel-size", "pipeline-parallel-size"];

/// Other sizes whose ranks have GPUs of their own.
const OTHERS: [&str; 2] = ["data-parallel-size", "prefill-context-parallel-size"];

/// The parallel sizes in `profile`, the flags of a profile, that are left out for `model`: it names GPUs, and they are not as
/// many as all sizes together need. What the model itself says about a size stays.
pub(super) fn overruled(profile: &Map<String, Value>, model: &RawModel) -> Map<String, Value> {
    let own = model.args.clone().unwrap_or_default();
    let says = |args: &Map<String, Value>, name: &str| flag_value(args, name).is_some();
    // Ranks on other machines need no GPU here.
    let is_elsewhere = ["nnodes", "distributed-executor-backend", "data-parallel-size-local"]
        .iter()
        .any(|name| says(&own, name) || says(profile, name));
    let Some(gpus) = gpus_of_each(model).filter(|_| !is_elsewhere) else { return Map::new() };
    let given = |name: &str| flag_value(&own, name).or_else(|| flag_value(profile, name));
    let size =
        |name: &&str| given(name).map_or(Some(1), |value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    let needed = SIZES.iter().chain(&OTHERS).map(size).try_fold(1_u64, |all, size| all.checked_mul(size?));
    if needed == Some(gpus) {
        return Map::new();
    }
    let is_left_out = |flag: &str| {
        let name = flag_name(flag);
        SIZES.contains(&name.as_str()) && !says(&own, &name)
    };
    profile.iter().filter(|(flag, _)| is_left_out(flag)).map(|(flag, value)| (flag.clone(), value.clone())).collect()
}

/// The GPUs that each engine of `model` is given; `None`: it does not say, or they cannot be told.
fn gpus_of_each(model: &RawModel) -> Option<u64> {
    let each = match model.gpus.as_ref()? {
        RawGpus::Count(count) => *count,
        RawGpus::List(gpus) => {
            let replicas = model.replicas.unwrap_or(1).max(1);
            gpus.len().is_multiple_of(replicas).then(|| gpus.len() / replicas)?
        }
    };
    u64::try_from(each).ok().filter(|each| *each > 0)
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Engines, Spawn, notes, parse};

    fn config(profile: &str, model: &str) -> Config {
        let text =
            format!("profiles: {{p: {{args: {{{profile}}}}}}}\nmodels: {{m: {{source: s, profile: p, {model}}}}}");
        parse(&text, &|_| None).unwrap_or_else(|found| panic!("{found}\n{text}"))
    }

    fn spawn(config: &Config) -> &Spawn {
        match &config.models[0].engines {
            Engines::Spawn(spawn) => spawn,
            Engines::Urls(_) => panic!("engines of ours"),
        }
    }

    #[test]
    fn gpus_win_over_the_sizes_of_a_profile_and_a_note_says_so() {
        let four = config("tp: 4, seed: 1", "gpus: [0, 1]");
        let left: Vec<&String> = spawn(&four).args.keys().collect();
        assert_eq!(left, ["seed"]);
        let noted: Vec<String> = notes(&four).iter().map(ToString::to_string).collect();
        let [note] = &noted[..] else { panic!("one note: {noted:?}") };
        assert!(note.starts_with("note: models.m.gpus, line 2") && note.contains("`p` says tp 4"), "{note}");
        for (profile, model) in [
            ("tp: 2", "gpus: [0, 1]"),
            ("tp: 2, pp: 2", "gpus: [0, 1, 2, 3]"),
            ("tp: 2", "gpus: [0, 1, 2, 3], replicas: 2"),
            ("tp: 2", ""),
            ("tp: 1, data-parallel-size: 2", "gpus: [0, 1]"),
            ("tp: 8, nnodes: 2", "gpus: [0, 1]"),
            ("seed: 1", "gpus: [0, 1]"),
            ("tp: 4", "gpus: [0, 1], args: {tp: 2}"),
        ] {
            let config = config(profile, model);
            assert_eq!((spawn(&config).overruled.len(), notes(&config).len()), (0, 0), "{profile}; {model}");
        }
        for (profile, model, gone) in [
            ("tp: 2", "gpus: [0, 1, 2, 3]", 1),
            ("tensor_parallel_size: 4, pipeline-parallel-size: 2", "gpus: 2", 2),
            ("pp: 2", "gpus: [0, 1], args: {tp: 2}", 1),
        ] {
            assert_eq!(spawn(&config(profile, model)).overruled.len(), gone, "{profile}; {model}");
        }
    }

    #[test]
    fn what_the_model_says_itself_is_an_error_as_before() {
        let text = "models: {m: {source: s, gpus: [0], args: {tp: 2}}}";
        assert!(parse(text, &|_| None).is_err());
    }
}
