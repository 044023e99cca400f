//! The handler of `serve`: forwards what was opened to an OpenAI-compatible server, and hands back what that answers.
//!
//! What passes through hyper on this hop lies in its buffers for a while; the global allocator wipes them when they are freed, which is when
//! the connection is closed: after each request.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    TRANSFER_ENCODING,
};
use hyper::http::response::Parts;
use hyper::{Request, Response, Version};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sealwire::server::{Handler, PieceStream, Reply, ReplyBody};
use sealwire_core::ErrorCode;
use sealwire_core::chat::json::Json;
use sealwire_core::exchange::ReceivedRequest;
use sealwire_core::head::Direction;
use sealwire_memlock::{SecureBytes, SecureMemory};
use tokio::time::timeout;

use crate::exit::Failure;
use crate::sse::EventSplitter;
use crate::url::BaseUrl;

/// What is served: everything an OpenAI-compatible server has, and none of what else may listen on its port.
const SERVED: &str = "/v1/";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A whole answer begins when the model is done; the client has its own, shorter or longer, patience.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(900);
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// The largest answer that is not streamed.
const LARGEST_ANSWER: usize = 64 << 20;
const EVENT_STREAM: &str = "text/event-stream";

/// The server behind the gateway.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Without the /v1 that every path begins with.
    base: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    memory: SecureMemory,
}

/// A body that hyper sends straight from secure memory.
struct Owned(SecureBytes);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

impl Upstream {
    pub(crate) fn new(url: &BaseUrl, memory: SecureMemory) -> Result<Self, Failure> {
        let tls = crate::tls::config(url)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let base = url.as_str();
        Ok(Self {
            base: base.strip_suffix("/v1").unwrap_or(base).to_owned(),
            // A connection kept for the next request would keep this one's API key in its buffer meanwhile.
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_max_idle_per_host(0)
                .build(connector),
            memory,
        })
    }

    /// The request as the upstream gets it: nothing of the client's but what is listed here.
    fn request(&self, received: ReceivedRequest) -> Result<Request<Full<Bytes>>, ErrorCode> {
        let head = received.head();
        if !head.path.starts_with(SERVED) {
            return Err(ErrorCode::Forbidden);
        }
        let mut request = Request::builder()
            .method(head.method)
            .uri(format!("{}{}", self.base, head.path));
        let listed = head.headers.iter();
        let fields = listed.chain(
            [
                (CONTENT_TYPE.as_str(), head.content_type),
                ("idempotency-key", head.idempotency_key),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
        );
        for (name, value) in fields {
            request = request.header(name, value);
        }
        if !head.headers.iter().any(|(name, _)| name == ACCEPT) {
            request = request.header(ACCEPT, "application/json, text/event-stream");
        }
        if let Some(authorization) = head.authorization {
            let mut value =
                HeaderValue::from_str(authorization).map_err(|_| ErrorCode::Malformed)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let body = Full::new(Bytes::from_owner(Owned(received.into_body())));
        request.body(body).map_err(|error| {
            // Section 6.1 allows paths that HTTP's types do not take: no upstream serves those.
            log::debug!("a request has a head that is none in HTTP: {error}");
            ErrorCode::Forbidden
        })
    }

    /// The reply to an answer that has begun.
    async fn reply(&self, answer: Response<Incoming>) -> Result<Reply, ErrorCode> {
        let (parts, body) = answer.into_parts();
        let content_type = text(&parts.headers, &CONTENT_TYPE);
        let open_ended = ends_with_connection(&parts, &body);
        let essence = content_type.as_deref().map_or("", essence);
        let body = match essence.eq_ignore_ascii_case(EVENT_STREAM) {
            true => ReplyBody::Stream(self.stream(body, open_ended)?),
            false => {
                let whole = self.whole(body).await?;
                if open_ended {
                    judge_open_ended(essence, whole.expose())?;
                }
                ReplyBody::Whole(whole)
            }
        };
        let mut reply = Reply::new(parts.status.as_u16(), "", body);
        reply.content_type = content_type;
        reply.retry_after = text(&parts.headers, &RETRY_AFTER).and_then(|value| value.parse().ok());
        reply.headers = listed(&parts.headers);
        Ok(reply)
    }

    async fn whole(&self, mut body: Incoming) -> Result<SecureBytes, ErrorCode> {
        let mut whole = self.memory.with_capacity(0).map_err(no_memory)?;
        while let Some(data) = next(&mut body).await? {
            if whole.len() + data.len() > LARGEST_ANSWER {
                log::warn!("an answer of the upstream was larger than {LARGEST_ANSWER} bytes");
                return Err(ErrorCode::Upstream);
            }
            whole.try_extend_from_slice(&data).map_err(no_memory)?;
        }
        Ok(whole)
    }

    /// One piece for each event, as soon as it has arrived.
    fn stream(&self, body: Incoming, open_ended: bool) -> Result<PieceStream, ErrorCode> {
        let splitter = EventSplitter::new(&self.memory).map_err(no_memory)?;
        let pieces = stream::unfold(Some((body, splitter)), move |state| async move {
            let (mut body, mut splitter) = state?;
            match piece(&mut body, &mut splitter, open_ended).await {
                Ok(Some(piece)) => Some((Ok(piece), Some((body, splitter)))),
                Ok(None) => None,
                Err(code) => Some((Err(code), None)),
            }
        });
        Ok(Box::pin(pieces))
    }
}

impl Handler for Upstream {
    async fn handle(&self, received: ReceivedRequest) -> Result<Reply, ErrorCode> {
        let request = self.request(received)?;
        let answer = timeout(FIRST_BYTE_TIMEOUT, self.client.request(request))
            .await
            .map_err(|_| ErrorCode::Timeout)?;
        match answer {
            Ok(answer) => self.reply(answer).await,
            Err(error) => {
                let (message, code) = match error.is_connect() {
                    true => ("cannot be reached", "upstream_unreachable"),
                    false => ("did not answer in HTTP", "upstream_failed"),
                };
                // The error is of connections and syntax; content is not in it.
                log::warn!("the upstream {message}: {}", chain(&error));
                self.bad_gateway(message, code)
            }
        }
    }
}

impl Upstream {
    /// A sealed 502 in the form that clients of such servers know.
    fn bad_gateway(&self, message: &str, code: &str) -> Result<Reply, ErrorCode> {
        let body = format!(
            r#"{{"error":{{"message":"the server behind the gateway {message}","type":"upstream_error","param":null,"code":"{code}"}}}}"#
        );
        let body = self.memory.copy_from(body.as_bytes()).map_err(no_memory)?;
        Ok(Reply::new(502, "application/json", ReplyBody::Whole(body)))
    }
}

/// The next event; none once the stream has ended as it should.
async fn piece(
    body: &mut Incoming,
    splitter: &mut EventSplitter,
    open_ended: bool,
) -> Result<Option<SecureBytes>, ErrorCode> {
    loop {
        if let Some(piece) = splitter.piece().map_err(no_memory)? {
            return Ok(Some(piece));
        }
        match next(body).await? {
            Some(data) => splitter.push(&data).map_err(no_memory)?,
            None => {
                let rest = splitter.end().map_err(|_| cut_off())?;
                let is_whole = !open_ended || splitter.is_done();
                return if is_whole { Ok(rest) } else { Err(cut_off()) };
            }
        }
    }
}

async fn next(body: &mut Incoming) -> Result<Option<Bytes>, ErrorCode> {
    loop {
        match timeout(IDLE_TIMEOUT, body.frame()).await {
            Err(_) => return Err(ErrorCode::Timeout),
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Ok(Some(Err(error))) => {
                log::warn!("an answer of the upstream broke off: {}", chain(&error));
                return Err(ErrorCode::Upstream);
            }
        }
    }
}

fn cut_off() -> ErrorCode {
    log::warn!("a streamed answer of the upstream ended before its end");
    ErrorCode::Upstream
}

fn no_memory(error: sealwire_memlock::MemoryError) -> ErrorCode {
    log::error!(
        "no secure memory for an answer: {error}; {}",
        error.remedy()
    );
    ErrorCode::Busy
}

/// A field of an answer, if it is text.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The fields that may travel to the client.
fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let names = headers.keys();
    names
        .filter(|name| Direction::Response.allows(name.as_str()))
        .filter_map(|name| Some((name.as_str().to_owned(), text(headers, name)?)))
        .collect()
}

/// A content type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Whether a body ends with its connection, which does not show whether it is whole. HTTP/2 tells the end of a body from a cut.
fn ends_with_connection(head: &Parts, body: &Incoming) -> bool {
    head.version < Version::HTTP_2
        && body.size_hint().exact().is_none()
        && !head.headers.contains_key(TRANSFER_ENCODING)
}

/// JSON that ended with its connection is passed on if it is whole; of other types nobody can tell.
fn judge_open_ended(essence: &str, body: &[u8]) -> Result<(), ErrorCode> {
    let essence = essence.to_ascii_lowercase();
    if essence != "application/json" && !essence.ends_with("+json") {
        log::warn!("an answer of the upstream ended with its connection: it may not be whole");
        return Ok(());
    }
    match Json::from_bytes(body) {
        Ok(_) => Ok(()),
        Err(error) => {
            log::warn!("an answer of the upstream ended with its connection, cut off: {error}");
            Err(ErrorCode::Upstream)
        }
    }
}

/// An error and what lies beneath it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use futures_util::StreamExt;
    use http_body_util::{Empty, StreamBody};
    use hyper::body::Frame;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::sync::Notify;

    use super::*;

    const EVENT: &[u8] = b"data: {}\n\n";

    /// What an upstream over HTTP/2 answers that streams an event and then, once that was seen, ends the stream or breaks it.
    async fn over_http2(breaks: bool, seen: &Arc<Notify>) -> Response<Incoming> {
        let seen = seen.clone();
        let answer = service_fn(move |_| {
            let seen = seen.clone();
            let end = stream::once(async move {
                seen.notified().await;
                match breaks {
                    true => Err(std::io::Error::other("on purpose")),
                    false => Ok(Frame::data(Bytes::new())),
                }
            });
            let event = stream::iter([Ok(Frame::data(Bytes::from_static(EVENT)))]);
            let answer = Response::builder().header(CONTENT_TYPE, EVENT_STREAM);
            let answer = answer.body(StreamBody::new(Box::pin(event.chain(end))));
            async { Ok::<_, Infallible>(answer.expect("a response")) }
        });
        let (ours, theirs) = tokio::io::duplex(4096);
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(server.serve_connection(TokioIo::new(theirs), answer));
        let begun =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(ours)).await;
        let (mut sender, connection) = begun.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        let request = Request::new(Empty::<Bytes>::new());
        sender.send_request(request).await.expect("answered")
    }

    /// The end of a stream of HTTP/2 is told from a cut: no `[DONE]` is needed.
    #[tokio::test]
    async fn http2_says_itself_whether_a_stream_is_whole() {
        let url = "http://127.0.0.1:1".parse().expect("a URL");
        let upstream = Upstream::new(&url, SecureMemory::default()).expect("set up");
        for breaks in [false, true] {
            let seen = Arc::new(Notify::new());
            let answer = over_http2(breaks, &seen).await;
            let reply = upstream.reply(answer).await.expect("begun");
            let ReplyBody::Stream(mut pieces) = reply.body else {
                panic!("not streamed");
            };
            let first = pieces.next().await.expect("a piece").expect("an event");
            assert_eq!(first.expose(), EVENT);
            seen.notify_one();
            let end = pieces.next().await.map(|end| end.expect_err("no event"));
            assert_eq!(end, breaks.then_some(ErrorCode::Upstream));
        }
    }
}
