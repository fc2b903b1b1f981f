//! Where requests of a Gym client go.

use super::GymRoute;

/// The path without the prefix that names a rollout: `/ng-rollout/{id}/…`, `/ng-rollout/{id}/training-token-capture/…`.
#[must_use]
pub fn without_rollout(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/ng-rollout/") else { return path };
    let Some(at) = rest.find('/').filter(|at| *at > 0) else { return path };
    let rest = &rest[at..];
    match rest.strip_prefix("/training-token-capture") {
        Some(below) if below.starts_with('/') => below,
        _ => rest,
    }
}

/// The route of a path that has no prefix any more.
#[must_use]
pub fn route(path: &str) -> Option<GymRoute> {
    match path {
        "/v1/chat/completions" => Some(GymRoute::Chat),
        "/v1/responses" => Some(GymRoute::Responses),
        "/v1/messages" => Some(GymRoute::Messages),
        _ => None,
    }
}

/// The answer to `GET /`, by which Gym knows that a server is up.
pub const ALIVE: &str = "{\"status\":\"ok\"}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollouts_are_stripped() {
        for (path, expected) in [
            ("/v1/responses", "/v1/responses"),
            ("/ng-rollout/0-1-a2/v1/responses", "/v1/responses"),
            ("/ng-rollout/x/training-token-capture/v1/messages", "/v1/messages"),
            ("/ng-rollout/x/training-token-captures", "/training-token-captures"),
            ("/ng-rollout/x/", "/"),
            ("/ng-rollout/x", "/ng-rollout/x"),
            ("/ng-rollout//v1/responses", "/ng-rollout//v1/responses"),
            ("/", "/"),
        ] {
            assert_eq!(without_rollout(path), expected, "{path}");
        }
        assert_eq!(route("/v1/completions"), None);
    }
}
