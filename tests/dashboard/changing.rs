//! What an operator changes by clicking: models, aliases, callers, and what engines do.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::support::{chat, http};
use crate::{Stage, is_wanted, looks};

/// A gateway whose engines are ready, and a browser that shows `view` of it.
async fn open(view: &str) -> (Stage, Browser) {
    let stage = Stage::new();
    stage.gateway.all_ready().await;
    let browser = Browser::start().await;
    browser.resize(1280, 800).await;
    browser.open(&stage.url(view)).await;
    browser.sees("live").await;
    (stage, browser)
}

async fn get(stage: &Stage, path: &str) -> (u16, Value) {
    let reply = http().get(stage.url(&format!("api/v1/{path}"))).send().await.expect("answered");
    (reply.status().as_u16(), reply.json().await.expect("JSON"))
}

/// Has the form done, sees what it says then, and closes it.
async fn finish(browser: &Browser, button: &str, says: &str) {
    browser.click(button).await;
    browser.sees(says).await;
    let focus = "return document.activeElement?.innerText === 'Close'";
    browser.wait("the focus on Close", focus, json!([])).await;
    browser.click("Close").await;
    browser.wait("no dialog", "return document.querySelector('dialog.form') === null", json!([])).await;
}

/// Waits until the row of a table that begins with `name` says `text`, or until there is none.
async fn row(browser: &Browser, name: &str, text: Option<&str>) {
    let script = "const row = [...document.querySelectorAll('tbody tr')].find((row) => row.checkVisibility() && row.cells[0].innerText.trim().startsWith(arguments[0]));\
                  return arguments[1] === null ? row === undefined : row?.innerText.includes(arguments[1]) ?? false";
    browser.wait(&format!("{name}: {text:?}"), script, json!([name, text])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_added_asked_changed_and_removed_and_a_bad_one_changes_nothing() {
    if !is_wanted() {
        return;
    }
    let (stage, browser) = open("#/aliases").await;
    browser.click("Add an alias").await;
    browser.wait("the focus on the name", "return document.activeElement?.id === 'entry-name'", json!([])).await;
    browser.write("#entry-name", "brisk").await;
    browser.choose("#alias-model", "qwen3-32b").await;
    browser.write("#alias-temperature", "0.2").await;
    browser.choose("#alias-max_tokens-place", "overrides").await;
    browser.write("#alias-max_tokens", "64").await;
    looks(&browser, "form-alias").await;
    browser.click("Add").await;
    browser.sees("alias brisk: added").await;
    looks(&browser, "form-done").await;
    browser.click("Close").await;
    row(&browser, "brisk", Some("overlay")).await;
    let (_, shown) = get(&stage, "configuration").await;
    let expected =
        json!({ "model": "qwen3-32b", "defaults": { "temperature": 0.2 }, "overrides": { "max_tokens": 64 } });
    assert_eq!(shown["aliases"]["brisk"], expected);

    // It answers.
    browser.open(&stage.url("#/playground")).await;
    browser.write("[aria-label='Alias or model']", "brisk").await;
    browser.write("#prompt", "Say something.").await;
    browser.click("Send").await;
    browser.sees("· done").await;

    // Another one of this name is not taken for it; and what is wrong is told where it is.
    browser.open(&stage.url("#/aliases")).await;
    browser.click("Add an alias").await;
    browser.write("#entry-name", "brisk").await;
    browser.click("Add").await;
    browser.sees("of this name already").await;
    browser.click("Back").await;
    browser.click("Change brisk").await;
    browser.write("#entry-text", "{\n  \"model\": \"qwen3-32\",\n  \"modle\": 1\n}").await;
    browser.click("Save").await;
    browser.sees("modle").await;
    looks(&browser, "form-errors").await;
    browser.click("line 3, modle").await;
    let chosen = "const e = document.activeElement; return e.value?.slice(e.selectionStart, e.selectionEnd)";
    assert_eq!(browser.run(chosen, json!([])).await, "\"modle\"");
    browser.write("#entry-text", "{\"model\": \"qwen3-32\"}").await;
    browser.click("Save").await;
    let beside = "const field = document.querySelector('#alias-model[aria-invalid]');\
                  return field && document.activeElement === field && document.getElementById(field.getAttribute('aria-describedby')).innerText";
    let message = browser.wait("what is wrong beside the model", beside, json!([])).await;
    assert!(message.as_str().is_some_and(|text| text.contains("qwen3-32")), "{message}");
    let (_, alias) = get(&stage, "configuration").await;
    assert_eq!(alias["aliases"]["brisk"], expected, "nothing was changed");

    browser.write("#entry-text", "{\"model\": \"org/embed\", \"hidden\": true}").await;
    finish(&browser, "Save", "The alias brisk was changed.").await;
    row(&browser, "brisk", Some("hidden")).await;
    browser.click("Remove brisk").await;
    looks(&browser, "form-remove").await;
    finish(&browser, "Remove", "The alias brisk was removed.").await;
    row(&browser, "brisk", None).await;
    assert_eq!(get(&stage, "aliases/brisk").await.0, 404);
    // A refusal of the server is a line in the browser's log; nothing else is.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("422")), "{complaints:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_file_has_is_changed_in_it_or_over_it_and_the_change_is_forgotten() {
    if !is_wanted() {
        return;
    }
    let (stage, browser) = open("#/aliases").await;
    browser.click("Change qwen3-think").await;
    browser.write("#alias-temperature", "0.7").await;
    browser.run("document.querySelector('dialog[open] [name=persist][value=file]').click()", json!([])).await;
    finish(&browser, "Save", "alias qwen3-think: changed").await;
    let file = std::fs::read_to_string(stage.folder.path().join("gateway.yaml")).expect("read");
    assert!(file.contains("0.7") && !file.contains("0.6"), "{file}");
    browser.click("Remove qwen3-think").await;
    finish(&browser, "Remove", "The alias qwen3-think was removed.").await;
    browser.sees("removed; the file has it").await;
    // What a reload makes useless is shown with the reason.
    let entry = json!({ "model": "qwen3-instant" });
    let put = http().put(stage.url("api/v1/aliases/leaning")).json(&entry).send().await.expect("answered");
    assert_eq!(put.status(), 201);
    row(&browser, "leaning", Some("overlay")).await;
    let less: String =
        file.lines().filter(|line| !line.contains("qwen3-instant")).map(|line| format!("{line}\n")).collect();
    std::fs::write(stage.folder.path().join("gateway.yaml"), less).expect("written");
    browser.open(&stage.url("#/configuration")).await;
    browser.click("Reload the file").await;
    browser.agree().await;
    browser.sees("is not used any more").await;
    row(&browser, "alias leaning", Some("not used, because it does not fit the file")).await;
    looks(&browser, "configuration-overlay").await;
    browser.open(&stage.url("#/aliases")).await;
    row(&browser, "leaning", Some("not used")).await;
    looks(&browser, "aliases-overlay").await;
    browser.click("Forget this change: alias qwen3-think").await;
    finish(&browser, "Forget this change", "is forgotten").await;
    row(&browser, "qwen3-think", Some("qwen3-32b")).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_gets_a_key_that_is_made_in_the_browser_and_masked_ones_are_not_sent_back() {
    if !is_wanted() {
        return;
    }
    let (stage, browser) = open("#/callers").await;
    browser.click("Add a caller").await;
    browser.write("#entry-name", "batch").await;
    browser.click("Make a random key").await;
    let key = browser.run("return document.querySelector('output').textContent", json!([])).await;
    let key = key.as_str().expect("a key");
    assert!(key.len() == 43, "{key}");
    browser.click("Add").await;
    browser.sees("caller batch: added").await;
    browser.sees(key).await;
    looks(&browser, "form-caller").await;
    browser.click("Close").await;
    row(&browser, "batch", Some("overlay")).await;
    let request = http().post(stage.gateway.url("/v1/chat/completions")).bearer_auth(key).json(&chat("qwen3-32b"));
    assert_eq!(request.send().await.expect("answered").status(), 200);
    browser.click("Change batch").await;
    browser.sees("Write them anew before you save: keys[0]").await;
    browser.click("Save").await;
    browser.sees("*** stands for a secret that is not shown").await;
    browser.click("Make a random key").await;
    finish(&browser, "Save", "caller batch: changed").await;
    let request = http().post(stage.gateway.url("/v1/chat/completions")).bearer_auth(key).json(&chat("qwen3-32b"));
    assert_eq!(request.send().await.expect("answered").status(), 401, "the key from before");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_drained_and_the_start_of_a_slow_one_cancelled_by_clicking() {
    if !is_wanted() {
        return;
    }
    let (stage, browser) = open("#/engine/qwen3-32b/0").await;
    let state = async |word: &str| {
        let script = "return document.querySelector('.state')?.innerText.startsWith(arguments[0])";
        browser.wait(word, script, json!([word])).await;
    };
    state("ready").await;
    browser.click("Drain").await;
    browser.agree().await;
    state("drained").await;
    assert_eq!(stage.gateway.engine("qwen3-32b/0").await["drained"], true);
    looks(&browser, "engine-drained").await;
    browser.click("Undrain").await;
    state("ready").await;
    assert_eq!(stage.gateway.engine("qwen3-32b/0").await["drained"], false);

    // A model that takes a minute to start, added here.
    browser.open(&stage.url("#/models")).await;
    browser.click("Add a model").await;
    browser.write("#entry-name", "org/slow").await;
    let slow = json!({
        "source": "slow", "command": ["enginehouse", "sim"], "gpu_memory": 0.1,
        "env": { "ENGINEHOUSE_SIM_FAULTS": "ready-after=60s" },
    });
    browser.write("#entry-text", &slow.to_string()).await;
    finish(&browser, "Add", "engines of org/slow: added (1 engine)").await;
    row(&browser, "org/slow", Some("overlay")).await;
    browser.open(&stage.url("#/engine/org%2Fslow%2F0")).await;
    state("starting").await;
    browser.click("Stop").await;
    browser.agree().await;
    state("stopped").await;
    browser.click("Start").await;
    state("starting").await;
    browser.sees("start · for").await;
    looks(&browser, "engine-operation").await;
    browser.open(&stage.url("#/operations")).await;
    row(&browser, "running", Some("org/slow/0: start")).await;
    looks(&browser, "operations-running").await;
    browser.click("Cancel").await;
    browser.agree().await;
    row(&browser, "cancelled", Some("org/slow/0: start")).await;
    browser.sees("PUT /api/v1/models/org%2Fslow").await;
    browser.sees("cancel operation").await;
    looks(&browser, "operations-cancelled").await;
    assert_eq!(stage.gateway.engine("org/slow/0").await["state"], "stopped");
    browser.open(&stage.url("#/models")).await;
    browser.click("Remove org/slow").await;
    finish(&browser, "Remove", "The model org/slow was removed.").await;
    row(&browser, "org/slow", None).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
