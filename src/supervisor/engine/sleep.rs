//! Puts an engine to sleep and wakes it, through vLLM's development endpoints (vLLM documentation, "Sleep Mode").

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::Sleep;
use crate::engines::{Answer, Engine, EngineClient, ExchangeError, Reply};
use crate::supervisor::lifecycle::terms::Level;
use crate::supervisor::process::spawn::Log;

/// Time that falling asleep may take: tens of gigabytes are copied to host memory.
const SLEEP_WITHIN: Duration = Duration::from_secs(600);

/// Time in which an engine says whether it sleeps.
const SAY_WITHIN: Duration = Duration::from_secs(10);

/// Most that is read of what an engine logged while it fell asleep.
const MOST_LOG: u64 = 256 * 1024;

/// Has `engine`, on which nothing is under way, sleep at `level`.
///
/// # Errors
/// Why it does not, in words.
pub(crate) async fn sleep(
    client: Arc<EngineClient>,
    engine: Arc<Engine>,
    level: Level,
    log: Log,
) -> Result<Sleep, String> {
    let since = Instant::now();
    let from = std::fs::metadata(&log.path).map_or(0, |about| about.len());
    let path = format!("/sleep?level={level}");
    let said = client.post(&engine, &path, None, SLEEP_WITHIN).await;
    if let Err(why) = accepted("/sleep", said)
        // The answer may have been lost on its way.
        && client.get(&engine, "/is_sleeping", SAY_WITHIN).await.ok() != Some(Answer::Json(json!({ "is_sleeping": true })))
    {
        return Err(why);
    }
    let mut text = Vec::new();
    if let Ok(mut file) = File::open(&log.path)
        && file.seek(SeekFrom::Start(from)).is_ok()
    {
        let _ = file.take(MOST_LOG).read_to_end(&mut text);
    }
    let (freed, in_use) = memory(&String::from_utf8_lossy(&text));
    Ok(Sleep {
        level: Some(level),
        took_seconds: Some(since.elapsed().as_secs_f64()),
        freed_bytes: freed,
        in_use_bytes: in_use,
    })
}

/// Has `engine`, which sleeps at `level`, take its GPU memory again. At level 2 its weights are loaded again.
///
/// # Errors
/// Why it does not, in words.
pub(crate) async fn wake(
    client: Arc<EngineClient>,
    engine: Arc<Engine>,
    level: Level,
    within: Duration,
) -> Result<(), String> {
    let until = Instant::now() + within;
    let reload = json!({ "method": "reload_weights" });
    let steps: &[(&str, Option<&Value>)] = if level >= 2 {
        &[("/wake_up?tags=weights", None), ("/collective_rpc", Some(&reload)), ("/wake_up?tags=kv_cache", None)]
    } else {
        &[("/wake_up", None)]
    };
    for (path, body) in steps {
        let left = until.saturating_duration_since(Instant::now());
        accepted(path, client.post(&engine, path, *body, left).await)?;
    }
    Ok(())
}

fn accepted(path: &str, said: Result<Reply, ExchangeError>) -> Result<(), String> {
    match said {
        Ok(Reply { status, .. }) if status.is_success() => Ok(()),
        Ok(Reply { status, body }) => {
            let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
            Err(format!("POST {path}: it answered {}: {}", status.as_u16(), text.trim()))
        }
        Err(why) => Err(format!("POST {path}: {why}")),
    }
}

/// Bytes freed and bytes still in use, from vLLM 0.32's line
/// `Sleep mode freed 12.34 GiB memory, 1.20 GiB memory is still in use.`; workers of one engine are added up.
fn memory(log: &str) -> (Option<u64>, Option<u64>) {
    let mut sums = (None, None);
    for line in log.lines() {
        let Some((_, rest)) = line.split_once("Sleep mode freed ") else { continue };
        let Some((freed, rest)) = rest.split_once(" GiB memory, ") else { continue };
        let Some((in_use, _)) = rest.split_once(" GiB memory is still in use") else { continue };
        let add = |sum: &mut Option<u64>, text: &str| {
            if let Ok(gib) = text.trim().parse::<f64>()
                && gib.is_finite()
                && gib >= 0.0
            {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked; `as` saturates")]
                let bytes = (gib * f64::from(1 << 30)) as u64;
                *sum = Some(sum.unwrap_or(0).saturating_add(bytes));
            }
        };
        add(&mut sums.0, freed);
        add(&mut sums.1, in_use);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_freed_is_added_up() {
        let log = "(Worker_TP0 pid=7) INFO 11-21 10:00:00 [gpu_worker.py:130] Sleep mode freed 10.50 GiB memory, 1.25 GiB memory is still in use.\n\
                   INFO It took 1.2 seconds to fall asleep.\n\
                   (Worker_TP1 pid=8) INFO 11-21 10:00:00 [gpu_worker.py:130] Sleep mode freed 10.50 GiB memory, 1.25 GiB memory is still in use.\n";
        assert_eq!(memory(log), (Some(21 << 30), Some(5 << 29)));
        assert_eq!(memory("Sleep mode freed x GiB memory, y GiB memory is still in use."), (None, None));
        assert_eq!(memory(""), (None, None));
    }
}
