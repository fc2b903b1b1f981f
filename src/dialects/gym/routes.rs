//! The routes of a Gym model server.

use crate::openai::Dialect;

/// What a Gym client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GymRoute {
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/messages`
    Messages,
}

impl GymRoute {
    /// The API whose error shape the route has.
    pub(super) fn dialect(self) -> Dialect {
        match self {
            Self::Chat => Dialect::OpenAi,
            Self::Responses => Dialect::Responses,
            Self::Messages => Dialect::Anthropic,
        }
    }
}

/// The route of a path without a rollout's prefix.
#[must_use]
pub fn route(path: &str) -> Option<GymRoute> {
    match path {
        "/v1/chat/completions" => Some(GymRoute::Chat),
        "/v1/responses" => Some(GymRoute::Responses),
        "/v1/messages" => Some(GymRoute::Messages),
        _ => None,
    }
}

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

/// The answer to `GET /`, by which Gym knows that a server is up.
pub const ALIVE: &str = "{\"status\":\"ok\"}";

/// The answer to `GET /openapi.json`: the routes, in OpenAPI 3.1.
pub const OPENAPI: &str = concat!(
    r#"{"openapi":"3.1.0","info":{"title":"Enginehouse, for NeMo Gym","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""},"paths":{"/":{"get":{"responses":{"200":{"description":"It is up."}}}},"#,
    r#""/v1/chat/completions":{"post":{"responses":{"200":{"description":"A chat completion."}}}},"#,
    r#""/v1/responses":{"post":{"responses":{"200":{"description":"A response."}}}},"#,
    r#""/v1/messages":{"post":{"responses":{"200":{"description":"A message."}}}}}}"#
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_a_rollout_is_removed() {
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
