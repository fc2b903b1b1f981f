//! Where an engine that somebody else runs is: its host name, looked up.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::EngineUrl;

/// Time a look-up may take.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(5);

/// An address of `url`: `current` as long as it is one and did not fail, else the next.
///
/// # Errors
/// In words, when there is none.
pub(crate) async fn resolve(url: &EngineUrl, current: Option<SocketAddr>, failed: bool) -> Result<SocketAddr, String> {
    let host = &url.host;
    let looked_up = tokio::time::timeout(LOOK_UP_WITHIN, tokio::net::lookup_host((host.as_str(), url.port))).await;
    let found: Vec<_> = match looked_up {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(format!("its host name `{host}` cannot be looked up: {error}")),
        Err(_) => {
            let limit = humantime::format_duration(LOOK_UP_WITHIN);
            return Err(format!("its host name `{host}` cannot be looked up: no answer within {limit}"));
        }
    };
    choose(&found, current, failed).ok_or_else(|| format!("its host name `{host}` has no address"))
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
