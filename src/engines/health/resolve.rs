//! Where an engine that others run is: its host name, looked up.

use std::net::SocketAddr;
use std::time::Duration;

use crate::api::HealthProblem;
use crate::config::EngineUrl;

/// Time a look-up may take.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(5);

/// An address of `url`: `current` as long as it is one and did not fail, else the next.
///
/// # Errors
/// When there is none.
pub(super) async fn resolve(
    url: &EngineUrl,
    current: Option<SocketAddr>,
    failed: bool,
) -> Result<SocketAddr, HealthProblem> {
    let unresolved = |why: String| HealthProblem::Unresolved { host: url.host.clone(), why };
    let looking_up = tokio::net::lookup_host((url.host.as_str(), url.port));
    let found: Vec<_> = match tokio::time::timeout(LOOK_UP_WITHIN, looking_up).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(unresolved(error.to_string())),
        Err(_) => {
            return Err(unresolved(format!("no answer within {}", humantime::format_duration(LOOK_UP_WITHIN))));
        }
    };
    choose(&found, current, failed).ok_or_else(|| unresolved("it has no address".into()))
}

fn choose(found: &[SocketAddr], current: Option<SocketAddr>, failed: bool) -> Option<SocketAddr> {
    match current.and_then(|current| found.iter().position(|address| *address == current)) {
        Some(at) if failed => found.get((at + 1) % found.len()).copied(),
        Some(at) => found.get(at).copied(),
        None => found.first().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_until_it_fails_or_is_gone() {
        let address = |n: u16| SocketAddr::from(([127, 0, 0, 1], n));
        let found = [address(1), address(2)];
        assert_eq!(choose(&found, None, false), Some(address(1)));
        assert_eq!(choose(&found, Some(address(2)), false), Some(address(2)));
        assert_eq!(choose(&found, Some(address(2)), true), Some(address(1)));
        assert_eq!(choose(&found, Some(address(3)), false), Some(address(1)));
        assert_eq!(choose(&found[..1], Some(address(1)), true), Some(address(1)));
        assert_eq!(choose(&[], Some(address(1)), true), None);
    }
}
