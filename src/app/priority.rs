//! Threads that let others go first where processors are short.

use rustix::io;
use rustix::process::{getpriority_process, setpriority_process};

/// The least that a thread can have (setpriority(2)).
const LEAST: i32 = 19;

/// How soon a thread gets a processor that others want, too: its nice value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Priority(i32);

impl Priority {
    /// `steps` below that of the calling thread.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn below_this_thread(steps: i32) -> io::Result<Self> {
        Ok(Self((getpriority_process(None)? + steps).min(LEAST)))
    }

    /// Gives it to the calling thread, and to it alone: on Linux each thread has its own (setpriority(2), "C library/kernel
    /// differences"). Threads and processes that it starts inherit it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn take(self) -> io::Result<()> {
        setpriority_process(None, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_steps_back_leaves_the_others_where_they_are() {
        let before = getpriority_process(None).expect("told");
        let lower = Priority::below_this_thread(3).expect("told");
        let own = std::thread::spawn(move || {
            lower.take().expect("anybody may step back");
            // Whoever starts there steps back no further.
            let inherited = std::thread::spawn(move || lower.take().and_then(|()| getpriority_process(None)));
            (getpriority_process(None), inherited.join().expect("it ends"))
        });
        let stepped_back = Ok((before + 3).min(LEAST));
        assert_eq!(own.join().expect("it ends"), (stepped_back, stepped_back));
        assert_eq!(getpriority_process(None), Ok(before));
        assert_eq!(Priority::below_this_thread(100), Ok(Priority(LEAST)));
    }
}
