//! Whether and when a request may go to an engine. For now every request may, at once; the permit is where limits on
//! concurrency, queues and quotas will be kept, and what it holds is given back when it is dropped.

/// Lets requests in.
#[derive(Debug, Default)]
pub struct Admission(());

/// What a request holds while it is under way.
#[derive(Debug)]
#[must_use = "dropping the permit ends what it permits"]
pub struct Permit(());

impl Admission {
    /// Lets one request in.
    pub fn admit(&self) -> Permit {
        Permit(())
    }
}
