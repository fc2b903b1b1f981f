//! What an engine says and does until it is ready: vLLM's lines while weights come, and its last ones when they do not fit.

use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::faults::ProcessFaults;
use super::flags::Settings;
use super::log;

/// Files the weights seem to come in.
const SHARDS: u32 = 4;
/// CUDA graphs that seem to be recorded.
const GRAPHS: u32 = 3;
/// What weights seem to take, in GiB.
const WEIGHTS: f64 = 15.27;
/// Time over which an engine that never gets there spreads its lines when it was told no other.
const SOME_TIME: Duration = Duration::from_secs(1);

/// The first lines of a start.
pub(super) fn announce(settings: &Settings) {
    log::info("api_utils.py:347", "");
    log::info("api_utils.py:347", "       █     █     █▄   ▄█");
    log::info("api_utils.py:347", &format!(" ▄▄ ▄█ █     █     █ ▀▄▀ █  version {} (simulated)", super::VERSION));
    log::info("api_utils.py:347", &format!("  █▄█▀ █     █     █     █  model   {}", settings.root));
    log::info("api_utils.py:347", "   ▀▀  ▀▀▀▀▀ ▀▀▀▀▀ ▀     ▀");
    let gpus = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_else(|_| "(unset)".into());
    log::info(
        "api_utils.py:286",
        &format!("non-default args: {{'model_tag': '{}', 'served_model_name': {:?}}}", settings.root, settings.names),
    );
    log::info("system_utils.py:255", &format!("CUDA_VISIBLE_DEVICES={gpus}"));
    log::info("model.py:733", "Resolved architecture: Qwen3ForCausalLM");
    log::info("model.py:2152", &format!("Using max model len {}", settings.args.max_model_len));
}

/// Returns when it is loaded.
///
/// # Errors
/// The exit code of an engine that fails while it loads.
pub(super) async fn load(faults: &ProcessFaults, settings: &Settings) -> Result<(), ExitCode> {
    if let Some(why) = &faults.fail_start {
        refuse(why);
        return Err(ExitCode::FAILURE);
    }
    let failing = faults.exit_while_loading.map(|exit| (exit.code, exit.after)).or(faults.oom.map(|after| (1, after)));
    if let Some((code, after)) = failing {
        // Somewhere on the way, and in the middle if nothing says how long the way is.
        let whole = faults.ready_after.max(after.saturating_mul(2)).max(SOME_TIME);
        let _ = timeout(after, steps(settings, whole)).await;
        out_of_memory();
        return Err(ExitCode::from(code));
    }
    if faults.never_ready {
        let whole = faults.ready_after.max(SOME_TIME);
        let _ = timeout(whole.mul_f64(0.4), steps(settings, whole)).await;
        return std::future::pending().await;
    }
    steps(settings, faults.ready_after).await;
    Ok(())
}

/// All lines of a start, over `whole`.
async fn steps(settings: &Settings, whole: Duration) {
    let model = &settings.root;
    let pause = |share: f64| {
        let time = whole.mul_f64(share);
        async move {
            if !time.is_zero() {
                sleep(time).await;
            }
        }
    };
    let core = |place: &str, text: &str| log::from("EngineCore", "INFO", place, text);
    let worker = |place: &str, text: &str| log::from("Worker", "INFO", place, text);
    core("core.py:133", &format!("Initializing a V1 LLM engine (v{}) with config: model='{model}'", super::VERSION));
    pause(0.1).await;
    worker("gpu_model_runner.py:5040", &format!("Starting to load model {model}..."));
    for shard in 0..=SHARDS {
        log::raw(&format!(
            "Loading safetensors checkpoint shards: {:3}% Completed | {shard}/{SHARDS} [00:00<00:00,  1.00it/s]",
            100 * shard / SHARDS
        ));
        if shard < SHARDS {
            pause(0.5 / f64::from(SHARDS)).await;
        }
    }
    log::raw("");
    let seconds = whole.mul_f64(0.5).as_secs_f64();
    worker("default_loader.py:501", &format!("Loading weights took {seconds:.2} seconds"));
    worker("gpu_model_runner.py:5150", &format!("Model loading took {WEIGHTS} GiB memory and {seconds:.6} seconds"));
    worker("backends.py:1105", "Using cache directory: /tmp/torch_compile_cache for vLLM's torch.compile");
    pause(0.1).await;
    let seconds = whole.mul_f64(0.1).as_secs_f64();
    worker("backends.py:1167", &format!("Dynamo bytecode transform time: {seconds:.2} s"));
    worker("gpu_worker.py:760", "Available KV cache memory: 50.12 GiB");
    let (tokens, length) = (settings.kv_tokens(), settings.args.max_model_len);
    core(
        "kv_cache_utils.py:2327",
        &format!(
            "GPU KV cache size: {} tokens, Maximum concurrency for {} tokens per request: {:.2}x",
            thousands(tokens),
            thousands(length),
            tokens as f64 / length as f64
        ),
    );
    for graph in 0..=GRAPHS {
        // As tqdm does: over itself, and a line end when it is through.
        let end = if graph == GRAPHS { "\n" } else { "" };
        log::part(&format!(
            "\rCapturing CUDA graphs (decode, FULL): {:3}%|{:10}| {graph}/{GRAPHS} [00:00<00:00,  1.00it/s]{end}",
            100 * graph / GRAPHS,
            "#".repeat(10 * graph as usize / GRAPHS as usize)
        ));
        pause(0.2 / f64::from(GRAPHS + 1)).await;
    }
    worker("gpu_model_runner.py:6582", "Graph capturing finished in 0 secs, took 0.42 GiB");
    pause(0.1).await;
    let seconds = whole.mul_f64(0.4).as_secs_f64();
    core("core.py:402", &format!("init engine (profile, create kv cache, warmup model) took {seconds:.2} s"));
    log::info("entry.py:136", "Supported tasks: ['generate']");
}

/// `1,234,567`
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The last lines of a vLLM that does not take its flags.
fn refuse(why: &str) {
    log::raw("Traceback (most recent call last):");
    log::raw("  File \"/opt/vllm/lib/python3.11/site-packages/vllm/entrypoints/cli/main.py\", line 120, in main");
    log::raw("    args.dispatch_function(args)");
    log::raw(&format!("ValueError: {why}"));
}

/// The last lines of a vLLM whose weights found no room.
fn out_of_memory() {
    // What a progress bar left open ends first.
    log::raw("");
    let memory = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB. GPU 0 has a total capacity of \
                  79.11 GiB of which 1.02 GiB is free. Including non-PyTorch memory, this process has 78.07 GiB memory \
                  in use. Of the allocated memory 77.30 GiB is allocated by PyTorch, and 128.54 MiB is reserved by \
                  PyTorch but unallocated.";
    let worker = |line: &str| log::from("Worker", "ERROR", "multiproc_executor.py:912", line);
    worker("WorkerProc failed to start.");
    worker("Traceback (most recent call last):");
    worker("  File \"/opt/vllm/lib/python3.11/site-packages/vllm/v1/worker/gpu_worker.py\", line 571, in load_model");
    worker("    self.model_runner.load_model(load_dummy_weights=load_dummy_weights)");
    worker("  File \"/opt/vllm/lib/python3.11/site-packages/torch/utils/_device.py\", line 104, in __torch_function__");
    worker("    return func(*args, **kwargs)");
    worker("           ^^^^^^^^^^^^^^^^^^^^^");
    worker(memory);
    let core = |line: &str| log::from("EngineCore", "ERROR", "core.py:1510", line);
    core("EngineCore failed to start.");
    core("Traceback (most recent call last):");
    core("  File \"/opt/vllm/lib/python3.11/site-packages/vllm/v1/engine/core.py\", line 1475, in run_engine_core");
    core("    engine_core = EngineCoreProc(*args, engine_index=dp_rank, **kwargs)");
    core(
        "Exception: WorkerProc initialization failed due to an exception in a background process. See stack trace for root cause.",
    );
    log::raw("Traceback (most recent call last):");
    log::raw("  File \"/opt/vllm/lib/python3.11/site-packages/vllm/entrypoints/cli/main.py\", line 120, in main");
    log::raw("    args.dispatch_function(args)");
    log::raw(
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_0': 1}",
    );
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_written_as_vllm_writes_them() {
        let written = [0, 12, 123, 1234, 123_456, 1_234_567].map(super::thousands);
        assert_eq!(written, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
    }
}
