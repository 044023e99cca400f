//! A request as a client gives it: kept by the exchange, handed back for a retry.

use alloc::string::String;
use alloc::vec::Vec;

use sealwire_memlock::SecureBytes;

use crate::error::Misuse;
use crate::head::{Direction, EXCHANGE_ID_LEN, HeadersBuilder, RequestHead, Tier};
use crate::time::UnixTime;

/// Bytes for allow-listed header fields.
const HEADERS_ROOM: usize = 4096;

/// One request: method, path, secrets and body. The body and the authorization stay in secure memory.
#[non_exhaustive]
pub struct Request {
    /// Upper-case letters, such as `POST`.
    pub method: String,
    /// Origin form, such as `/v1/chat/completions`.
    pub path: String,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// The whole value of the authorization field, such as `Bearer ...`.
    pub authorization: Option<SecureBytes>,
    /// The protection asked for.
    pub tier: Option<Tier>,
    /// Kept over retries, so that the gateway runs the request once.
    pub idempotency_key: Option<String>,
    /// Allow-listed header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: SecureBytes,
}

impl Request {
    /// A request with a JSON body.
    pub fn new(method: impl Into<String>, path: impl Into<String>, body: SecureBytes) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            content_type: Some(String::from("application/json")),
            authorization: None,
            tier: None,
            idempotency_key: None,
            headers: Vec::new(),
            body,
        }
    }

    /// Writes the content of HEAD straight into `out`, which is secure memory.
    // Its room for header fields must not stand on the stack below the key agreement.
    #[inline(never)]
    pub(super) fn encode_head(
        &self,
        exchange_id: [u8; EXCHANGE_ID_LEN],
        time: UnixTime,
        max_frame: usize,
        padding: Option<bool>,
        out: &mut [u8],
    ) -> Result<usize, Misuse> {
        let mut sorted: Vec<&(String, String)> = self.headers.iter().collect();
        sorted.sort();
        let mut room = [0; HEADERS_ROOM];
        let mut headers = HeadersBuilder::new(Direction::Request, &mut room);
        for (name, value) in sorted {
            headers.push(name, value).map_err(|misuse| match misuse {
                Misuse::OutputTooSmall { .. } => Misuse::TooLarge {
                    what: "header fields",
                    limit: HEADERS_ROOM as u64,
                },
                other => other,
            })?;
        }
        let authorization = match &self.authorization {
            Some(value) => {
                Some(str::from_utf8(value.expose()).map_err(|_| Misuse::Head("authorization"))?)
            }
            None => None,
        };
        let mut head = RequestHead::new(&self.method, &self.path, exchange_id, time);
        head.content_type = self.content_type.as_deref();
        head.authorization = authorization;
        head.tier = self.tier;
        head.idempotency_key = self.idempotency_key.as_deref();
        head.max_frame = max_frame as u32;
        head.padding = padding;
        head.headers = headers.finish();
        head.encode(out)
    }
}

/// What travels sealed (spec section 14) is not shown.
impl core::fmt::Debug for Request {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Request")
            .field("content_type", &self.content_type)
            .field("tier", &self.tier)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}
