//! Base URLs, in one spelling.

use std::fmt;
use std::str::FromStr;

use crate::exit::{Exit, Failure};

/// Scheme, host and perhaps a path: `https://gateway.example`. Scheme and host in lower case, no slash at the end, so that two spellings
/// of one gateway are one line in the file of known gateways.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BaseUrl {
    text: String,
    is_http: bool,
}

impl BaseUrl {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is without TLS.
    pub(crate) const fn is_http(&self) -> bool {
        self.is_http
    }

    /// Refuses a URL without TLS unless that was allowed.
    pub(crate) fn check_scheme(&self, allow_http: bool) -> Result<(), Failure> {
        if !self.is_http || allow_http {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Usage,
            format!("{self} is http://, without TLS: addresses, times and the use of sealwire would be open to everyone on the way"),
        )
        .advise("use https://, or add --allow-http if that is acceptable, as on this machine itself"))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for BaseUrl {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("a URL begins with https:// or http://")?;
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "http" | "https") {
            return Err("a URL begins with https:// or http://");
        }
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains(['?', '#', '\\']) {
            return Err("a base URL is scheme, host and path alone, in ASCII, without a query");
        }
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if host.is_empty() || host.contains('@') {
            return Err("a base URL needs a host, and no user name or password");
        }
        let host = host.to_ascii_lowercase();
        let default_port = if scheme == "http" { ":80" } else { ":443" };
        let host = host.strip_suffix(default_port).unwrap_or(&host);
        Ok(Self {
            text: format!("{scheme}://{host}{}", path.trim_end_matches('/')),
            is_http: scheme == "http",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::BaseUrl;

    #[test]
    fn one_spelling() {
        for (url, expected) in [
            ("https://g.example", "https://g.example"),
            ("HTTPS://G.Example:443//", "https://g.example"),
            ("http://127.0.0.1:80/a/B/", "http://127.0.0.1/a/B"),
            ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ] {
            assert_eq!(url.parse::<BaseUrl>().map(|url| url.text), Ok(expected.into()));
        }
        for url in [
            "g.example",
            "ftp://g.example",
            "https://",
            "https:///x",
            "https://me:secret@g.example",
            "https://g.example/?q",
            "https://g.example/#f",
            "https://g.example/a b",
            "https://g.example\r\nx: y",
        ] {
            assert!(url.parse::<BaseUrl>().is_err(), "{url}");
        }
    }

    #[test]
    fn http_must_be_allowed() {
        let url: BaseUrl = "HTTP://localhost".parse().expect("a URL");
        assert!(url.check_scheme(false).is_err());
        assert!(url.check_scheme(true).is_ok());
    }
}
