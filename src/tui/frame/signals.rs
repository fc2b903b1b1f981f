//! The thread that hears the signals that end the interface.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

use super::input::Input;

/// Tells when the process is told to end: SIGTERM, SIGINT and SIGQUIT of others (Ctrl-C is a key here), and SIGHUP when the
/// terminal goes.
///
/// # Errors
/// When the system gives no thread or no handler.
pub(super) fn watch(sender: Sender<Input>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(entered);
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = quit.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        let _ = sender.send(Input::End);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}
