//! One request of HTTP/1.1 and its reply, by ureq-proto. Bodies are ciphertext, or the gateway's public keys.

use sealwire_core::Error as CoreError;
use ureq_proto::client::state::{RecvBody, RecvResponse, SendBody, SendRequest};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};
use ureq_proto::http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use ureq_proto::http::{Request, Response};
use ureq_proto::{BodyMode, Error as HttpError};

use super::BUFFER;
use crate::address::Address;
use crate::answer::is_type;
use crate::client::retry_after;
use crate::error::{Cause, Error};

/// The largest key set read, in bytes.
pub(super) const MAX_KEY_SET: usize = 256 * 1024;
/// The largest head of a reply, and the longest line between chunks, in bytes.
const MAX_HEAD: usize = 32 * 1024;
/// Body bytes in one chunk of a request; ureq-proto's own limit.
const CHUNK: usize = 10 * 1024;

/// One request and its reply.
pub(super) struct Http1 {
    stage: Stage,
    is_fetch: bool,
    has_replied: bool,
    /// The request was not sent to its end, so that no other can follow it.
    is_cut: bool,
    /// What arrived and has not been understood yet.
    input: Vec<u8>,
    /// How much of it is known to hold no end of a head.
    scanned: usize,
    sealed: Vec<u8>,
}

enum Stage {
    Request(Call<SendRequest>),
    Upload(Call<SendBody>),
    Reply(Call<RecvResponse>),
    Body(Call<RecvBody>),
    Over { may_carry_on: bool },
}

/// The head of a reply, as far as the session asks.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) retry_after: Option<u32>,
}

impl Reply {
    /// HTTP-2, HTTP-3.
    pub(super) fn is_expected(&self, is_fetch: bool) -> bool {
        let expected = match is_fetch {
            true => "application/json",
            false => crate::MEDIA_TYPE,
        };
        let found = self.content_type.as_deref();
        self.status == 200 && found.is_some_and(|found| is_type(found, expected))
    }
}

impl From<Response<()>> for Reply {
    fn from(response: Response<()>) -> Self {
        let field = |name| response.headers().get(name)?.to_str().ok();
        Self {
            status: response.status().as_u16(),
            content_type: field(CONTENT_TYPE).map(Into::into),
            retry_after: field(RETRY_AFTER).and_then(retry_after),
        }
    }
}

impl Http1 {
    /// HTTP-1: `GET` for the keys, `POST` for anything else.
    pub(super) fn new(address: &Address, is_fetch: bool) -> Result<Self, Error> {
        let request = match is_fetch {
            true => Request::get(address.path_of(crate::KEYS_PATH)),
            false => Request::post(address.path_of(crate::SEND_PATH))
                .header(CONTENT_TYPE, crate::MEDIA_TYPE),
        };
        let request = request.header(HOST, &address.authority).body(());
        let call = request
            .map_err(Cause::from)
            .and_then(|request| Call::new(request).map_err(Into::into))
            .map_err(|error| Error::config("the base URL cannot be read").because(Some(error)))?;
        Ok(Self {
            stage: Stage::Request(call.proceed()),
            is_fetch,
            has_replied: false,
            is_cut: false,
            input: Vec::new(),
            scanned: 0,
            sealed: Vec::new(),
        })
    }

    pub(super) fn is_fetch(&self) -> bool {
        self.is_fetch
    }

    pub(super) fn has_replied(&self) -> bool {
        self.has_replied
    }

    /// Whether the reply has ended.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over { .. })
    }

    /// Whether the connection may carry another request.
    pub(super) fn is_reusable(&self) -> bool {
        matches!(self.stage, Stage::Over { may_carry_on: true })
            && !self.is_cut
            && self.input.is_empty()
    }

    /// Writes what comes next into `out`, which holds [`BUFFER`] bytes; the body comes from `seal`. 0 once all was written.
    pub(super) fn transmit(
        &mut self,
        out: &mut [u8],
        mut seal: impl FnMut(&mut [u8]) -> Result<usize, CoreError>,
    ) -> Result<usize, Error> {
        debug_assert!(out.len() >= BUFFER, "a chunk and what is around it");
        let mut written = 0;
        while !self.is_cut && written == 0 {
            match &mut self.stage {
                Stage::Request(call) => written = call.write(out).map_err(unsendable)?,
                Stage::Upload(call) => {
                    self.sealed.resize(CHUNK, 0);
                    let sealed = seal(&mut self.sealed)?;
                    // Without a byte in it, this writes the end of the body.
                    let body = &self.sealed[..sealed];
                    (_, written) = call.write(body, out).map_err(unsendable)?;
                }
                _ => break,
            }
            self.proceed().map_err(unsendable)?;
        }
        Ok(written)
    }

    /// On to the next stage of the request, if this one has ended.
    fn proceed(&mut self) -> Result<(), HttpError> {
        let may_carry_on = false;
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over { may_carry_on }) {
            Stage::Request(call) if call.can_proceed() => match call.proceed()? {
                Some(SendRequestResult::SendBody(call)) => Stage::Upload(call),
                Some(SendRequestResult::RecvResponse(call)) => Stage::Reply(call),
                // There is no `expect` in our requests.
                _ => Stage::Over { may_carry_on },
            },
            Stage::Upload(call) if call.can_proceed() => match call.proceed() {
                Some(call) => Stage::Reply(call),
                None => Stage::Over { may_carry_on },
            },
            other => other,
        };
        Ok(())
    }

    /// The rest of the request will not be sent: its peer does not take it, or has replied already.
    pub(super) fn stop_sending(&mut self) {
        self.is_cut = true;
    }

    /// Bytes arrived. `show` is given the head of the reply and says whether its body is worth reading.
    pub(super) fn handle_input(
        &mut self,
        bytes: &[u8],
        mut show: impl FnMut(Reply) -> bool,
    ) -> Result<(), HttpError> {
        self.input.extend_from_slice(bytes);
        while !self.has_replied {
            let Some(end) = self.head_end()? else {
                return Ok(());
            };
            // A reply of a status from 100 on announces another, whatever has been sent so far; 101 does not.
            let status = self
                .input
                .strip_prefix(b"HTTP/1.")
                .and_then(|rest| rest.get(2..5));
            if status.is_some_and(|status| status[0] == b'1' && status != b"101") {
                self.input.drain(..end);
                continue;
            }
            if !self.skip_request()? {
                return Ok(());
            }
            let Stage::Reply(call) = &mut self.stage else {
                return Ok(());
            };
            let (used, response) = call.try_response(&self.input[..end], false)?;
            self.input.drain(..used);
            self.has_replied = true;
            let Some(response) = response else {
                return Ok(());
            };
            self.proceed_to_body();
            if !show(response.into()) {
                self.stage = Stage::Over {
                    may_carry_on: false,
                };
            }
        }
        Ok(())
    }

    /// How long the head is, once it is there.
    fn head_end(&mut self) -> Result<Option<usize>, HttpError> {
        let from = self.scanned.saturating_sub(3);
        let found = self.input[from..]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        self.scanned = match found {
            Some(_) => 0,
            None => self.input.len(),
        };
        match found {
            None if self.input.len() > MAX_HEAD => Err(HttpError::HttpParseTooManyHeaders),
            found => Ok(found.map(|at| from + at + 4)),
        }
    }

    /// A reply may come before the request has ended: what is left of it is written to nowhere.
    fn skip_request(&mut self) -> Result<bool, HttpError> {
        let mut nowhere = [0; 1024];
        loop {
            match &mut self.stage {
                Stage::Request(call) => drop(call.write(&mut nowhere)?),
                Stage::Upload(call) => drop(call.write(&[], &mut nowhere)?),
                Stage::Reply(_) => return Ok(true),
                _ => return Ok(false),
            }
            self.is_cut = true;
            self.proceed()?;
        }
    }

    fn proceed_to_body(&mut self) {
        let may_carry_on = false;
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over { may_carry_on }) {
            Stage::Reply(call) => match call.proceed() {
                Some(RecvResponseResult::RecvBody(call)) => Stage::Body(call),
                Some(RecvResponseResult::Cleanup(call)) => Stage::Over {
                    may_carry_on: !call.must_close_connection(),
                },
                // A redirect is not followed (HTTP-4).
                _ => Stage::Over { may_carry_on },
            },
            other => other,
        };
    }

    /// Adds what there is of the reply's body to `body`.
    pub(super) fn read(&mut self, body: &mut Vec<u8>) -> Result<(), HttpError> {
        let Stage::Body(call) = &mut self.stage else {
            return Ok(());
        };
        let start = body.len();
        body.resize(start + self.input.len(), 0);
        let (mut used, mut written) = (0, start);
        let result = loop {
            match call.read(&self.input[used..], &mut body[written..]) {
                Ok((0, 0)) => break Ok(()),
                Ok((more_used, more_written)) => {
                    used += more_used;
                    written += more_written;
                }
                Err(error) => break Err(error),
            }
        };
        body.truncate(written);
        self.input.drain(..used);
        result?;
        if call.body_mode() == BodyMode::CloseDelimited || !call.can_proceed() {
            // What is left is the beginning of a line between chunks.
            return match self.input.len() > MAX_HEAD {
                true => Err(HttpError::ChunkExpectedCrLf),
                false => Ok(()),
            };
        }
        let may_carry_on = false;
        if let Stage::Body(call) = std::mem::replace(&mut self.stage, Stage::Over { may_carry_on })
            && let Some(RecvBodyResult::Cleanup(call)) = call.proceed()
        {
            self.stage = Stage::Over {
                may_carry_on: !call.must_close_connection(),
            };
        }
        Ok(())
    }

    /// Nothing more arrives. True if that is how the reply was to end.
    pub(super) fn handle_eof(&self) -> bool {
        match &self.stage {
            Stage::Over { .. } => true,
            Stage::Body(call) => call.body_mode() == BodyMode::CloseDelimited,
            _ => false,
        }
    }
}

/// ureq-proto does not take what we give it; for a request of ours there is no reason that it should not.
fn unsendable(error: HttpError) -> Error {
    Error::config("the request cannot be written for HTTP").because(Some(error.into()))
}
