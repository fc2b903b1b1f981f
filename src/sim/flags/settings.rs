//! What the flags and the environment of a simulated engine come to.

use std::time::Duration;

use super::args::Args;
use super::values::parse_adapter;
use crate::sim::faults::ProcessFaults;

/// What the flags and the environment come to.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What would be loaded.
    pub(crate) root: String,
    /// Names callers may use, the first is the one in answers.
    pub(crate) names: Vec<String>,
    /// Adapters: name and path, in order.
    pub(crate) adapters: Vec<(String, String)>,
    pub(crate) api_keys: Vec<String>,
    pub(crate) runtime_lora: bool,
    pub(crate) dev_mode: bool,
    /// Responses of `/v1/responses` can be asked for again.
    pub(crate) keeps_responses: bool,
    pub(crate) thinks: bool,
    pub(crate) generates: bool,
    pub(crate) pools: bool,
    pub(crate) sse_keep_alive: Option<Duration>,
    pub(crate) concurrency: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) process_faults: ProcessFaults,
    pub(crate) args: Args,
}

impl Settings {
    /// Flags and environment together.
    ///
    /// # Errors
    /// What is wrong with a value, in words.
    pub(crate) fn new(args: Args, env: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let root = args.model_tag.clone().or_else(|| args.model.clone()).unwrap_or_default();
        let on = |name: &str| env(name).is_some_and(|value| matches!(&*value.to_lowercase(), "1" | "true" | "yes"));
        let pools_only = args.runner == "pooling" || matches!(&*args.convert, "embed" | "classify" | "reward");
        let adapters = args.lora_modules.iter().map(|text| parse_adapter(text)).collect::<Result<Vec<_>, _>>()?;
        let keep_alive = match (args.keep_alive, env("VLLM_HTTP_TIMEOUT_KEEP_ALIVE")) {
            (Some(given), _) => given,
            (None, None) => Duration::from_secs(5),
            (None, Some(seconds)) => Duration::from_secs(seconds.parse().map_err(|_| {
                format!("VLLM_HTTP_TIMEOUT_KEEP_ALIVE is {seconds:?}, which is no whole number of seconds.")
            })?),
        };
        Ok(Self {
            names: if args.served_model_name.is_empty() { vec![root.clone()] } else { args.served_model_name.clone() },
            root,
            api_keys: match (args.api_key.is_empty(), env("VLLM_API_KEY")) {
                (true, Some(key)) if !key.is_empty() => vec![key],
                _ => args.api_key.clone(),
            },
            runtime_lora: args.runtime_lora || args.enable_lora && on("VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
            adapters,
            dev_mode: args.dev_mode || on("VLLM_SERVER_DEV_MODE"),
            keeps_responses: on("VLLM_ENABLE_RESPONSES_API_STORE"),
            thinks: args.reasoning_parser.is_some(),
            generates: !pools_only,
            pools: args.runner != "generate",
            sse_keep_alive: args
                .sse_keep_alive_interval
                .filter(|seconds| *seconds > 0.0)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            concurrency: args.concurrency.unwrap_or(args.max_num_seqs).clamp(1, 1 << 20),
            keep_alive,
            process_faults: args.process_faults.clone().with_env(env("ENGINEHOUSE_SIM_FAULTS").as_deref())?,
            args,
        })
    }

    /// Tokens the KV cache seems to hold.
    pub(crate) fn kv_tokens(&self) -> usize {
        self.args.max_model_len.saturating_mul(self.concurrency.min(64))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settle(flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, String> {
        let env: BTreeMap<&str, &str> = env.iter().copied().collect();
        Settings::new(Args::parse(flags).unwrap(), |name| env.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn vllms_flags_are_taken_and_unknown_ones_refused() {
        let flags = [
            "/models/tiny",
            "--tensor-parallel-size",
            "2",
            "--gpu-memory-utilization=0.9",
            "--no-enable-prefix-caching",
            "--enforce-eager",
            "--max-model-len",
            "4K",
            "--served-model-name",
            "a",
            "b",
            "--lora-modules",
            "x=/x",
            r#"{"name":"y","path":"/y"}"#,
        ];
        let settings = settle(&flags, &[]).unwrap();
        assert_eq!(settings.names, ["a", "b"]);
        assert_eq!(settings.args.max_model_len, 4096);
        assert_eq!(settle(&["m", "--port", "1", "--port", "2"], &[]).unwrap().args.port, 2);
        assert_eq!(settings.adapters, [("x".into(), "/x".into()), ("y".into(), "/y".into())]);
        assert!(!settings.runtime_lora && !settings.dev_mode && settings.generates && settings.pools);
        assert!(!settle(&["m", "--enable-sleep-mode"], &[]).unwrap().dev_mode, "the flag alone gives no routes");
        let unknown = Args::parse(["m", "--max-model-length", "4"]).unwrap_err();
        assert_eq!(unknown.exit_code(), 2);
    }

    #[test]
    fn repeated_lora_modules_keep_only_the_last_as_in_vllm() {
        let settings = settle(&["m", "--lora-modules", "x=/x", "--lora-modules", "y=/y"], &[]).unwrap();
        assert_eq!(settings.adapters, [("y".into(), "/y".into())]);
    }

    #[test]
    fn the_environment_is_read() {
        let env = [
            ("VLLM_API_KEY", "k"),
            ("VLLM_SERVER_DEV_MODE", "1"),
            ("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True"),
            ("ENGINEHOUSE_SIM_FAULTS", "ignore-term,ready-after=2s,oom=1s,wedge=3,escape,escape=clean"),
        ];
        let settings = settle(&["m", "--enable-lora"], &env).unwrap();
        assert_eq!(settings.api_keys, ["k"]);
        assert!(settings.dev_mode && settings.runtime_lora && settings.process_faults.ignore_term);
        assert_eq!(settings.process_faults.ready_after, Duration::from_secs(2));
        assert_eq!(
            (settings.process_faults.oom, settings.process_faults.wedge),
            (Some(Duration::from_secs(1)), Some(3))
        );
        assert_eq!(settings.process_faults.escape.len(), 2);
        assert!(!settle(&["m"], &env[2..3]).unwrap().runtime_lora, "it takes --enable-lora, too");
        assert!(settle(&["m"], &[("ENGINEHOUSE_SIM_FAULTS", "ignore-trem")]).unwrap_err().contains("ignore-term"));
    }
}
