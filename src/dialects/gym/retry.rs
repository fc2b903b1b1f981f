//! When a call of an engine is made again.

use std::time::Duration;

/// Whether and when a call is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// After this pause, on the same replica.
    After(Duration),
    /// Not at all.
    No,
}

/// The pause of Gym's client; `Retry-After` is not looked at.
const PAUSE: Duration = Duration::from_millis(500);
/// Calls that end in 500 are made this often in total; others in between do not count.
const TRIES: usize = 3;

/// The tries of one call. Gym goes on for ever while an engine is unreachable or overloaded; the driver stops after
/// `retry_for`.
#[derive(Debug, Default)]
pub struct Tries {
    server_errors: usize,
}

impl Tries {
    /// What to do after a try that ended with `status`; `None`: the connection failed or broke before an answer.
    pub fn after(&mut self, status: Option<u16>) -> Again {
        match status {
            None | Some(429 | 502 | 503 | 504 | 520) => Again::After(PAUSE),
            Some(500) => {
                self.server_errors += 1;
                if self.server_errors < TRIES { Again::After(PAUSE) } else { Again::No }
            }
            Some(_) => Again::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many tries these endings allow, the first included.
    fn tries(endings: &[Option<u16>]) -> usize {
        let mut tries = Tries::default();
        1 + endings.iter().take_while(|ending| tries.after(**ending) != Again::No).count()
    }

    #[test]
    fn overload_is_waited_out_and_server_errors_are_tried_thrice() {
        assert_eq!(tries(&[Some(500); 9]), 3);
        assert_eq!(tries(&[Some(503); 9]), 10);
        assert_eq!(tries(&[None; 9]), 10);
        assert_eq!(tries(&[Some(503), Some(500), Some(503), Some(500), Some(429), Some(500), Some(503)]), 6);
        for status in [200, 400, 401, 404, 413, 422, 501, 529] {
            assert_eq!(tries(&[Some(status)]), 1, "{status}");
        }
    }
}
