//! Where a gateway is, for adapters that open connections themselves.
#![cfg_attr(not(feature = "_http1"), allow(dead_code))] // without HTTP there is only the stream that is there already

#[cfg(feature = "_http1")]
use alloc::format;
use alloc::string::String;

#[cfg(feature = "_http1")]
use crate::error::Error;

/// How frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// As the bodies of HTTP/1.1.
    Http,
    /// One after another, with nothing around them (spec section 13).
    Raw,
}

/// A base URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) wire: Wire,
    pub(crate) tls: bool,
    /// A name or an IP address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The `host` field of a request.
    pub(crate) authority: String,
    /// What stands before the paths of the protocol, without a slash at its end.
    pub(crate) path: String,
}

#[cfg(feature = "_http1")]
impl Address {
    /// Takes a URL apart that was found to be one, its scheme in lower case.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let wire = match scheme {
            "http" | "https" => Wire::Http,
            _ => Wire::Raw,
        };
        let unreadable = || Error::config("the base URL needs a host, and a port as a number");
        // An IPv6 address stands in brackets, because of its colons.
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(unreadable)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match (port.strip_prefix(':'), scheme) {
            (Some(port), _) => port.parse().map_err(|_| unreadable())?,
            (None, _) if !port.is_empty() => return Err(unreadable()),
            (None, "https") => 443,
            (None, "http") => 80,
            (None, _) => {
                return Err(Error::config(
                    "the base URL of a raw stream needs a port, such as tls://gateway.example:8443",
                ));
            }
        };
        if host.is_empty() {
            return Err(unreadable());
        }
        if wire == Wire::Raw && !path.is_empty() {
            return Err(Error::config("the base URL of a raw stream has no path"));
        }
        Ok(Self {
            wire,
            tls: matches!(scheme, "https" | "tls"),
            host: host.into(),
            port,
            authority: authority.into(),
            path: path.into(),
        })
    }

    /// The path of a request, under the base URL.
    pub(crate) fn path_of(&self, path: &str) -> String {
        format!("{}{path}", self.path)
    }
}

#[cfg(all(test, feature = "_http1"))]
mod tests {
    use super::{Address, Wire};

    #[test]
    fn addresses() {
        for (url, wire, tls, host, port, path) in [
            ("https://g.example", Wire::Http, true, "g.example", 443, ""),
            (
                "http://g.example/a",
                Wire::Http,
                false,
                "g.example",
                80,
                "/a",
            ),
            ("http://[::1]:8080", Wire::Http, false, "::1", 8080, ""),
            ("https://[::1]", Wire::Http, true, "::1", 443, ""),
            (
                "tcp://127.0.0.1:7000",
                Wire::Raw,
                false,
                "127.0.0.1",
                7000,
                "",
            ),
            ("tls://g.example:1", Wire::Raw, true, "g.example", 1, ""),
        ] {
            let address = Address::parse(url).expect(url);
            assert_eq!((address.wire, address.tls), (wire, tls), "{url}");
            assert_eq!((address.host.as_str(), address.port), (host, port), "{url}");
            assert_eq!(address.path, path, "{url}");
        }
        for url in [
            "tls://g.example",
            "tls://g.example:1/path",
            "https://:1",
            "https://[::1",
            "https://[::1]x",
            "https://g.example:",
            "https://g.example:x",
            "https://g.example:70000",
        ] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }
}
