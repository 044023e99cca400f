//! The head of a request (spec section 6.1).

use super::EXCHANGE_ID_LEN;
use super::headers::{Direction, Headers};
use super::tlv::{Reader, Writer, array, is_visible, text, unknown};
use crate::error::{Malformed, Misuse};
use crate::frame::{LARGEST_FRAME, MIN_MAX_FRAME};
use crate::time::UnixTime;

const METHOD: u8 = 0x01;
const PATH: u8 = 0x02;
const CONTENT_TYPE: u8 = 0x03;
const AUTHORIZATION: u8 = 0x04;
const TIER: u8 = 0x05;
const EXCHANGE_ID: u8 = 0x06;
const IDEMPOTENCY_KEY: u8 = 0x07;
const TIME: u8 = 0x08;
const MAX_FRAME: u8 = 0x09;
const PADDING: u8 = 0x0a;
const HEADERS: u8 = 0x0b;

/// How well the machine that runs the model must be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// As the operator runs it.
    Standard,
    /// Hardened.
    High,
    /// With hardware attestation.
    Maximum,
}

impl Tier {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::High => "high",
            Self::Maximum => "maximum",
        }
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        [Self::Standard, Self::High, Self::Maximum]
            .into_iter()
            .find(|tier| tier.as_str().as_bytes() == value)
            .ok_or(Malformed::Head("tier"))
    }
}

/// The head of a request, borrowed from wherever its parts are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// Upper-case letters.
    pub method: &'a str,
    /// Origin form, with its query.
    pub path: &'a str,
    /// The media type of the body.
    pub content_type: Option<&'a str>,
    /// The whole value of the field: a secret.
    pub authorization: Option<&'a str>,
    /// The protection asked for.
    pub tier: Option<Tier>,
    /// Random; the response names it.
    pub exchange_id: [u8; EXCHANGE_ID_LEN],
    /// Kept over retries, so that a request runs once.
    pub idempotency_key: Option<&'a str>,
    /// The client's clock.
    pub time: UnixTime,
    /// The largest frame the client accepts, in bytes on the wire.
    pub max_frame: u32,
    /// Whether the response is to be padded; `None` leaves it to the gateway.
    pub padding: Option<bool>,
    /// Allow-listed header fields.
    pub headers: Headers<'a>,
}

impl<'a> RequestHead<'a> {
    /// A head with the fields that every request has; a client that accepts frames of the default size.
    pub fn new(
        method: &'a str,
        path: &'a str,
        exchange_id: [u8; EXCHANGE_ID_LEN],
        time: UnixTime,
    ) -> Self {
        Self {
            method,
            path,
            content_type: None,
            authorization: None,
            tier: None,
            exchange_id,
            idempotency_key: None,
            time,
            max_frame: crate::frame::DEFAULT_MAX_FRAME as u32,
            padding: None,
            headers: Headers::default(),
        }
    }

    /// Writes the content of HEAD and returns its length.
    ///
    /// # Errors
    /// [`Misuse::Head`] names a field that breaks the rules; [`Misuse::OutputTooSmall`]. What was written then is not a HEAD.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Misuse> {
        self.check().map_err(|malformed| match malformed {
            Malformed::Head(field) => Misuse::Head(field),
            _ => Misuse::Head("value"),
        })?;
        if !self.headers.fit(Direction::Request) {
            return Err(Misuse::Head("headers"));
        }
        let mut writer = Writer::new(out);
        writer.field(METHOD, self.method.as_bytes());
        writer.field(PATH, self.path.as_bytes());
        for (tag, value) in [
            (CONTENT_TYPE, self.content_type),
            (AUTHORIZATION, self.authorization),
        ] {
            if let Some(value) = value {
                writer.field(tag, value.as_bytes());
            }
        }
        if let Some(tier) = self.tier {
            writer.field(TIER, tier.as_str().as_bytes());
        }
        writer.field(EXCHANGE_ID, &self.exchange_id);
        if let Some(key) = self.idempotency_key {
            writer.field(IDEMPOTENCY_KEY, key.as_bytes());
        }
        writer.field(TIME, &self.time.as_millis().to_be_bytes());
        writer.field(MAX_FRAME, &self.max_frame.to_be_bytes());
        if let Some(padding) = self.padding {
            writer.field(PADDING, &[u8::from(padding)]);
        }
        if !self.headers.is_empty() {
            writer.field(HEADERS, self.headers.as_bytes());
        }
        writer.finish()
    }

    /// Reads the content of HEAD strictly (HEAD-1 to HEAD-5, HEAD-7).
    ///
    /// # Errors
    /// [`Malformed::Head`] names the field.
    pub fn decode(content: &'a [u8]) -> Result<Self, Malformed> {
        let mut head = Self::new("", "", [0; EXCHANGE_ID_LEN], UnixTime::UNKNOWN);
        let mut seen = [false; 4];
        let mut reader = Reader::new(content);
        while let Some((tag, value)) = reader.next()? {
            match tag {
                METHOD => {
                    head.method = text(value, 16, "method")?;
                    seen[0] = true;
                }
                PATH => head.path = text(value, 2048, "path")?,
                CONTENT_TYPE => head.content_type = Some(text(value, 256, "content type")?),
                AUTHORIZATION => head.authorization = Some(text(value, 8192, "authorization")?),
                TIER => head.tier = Some(Tier::decode(value)?),
                EXCHANGE_ID => {
                    head.exchange_id = array(value, "exchange id")?;
                    seen[1] = true;
                }
                IDEMPOTENCY_KEY => head.idempotency_key = Some(text(value, 64, "idempotency key")?),
                TIME => {
                    head.time = UnixTime::from_millis(u64::from_be_bytes(array(value, "time")?));
                    seen[2] = true;
                }
                MAX_FRAME => {
                    head.max_frame = u32::from_be_bytes(array(value, "max frame")?);
                    seen[3] = true;
                }
                PADDING => {
                    head.padding = Some(match value {
                        [0] => false,
                        [1] => true,
                        _ => return Err(Malformed::Head("padding")),
                    });
                }
                HEADERS => head.headers = Headers::parse(value, Direction::Request)?,
                other => unknown(other)?,
            }
        }
        // HEAD-4; an absent path fails its own check.
        if seen.contains(&false) {
            return Err(Malformed::Head("missing"));
        }
        head.check()?;
        Ok(head)
    }

    /// The rules that hold for both writing and reading.
    fn check(&self) -> Result<(), Malformed> {
        if self.method.is_empty()
            || self.method.len() > 16
            || !self.method.bytes().all(|b| b.is_ascii_uppercase())
        {
            return Err(Malformed::Head("method"));
        }
        check_path(self.path)?;
        for (value, max, field) in [
            (self.content_type, 256, "content type"),
            (self.authorization, 8192, "authorization"),
        ] {
            if let Some(value) = value {
                text(value.as_bytes(), max, field)?;
            }
        }
        if self
            .idempotency_key
            .is_some_and(|key| !is_visible(key.as_bytes(), 64))
        {
            return Err(Malformed::Head("idempotency key"));
        }
        if (self.max_frame as usize) < MIN_MAX_FRAME {
            return Err(Malformed::Head("max frame"));
        }
        Ok(())
    }

    /// The largest frame that may be sent in answer.
    pub fn response_frame_limit(&self) -> usize {
        (self.max_frame as usize).min(LARGEST_FRAME)
    }
}

/// HEAD-5.
fn check_path(path: &str) -> Result<(), Malformed> {
    let malformed = Err(Malformed::Head("path"));
    if !is_visible(path.as_bytes(), 2048)
        || !path.starts_with('/')
        || path.starts_with("//")
        || path.contains(['#', '\\'])
    {
        return malformed;
    }
    let before_query = path.split('?').next().unwrap_or(path);
    for segment in before_query.split('/') {
        // A segment of dots, plain or percent-encoded in any mixture, has nothing left but at most two dots.
        let mut dots = 0;
        let mut others = false;
        let mut rest = segment.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            let decoded = if byte == b'%' {
                let Some((&[high, low], after)) = rest.split_first_chunk::<2>() else {
                    return malformed;
                };
                let (Some(high), Some(low)) =
                    ((high as char).to_digit(16), (low as char).to_digit(16))
                else {
                    return malformed;
                };
                rest = after;
                (high * 16 + low) as u8
            } else {
                byte
            };
            if byte == b'%' && matches!(decoded, b'/' | b'\\' | 0) {
                return malformed;
            }
            if decoded == b'.' {
                dots += 1;
            } else {
                others = true;
            }
        }
        if !others && (dots == 1 || dots == 2) {
            return malformed;
        }
    }
    Ok(())
}

impl core::fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("content_type", &self.content_type)
            .field("authorization", &self.authorization.map(|_| "[REDACTED]"))
            .field("tier", &self.tier)
            .field("time", &self.time)
            .field("max_frame", &self.max_frame)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}
