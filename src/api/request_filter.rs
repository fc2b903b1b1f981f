//! Which requests are wanted: decided in the same way by a gateway and by its clients. Pure.

use super::requests::RequestView;

/// Which requests are wanted: those for which everything that is given holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// For this model.
    pub model: Option<String>,
    /// By this alias.
    pub alias: Option<String>,
    /// On this engine at last.
    pub engine: Option<String>,
    /// Of this caller.
    pub caller: Option<String>,
    /// With this status.
    pub status: Option<u16>,
    /// Those that went wrong (`true`), or well (`false`).
    pub failed: Option<bool>,
}

/// What a filter looks at, of a request in whatever form.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestFacts<'a> {
    /// As [`RequestView::model`].
    pub model: Option<&'a str>,
    /// As [`RequestView::alias`].
    pub alias: Option<&'a str>,
    /// As [`RequestView::engine`].
    pub engine: Option<&'a str>,
    /// As [`RequestView::caller`].
    pub caller: Option<&'a str>,
    /// As [`RequestView::status`].
    pub status: u16,
    /// As [`RequestView::error`].
    pub error: Option<&'a str>,
}

impl RequestFilter {
    /// Whether a request is one of those that are wanted.
    #[must_use]
    pub fn fits(&self, request: &RequestFacts<'_>) -> bool {
        let is = |wanted: &Option<String>, value: Option<&str>| wanted.is_none() || wanted.as_deref() == value;
        let has_failed = request.status >= 400 || request.error.is_some();
        is(&self.model, request.model)
            && is(&self.alias, request.alias)
            && is(&self.engine, request.engine)
            && is(&self.caller, request.caller)
            && self.status.is_none_or(|status| status == request.status)
            && self.failed.is_none_or(|failed| failed == has_failed)
    }
}

impl RequestView {
    /// What a filter looks at.
    #[must_use]
    pub fn facts(&self) -> RequestFacts<'_> {
        RequestFacts {
            model: self.model.as_deref(),
            alias: self.alias.as_deref(),
            engine: self.engine.as_deref(),
            caller: self.caller.as_deref(),
            status: self.status,
            error: self.error.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_given_holds() {
        let request =
            RequestFacts { model: Some("m"), status: 200, error: Some("engine_died"), ..RequestFacts::default() };
        let fits = |filter: RequestFilter| filter.fits(&request);
        let model = |name: &str| RequestFilter { model: Some(name.into()), ..RequestFilter::default() };
        assert!(fits(RequestFilter::default()) && fits(model("m")) && !fits(model("n")));
        let failed = |failed| RequestFilter { failed: Some(failed), ..RequestFilter::default() };
        assert!(fits(failed(true)) && !fits(failed(false)), "its status came before it went wrong");
        assert!(!fits(RequestFilter { alias: Some("a".into()), ..model("m") }));
        assert!(!fits(RequestFilter { status: Some(500), ..model("m") }));
    }
}
