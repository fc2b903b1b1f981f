//! The interface over a line on which each byte takes 200 ms in each direction.

use crate::driver::{Terminal, is_there};
use crate::support::BINARY;
use crate::support::deployment::{Deployment, model};

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_shows_the_same_and_keys_that_come_together_are_taken_one_by_one() {
    if !is_there() {
        return;
    }
    let (_deployment, gateway) = Deployment::open(&format!("models:\n{}", model("qwen", "replicas: 2")));
    gateway.all_ready().await;
    let (script, admin) = (concat!(env!("CARGO_MANIFEST_DIR"), "/tests/terminal/slow.py"), gateway.admin.to_string());
    let words = ["python3", script, "200", BINARY, "top", "--admin", &admin];
    let terminal = Terminal::run_words((80, 24), &words, &[("LC_ALL", "C.UTF-8")]);
    terminal.wait("two engines that are ready", |screen| screen.matches("● ready").count() == 2);
    // All at once, and an escape sequence among them: to the second engine, and open it.
    terminal.press(&["Down", "Down", "Enter"]);
    terminal.shows("› qwen/1");
    terminal.press(&["Escape"]);
    terminal.wait("the overview", |screen| !screen.contains("› qwen/1") && screen.contains("qwen/0"));
    terminal.press(&["q"]);
    assert_eq!(terminal.ended().0, "0");
}
