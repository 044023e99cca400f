//! One request of HTTP/1.1 and its reply, by ureq-proto. Bodies are ciphertext, or the gateway's public keys.

use sealwire_core::Error as CoreError;
use ureq_proto::client::state::{RecvBody, RecvResponse, SendBody, SendRequest};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};
use ureq_proto::http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use ureq_proto::http::{Request, Response};
use ureq_proto::{BodyMode, Error as HttpError};

use super::BUFFER;
use crate::address::Address;
use crate::client::is_type;
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
            // A head that is whole, and none of a reply.
            let response = response.ok_or_else(|| HttpError::HttpParseFail("no status".into()))?;
            self.has_replied = true;
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

#[cfg(test)]
mod tests {
    use super::{Address, BUFFER, Http1, HttpError, MAX_HEAD};

    fn post() -> Http1 {
        let address = Address::parse("http://g.example:8080/base").expect("a URL");
        Http1::new(&address, false).expect("sendable")
    }

    /// Everything the request is on the wire, with this body.
    fn send(http: &mut Http1, mut body: &[u8]) -> Vec<u8> {
        let (mut wire, mut out) = (Vec::new(), vec![0; BUFFER]);
        loop {
            let count = http.transmit(&mut out, |room| {
                let count = body.len().min(room.len());
                room[..count].copy_from_slice(&body[..count]);
                body = &body[count..];
                Ok(count)
            });
            match count.expect("sendable") {
                0 => return wire,
                count => wire.extend_from_slice(&out[..count]),
            }
        }
    }

    /// The statuses and the body of a reply that arrives in pieces of this size.
    fn receive(
        http: &mut Http1,
        wire: &[u8],
        size: usize,
    ) -> Result<(Vec<u16>, Vec<u8>), HttpError> {
        let (mut statuses, mut body) = (Vec::new(), Vec::new());
        for piece in wire.chunks(size) {
            http.handle_input(piece, |reply| {
                statuses.push(reply.status);
                true
            })?;
            http.read(&mut body)?;
        }
        Ok((statuses, body))
    }

    /// HTTP-1, HTTP-4: nothing of the sealed request is in the head.
    #[test]
    fn the_request() {
        let wire = send(&mut post(), &[b'x'; 20_000]);
        let head = "POST /base/sealwire/v1 HTTP/1.1\r\n\
            transfer-encoding: chunked\r\n\
            content-type: application/sealwire\r\n\
            host: g.example:8080\r\n\r\n\
            2800\r\nx";
        assert!(
            wire.starts_with(head.as_bytes()),
            "{}",
            String::from_utf8_lossy(&wire[..200])
        );
        assert!(wire.ends_with(b"x\r\n0\r\n\r\n"));
        let address = Address::parse("https://g.example").expect("a URL");
        let mut http = Http1::new(&address, true).expect("sendable");
        let wire = send(&mut http, b"");
        let head = "GET /.well-known/sealwire-keys HTTP/1.1\r\nhost: g.example\r\n\r\n";
        assert_eq!(wire, head.as_bytes());
    }

    /// HTTP-5: however the end of a body is told, it is the same body, however it was cut.
    #[test]
    fn bodies_of_every_kind() {
        for (wire, is_reusable) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", true),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
                false,
            ),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", false),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\na: b\r\nc: d\r\n\r\n",
                true,
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
                true,
            ),
        ] {
            for size in 1..=wire.len() {
                let mut http = post();
                send(&mut http, b"body");
                let received = receive(&mut http, wire.as_bytes(), size).expect("a reply");
                assert_eq!(received, (vec![200], b"hello".to_vec()), "{size}: {wire}");
                assert!(http.is_over() && http.handle_eof());
                assert_eq!(http.is_reusable(), is_reusable, "{wire}");
            }
        }
    }

    /// Without a length the body ends with the connection, and only then.
    #[test]
    fn a_body_that_the_connection_ends() {
        let mut http = post();
        send(&mut http, b"");
        let wire = b"HTTP/1.1 200 OK\r\n\r\nhello";
        assert_eq!(receive(&mut http, wire, 3).expect("a reply").1, b"hello");
        assert!(!http.is_over() && http.handle_eof() && !http.is_reusable());

        let mut http = post();
        send(&mut http, b"");
        let wire = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello";
        receive(&mut http, wire, 3).expect("a reply");
        assert!(!http.handle_eof(), "it was cut off");
    }

    /// A reply that comes before the request has ended is read; one that only announces another does not stop the upload.
    #[test]
    fn a_reply_during_the_upload() {
        let mut http = post();
        let mut out = vec![0; BUFFER];
        http.transmit(&mut out, |_| Ok(0)).expect("the head");
        let announced = receive(&mut http, b"HTTP/1.1 100 Continue\r\n\r\n", 7).expect("skipped");
        assert_eq!(announced, (vec![], vec![]));
        let count = http.transmit(&mut out, |room| {
            room[..4].copy_from_slice(b"body");
            Ok(4)
        });
        assert_eq!(&out[..count.expect("goes on")], b"4\r\nbody\r\n");
        let wire = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
        let received = receive(&mut http, wire, 5).expect("a reply");
        assert_eq!(received, (vec![413], b"no".to_vec()));
        assert_eq!(http.transmit(&mut out, |_| Ok(4)).expect("stopped"), 0);
        assert!(http.is_over() && !http.is_reusable(), "the request was cut");
    }

    /// What follows a reply belongs to nothing that was asked.
    #[test]
    fn bytes_after_a_reply() {
        let mut http = post();
        send(&mut http, b"");
        let wire = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi!";
        assert_eq!(receive(&mut http, wire, 100).expect("a reply").1, b"hi");
        assert!(http.is_over() && !http.is_reusable());
    }

    #[test]
    fn what_has_no_end_is_bounded() {
        let mut http = post();
        send(&mut http, b"");
        let endless = "HTTP/1.1 200 OK\r\n".to_owned() + &"x: y\r\n".repeat(MAX_HEAD);
        assert!(receive(&mut http, endless.as_bytes(), 1000).is_err());
        for line in [
            "5".repeat(MAX_HEAD + 1000),
            "0\r\n".to_owned() + &"x".repeat(MAX_HEAD + 1000),
        ] {
            let mut http = post();
            send(&mut http, b"");
            let wire = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned() + &line;
            assert!(receive(&mut http, wire.as_bytes(), 1000).is_err());
        }
    }

    #[test]
    fn garbage() {
        for wire in [
            "garbage\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ] {
            for size in 1..=wire.len() {
                let mut http = post();
                send(&mut http, b"");
                assert!(
                    receive(&mut http, wire.as_bytes(), size).is_err(),
                    "{wire:?}"
                );
            }
        }
    }
}
