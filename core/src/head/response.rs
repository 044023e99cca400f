//! The head of a response (spec section 6.2).

use super::EXCHANGE_ID_LEN;
use super::headers::{Direction, Headers};
use super::request::Tier;
use super::tlv::{Reader, Writer, array, is_visible, text, unknown};
use crate::error::{Malformed, Misuse};
use crate::time::UnixTime;

const STATUS: u8 = 0x01;
const CONTENT_TYPE: u8 = 0x02;
const EXCHANGE_ID: u8 = 0x03;
const RETRY_AFTER: u8 = 0x04;
const MEMORY_PROTECTION: u8 = 0x05;
const PROCESSED_AT: u8 = 0x06;
const TIER: u8 = 0x07;
const HEADERS: u8 = 0x08;

const LOCKING: u8 = 1;
const ZEROING: u8 = 2;
const NO_CORE_DUMPS: u8 = 4;

/// What a gateway says of its own memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryProtection<'a> {
    /// Secrets are locked into memory.
    pub memory_locking: bool,
    /// Secrets are wiped after use.
    pub secure_zeroing: bool,
    /// Secrets are kept out of core dumps.
    pub core_dump_prevention: bool,
    /// The operating system, such as `linux`; at most 32 bytes.
    pub platform: &'a str,
}

/// The head of a response, borrowed from wherever its parts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseHead<'a> {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// The media type of the body.
    pub content_type: Option<&'a str>,
    /// That of the request.
    pub exchange_id: [u8; EXCHANGE_ID_LEN],
    /// Seconds to wait before a retry.
    pub retry_after: Option<u32>,
    /// The gateway's memory.
    pub memory_protection: Option<MemoryProtection<'a>>,
    /// When the gateway had the answer.
    pub processed_at: Option<UnixTime>,
    /// The protection given.
    pub tier: Option<Tier>,
    /// Allow-listed header fields.
    pub headers: Headers<'a>,
}

impl<'a> ResponseHead<'a> {
    /// A head with the fields that every response has.
    pub fn new(status: u16, exchange_id: [u8; EXCHANGE_ID_LEN]) -> Self {
        Self {
            status,
            content_type: None,
            exchange_id,
            retry_after: None,
            memory_protection: None,
            processed_at: None,
            tier: None,
            headers: Headers::default(),
        }
    }

    /// Writes the content of HEAD and returns its length.
    ///
    /// # Errors
    /// [`Misuse::Head`] names a field that breaks the rules; [`Misuse::OutputTooSmall`]. What was written then is not a HEAD.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Misuse> {
        if !(200..=599).contains(&self.status) {
            return Err(Misuse::Head("status"));
        }
        if self
            .content_type
            .is_some_and(|value| text(value.as_bytes(), 256, "").is_err())
        {
            return Err(Misuse::Head("content type"));
        }
        if !self.headers.fit(Direction::Response) {
            return Err(Misuse::Head("headers"));
        }
        let mut writer = Writer::new(out);
        writer.field(STATUS, &self.status.to_be_bytes());
        if let Some(value) = self.content_type {
            writer.field(CONTENT_TYPE, value.as_bytes());
        }
        writer.field(EXCHANGE_ID, &self.exchange_id);
        if let Some(seconds) = self.retry_after {
            writer.field(RETRY_AFTER, &seconds.to_be_bytes());
        }
        if let Some(memory) = self.memory_protection {
            let platform = memory.platform.as_bytes();
            if platform.len() > 32 || !platform.iter().all(u8::is_ascii_graphic) {
                return Err(Misuse::Head("memory protection"));
            }
            let mut value = [0; 33];
            value[0] = if memory.memory_locking { LOCKING } else { 0 }
                | if memory.secure_zeroing { ZEROING } else { 0 }
                | if memory.core_dump_prevention {
                    NO_CORE_DUMPS
                } else {
                    0
                };
            value[1..=platform.len()].copy_from_slice(platform);
            writer.field(MEMORY_PROTECTION, &value[..=platform.len()]);
        }
        if let Some(time) = self.processed_at {
            writer.field(PROCESSED_AT, &time.as_millis().to_be_bytes());
        }
        if let Some(tier) = self.tier {
            writer.field(TIER, tier.as_str().as_bytes());
        }
        if !self.headers.is_empty() {
            writer.field(HEADERS, self.headers.as_bytes());
        }
        writer.finish()
    }

    /// Reads the content of HEAD strictly (HEAD-1 to HEAD-4, HEAD-7).
    ///
    /// # Errors
    /// [`Malformed::Head`] names the field.
    pub fn decode(content: &'a [u8]) -> Result<Self, Malformed> {
        let mut head = Self::new(0, [0; EXCHANGE_ID_LEN]);
        let mut has_id = false;
        let mut reader = Reader::new(content);
        while let Some((tag, value)) = reader.next()? {
            match tag {
                STATUS => head.status = u16::from_be_bytes(array(value, "status")?),
                CONTENT_TYPE => head.content_type = Some(text(value, 256, "content type")?),
                EXCHANGE_ID => {
                    head.exchange_id = array(value, "exchange id")?;
                    has_id = true;
                }
                RETRY_AFTER => {
                    head.retry_after = Some(u32::from_be_bytes(array(value, "retry after")?));
                }
                MEMORY_PROTECTION => head.memory_protection = Some(memory_protection(value)?),
                PROCESSED_AT => {
                    head.processed_at = Some(UnixTime::from_millis(u64::from_be_bytes(array(
                        value,
                        "processed at",
                    )?)));
                }
                TIER => head.tier = Some(Tier::decode(value)?),
                HEADERS => head.headers = Headers::parse(value, Direction::Response)?,
                other => unknown(other)?,
            }
        }
        if !(200..=599).contains(&head.status) {
            return Err(Malformed::Head("status"));
        }
        if !has_id {
            return Err(Malformed::Head("missing"));
        }
        Ok(head)
    }
}

fn memory_protection(value: &[u8]) -> Result<MemoryProtection<'_>, Malformed> {
    let malformed = Malformed::Head("memory protection");
    let (&flags, platform) = value.split_first().ok_or(malformed)?;
    if flags & !(LOCKING | ZEROING | NO_CORE_DUMPS) != 0
        || !(platform.is_empty() || is_visible(platform, 32))
    {
        return Err(malformed);
    }
    Ok(MemoryProtection {
        memory_locking: flags & LOCKING != 0,
        secure_zeroing: flags & ZEROING != 0,
        core_dump_prevention: flags & NO_CORE_DUMPS != 0,
        platform: str::from_utf8(platform).map_err(|_| malformed)?,
    })
}
