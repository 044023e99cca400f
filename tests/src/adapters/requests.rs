//! Plain requests of `http` through the client's layer, whose responses are plain ones: what is in them is nobody's judgement
//! but the caller's.

use ::tower::ServiceExt;
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Request as HttpRequest, Response};
use sealwire::chat::{ChatRequest, SseParser};
use sealwire::core::exchange::Request;
use sealwire::core::keys::{KeySet, Pin};
use sealwire::hyper::{AnswerBody, SecureChatCompletion};
use sealwire::memlock::SecureBytes;
use sealwire::{Error, Metadata};

use super::client::client_of_futures;
use super::hyper::Tokio;
use super::{Answer, Chunk, Client, Completion, MEMORY, Settings, bytes, tower};

/// The client.
///
/// # Errors
/// If it cannot be set up.
pub fn client(settings: &Settings) -> Result<Box<dyn Client>, Error> {
    Ok(Box::new(Plain(tower::layered(settings)?)))
}

/// A service of plain requests.
struct Plain(SecureChatCompletion);

client_of_futures!(Plain, Tokio);

/// An answer that arrives.
struct Arriving<T> {
    metadata: Metadata,
    items: BoxStream<'static, Result<T, Error>>,
}

impl<T> Arriving<T> {
    const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    async fn next(&mut self) -> Option<Result<T, Error>> {
        self.items.next().await
    }
}

impl Plain {
    async fn answer(
        &self,
        request: HttpRequest<Full<Bytes>>,
    ) -> Result<Response<AnswerBody>, Error> {
        let response = self.0.clone().oneshot(request).await?;
        same_as_sealed(&response);
        Ok(response)
    }

    async fn create(&self, request: &ChatRequest<'_>) -> Result<Completion, Error> {
        let body = request.to_json(&MEMORY)?;
        Ok(self.request("POST", CHATS, body).await?.into())
    }

    async fn stream(&self, request: &ChatRequest<'_>) -> Result<Arriving<Chunk>, Error> {
        let body = request.clone().stream(true).to_json(&MEMORY)?;
        let response = self
            .answer(plain(Request::new("POST", CHATS, body)))
            .await?;
        let metadata = metadata(&response);
        assert!(metadata.is_event_stream());
        Ok(Arriving {
            metadata,
            items: chunks(response.into_body()),
        })
    }

    async fn request(&self, method: &str, path: &str, body: SecureBytes) -> Result<Answer, Error> {
        let mut request = Request::new(method, path, body);
        if request.body.is_empty() {
            request.content_type = None;
        }
        let response = self.answer(plain(request)).await?;
        assert!(response.status().is_success(), "{}", response.status());
        Ok(Answer {
            metadata: metadata(&response),
            body: bytes(&response.into_body().collect().await?.to_bytes()),
        })
    }

    async fn send(&self, request: Request) -> Result<Arriving<SecureBytes>, Error> {
        let response = self.answer(plain(request)).await?;
        let metadata = metadata(&response);
        let frames = response.into_body().into_data_stream();
        let items = frames.map(|piece| piece.map(|piece| bytes(&piece))).boxed();
        Ok(Arriving { metadata, items })
    }

    async fn fetch_keys(&self) -> Result<KeySet, Error> {
        self.0.fetch_keys().await
    }

    fn gateway_pin(&self) -> Option<Pin> {
        self.0.gateway_pin()
    }
}

const CHATS: &str = "/v1/chat/completions";

/// The same request in the words of HTTP.
fn plain(request: Request) -> HttpRequest<Full<Bytes>> {
    let mut builder = HttpRequest::builder()
        .method(&*request.method)
        .uri(request.path);
    let own = [
        ("content-type", request.content_type),
        ("idempotency-key", request.idempotency_key),
    ];
    let own = own
        .into_iter()
        .filter_map(|(name, value)| Some((name.into(), value?)));
    for (name, value) in own.chain(request.headers) {
        builder = builder.header(name, value);
    }
    if let Some(value) = request.authorization {
        builder = builder.header(AUTHORIZATION, value.expose());
    }
    if let Some(tier) = request.tier {
        builder = builder.extension(tier);
    }
    let body = Full::new(Bytes::copy_from_slice(request.body.expose()));
    builder.body(body).expect("a request")
}

fn metadata<B>(response: &Response<B>) -> Metadata {
    let metadata = response.extensions().get::<Metadata>();
    metadata.expect("told with every response").clone()
}

/// What a response says in the words of HTTP is what was sealed.
fn same_as_sealed<B>(response: &Response<B>) {
    let metadata = metadata(response);
    assert_eq!(response.status(), metadata.status);
    let field = |name: &str| {
        Some(
            response
                .headers()
                .get(name)?
                .to_str()
                .expect("text")
                .to_owned(),
        )
    };
    assert_eq!(field(CONTENT_TYPE.as_str()), metadata.content_type);
    let retry_after = metadata.retry_after.map(|seconds| seconds.to_string());
    assert_eq!(field(RETRY_AFTER.as_str()), retry_after);
    for (name, value) in metadata.headers {
        assert_eq!(field(&name), Some(value));
    }
}

/// The chunks of a streamed chat, which a caller of plain requests finds in the body.
fn chunks(body: AnswerBody) -> BoxStream<'static, Result<Chunk, Error>> {
    let parser = SseParser::new(&MEMORY).expect("memory");
    let chunks = unfold(
        (body, parser, Bytes::new()),
        |(mut body, mut parser, mut piece)| async {
            loop {
                while !piece.is_empty() {
                    let taken = parser.handle_input(&piece).expect("events");
                    piece.advance(taken);
                    let event = parser.poll_event();
                    if let Some(event) = event.filter(|event| !event.is_done() && !event.is_empty())
                    {
                        let chunk = Chunk::copy_from(event.data());
                        return Some((Ok(chunk), (body, parser, piece)));
                    }
                }
                match body.frame().await? {
                    Ok(frame) => piece = frame.into_data().unwrap_or_default(),
                    Err(error) => return Some((Err(error), (body, parser, piece))),
                }
            }
        },
    );
    chunks.fuse().boxed()
}
