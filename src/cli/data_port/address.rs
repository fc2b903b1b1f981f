//! The address of a data port, from the URL that a user gives.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use http::Uri;

/// Where callers connect: a host, a port, and the path that all routes begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Address {
    /// Name or IP address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Empty, or a path that begins with a slash and ends without one.
    pub(super) base: String,
}

impl Address {
    /// The path of a route: `chat/completions` and the like.
    pub(in crate::cli) fn path(&self, route: &str) -> String {
        format!("{}/v1/{route}", self.base)
    }

    /// Host and port as they stand in a URL and in `Host`.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The same on this machine, if it is the address that listens everywhere.
    fn reachable(self) -> Self {
        let host = match &*self.host {
            "0.0.0.0" => "127.0.0.1".to_owned(),
            "::" => "::1".to_owned(),
            _ => self.host,
        };
        Self { host, ..self }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.base)
    }
}

impl FromStr for Address {
    type Err = String;

    /// Takes `http://HOST:PORT`, with or without `/v1` at the end, and `HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://")) {
            return Err(
                "https is not supported here. Give the gateway's own address, which is http://; through a server that \
                 ends TLS in front of it, use another client."
                    .into(),
            );
        }
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = whole.parse().map_err(|error| format!("{error}. An example: http://127.0.0.1:8000"))?;
        if uri.scheme_str() != Some("http") {
            return Err("the URL must begin with http://".into());
        }
        let authority = uri.authority().ok_or("the URL names no host")?;
        if authority.as_str().contains('@') {
            return Err("a key does not belong into the URL: put it into ENGINEHOUSE_API_KEY, or use --key-file".into());
        }
        if uri.query().is_some() {
            return Err("the URL must end with its path, without `?`".into());
        }
        let host = match authority.host().strip_prefix('[').map(|host| host.trim_end_matches(']')) {
            Some(ip) if ip.parse::<Ipv6Addr>().is_ok() => ip.to_owned(),
            None if !authority.host().contains(['[', ']', '%']) => authority.host().to_owned(),
            _ => return Err(format!("{} is no host", authority.host())),
        };
        if host.is_empty() {
            return Err("the URL names no host".into());
        }
        let port = match authority.as_str().strip_prefix(authority.host()).unwrap_or_default() {
            "" | ":" => 80,
            port => {
                port.strip_prefix(':').and_then(|it| it.parse().ok()).ok_or_else(|| format!("{port} is no port"))?
            }
        };
        let mut base = uri.path().trim_end_matches('/');
        while let Some(before) = base.strip_suffix("/v1") {
            base = before.trim_end_matches('/');
        }
        Ok(Self { host, port, base: base.to_owned() }.reachable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_as_people_write_them() {
        for (text, shown, path) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000", "/v1/x"),
            ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000", "/v1/x"),
            ("127.0.0.1:8000", "http://127.0.0.1:8000", "/v1/x"),
            ("http://a/v1/v1", "http://a:80", "/v1/x"),
            ("HTTP://gpu-1", "http://gpu-1:80", "/v1/x"),
            ("http://[::1]:8000/team/v1", "http://[::1]:8000/team", "/team/v1/x"),
            ("0.0.0.0:8000", "http://127.0.0.1:8000", "/v1/x"),
            ("[::]:8000", "http://[::1]:8000", "/v1/x"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!((address.to_string().as_str(), address.path("x").as_str()), (shown, path), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_understood_is_understood_the_same_again(text in "(http://)?[a-z0-9\\[\\]:.@/v1?%-]{0,20}|.{0,20}") {
            if let Ok(address) = text.parse::<Address>() {
                proptest::prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
    }

    #[test]
    fn what_cannot_be_asked_is_told() {
        for (text, why) in [
            ("https://127.0.0.1:8000", "https is not supported"),
            ("ftp://127.0.0.1", "must begin with http://"),
            ("http://key@127.0.0.1", "ENGINEHOUSE_API_KEY"),
            ("http://127.0.0.1/?a=1", "without `?`"),
            ("http://a:99999", ":99999 is no port"),
            ("[%]-0", "is no"),
            ("http://", "An example"),
            ("", "An example"),
        ] {
            let found = text.parse::<Address>().expect_err(text);
            assert!(found.contains(why), "{text}: {found}");
        }
    }
}
