//! What answers behind the gateway: the scenario's own code, on any runtime.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_channel::{mpsc, oneshot};
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{Stream, StreamExt, iter};
use sealwire::core::ErrorCode;
use sealwire::core::exchange::ReceivedRequest;
use sealwire::core::head::Tier;
use sealwire::server::{Handler, Reply, ReplyBody};

use super::{CHAT, GUARD, bytes, delta, json};

/// A request as it reached the model.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// The field with the API key.
    pub authorization: Option<String>,
    /// The protection asked for.
    pub tier: Option<Tier>,
    /// The same in every try of one request.
    pub idempotency_key: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl From<ReceivedRequest> for Asked {
    fn from(request: ReceivedRequest) -> Self {
        let head = request.head();
        Self {
            method: head.method.into(),
            path: head.path.into(),
            content_type: head.content_type.map(Into::into),
            authorization: head.authorization.map(Into::into),
            tier: head.tier,
            idempotency_key: head.idempotency_key.map(Into::into),
            body: request.body().expose().into(),
        }
    }
}

type Answering = BoxFuture<'static, Result<Reply, ErrorCode>>;

/// What answers.
#[derive(Clone)]
pub struct Model(Arc<dyn Fn(Asked) -> Answering + Send + Sync>);

impl Model {
    /// One that takes its time.
    pub fn new<F>(answer: impl Fn(Asked) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Reply, ErrorCode>> + Send + 'static,
    {
        Self(Arc::new(move |asked| Box::pin(answer(asked))))
    }

    /// Answers.
    pub fn answer(&self, asked: Asked) -> Answering {
        (self.0)(asked)
    }
}

impl Handler for Model {
    async fn handle(&self, request: ReceivedRequest) -> Result<Reply, ErrorCode> {
        self.answer(request.into()).await
    }
}

/// A model that answers at once.
pub fn model(answer: impl Fn(Asked) -> Result<Reply, ErrorCode> + Send + Sync + 'static) -> Model {
    Model::new(move |asked| ready(answer(asked)))
}

/// A model that always says the same, whole.
pub fn whole() -> Model {
    model(|_| Ok(json(200, CHAT)))
}

/// An answer that is streamed.
pub fn event_stream(
    pieces: impl Stream<Item = Result<Vec<u8>, ErrorCode>> + Send + 'static,
) -> Reply {
    let pieces = pieces.map(|piece| piece.map(|piece| bytes(&piece)));
    Reply::new(
        200,
        "text/event-stream",
        ReplyBody::Stream(Box::pin(pieces)),
    )
}

/// These pieces, with time between them for each to leave by itself.
pub fn apart(
    pieces: impl IntoIterator<Item = Vec<u8>, IntoIter: Send + 'static>,
) -> impl Stream<Item = Result<Vec<u8>, ErrorCode>> + Send + 'static {
    iter(pieces).then(async |piece| {
        for _ in 0..3 {
            let mut yielded = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut yielded, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
        Ok(piece)
    })
}

/// A model that streams what the test feeds it, to one request, and that end of it which the test holds.
pub fn fed() -> (Model, Feed) {
    let (pieces, receiver) = mpsc::unbounded();
    let (gone, is_gone) = channel();
    let source = Mutex::new(Some(Fed {
        pieces: receiver,
        _gone: Gone(gone),
    }));
    let model = model(move |_| {
        let source = source.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(event_stream(source.expect("asked once")))
    });
    let feed = Feed {
        pieces: Some(pieces),
        is_gone,
    };
    (model, feed)
}

struct Fed {
    pieces: mpsc::UnboundedReceiver<Result<Vec<u8>, ErrorCode>>,
    _gone: Gone,
}

impl Stream for Fed {
    type Item = Result<Vec<u8>, ErrorCode>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_next_unpin(cx)
    }
}

/// Tells when it is dropped, and with it what holds it.
pub struct Gone(pub Sender<()>);

impl Drop for Gone {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.send(());
    }
}

/// The test's end of a model that [`fed`] made.
pub struct Feed {
    pieces: Option<mpsc::UnboundedSender<Result<Vec<u8>, ErrorCode>>>,
    is_gone: Receiver<()>,
}

impl Feed {
    /// The model says this next.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn say(&self, text: &str) {
        self.send(Ok(delta(text)));
    }

    /// The model's next piece.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn send(&self, piece: Result<Vec<u8>, ErrorCode>) {
        let pieces = self.pieces.as_ref().expect("not finished");
        pieces.unbounded_send(piece).expect("somebody listens");
    }

    /// The model has said everything.
    pub fn finish(&mut self) {
        self.pieces = None;
    }

    /// The model says this again and again, until the gateway has let go of its stream.
    ///
    /// # Panics
    /// If it never does.
    pub fn say_until_dropped(&self, text: &str) {
        let begun = Instant::now();
        while self
            .is_gone
            .recv_timeout(Duration::from_millis(20))
            .is_err()
        {
            assert!(begun.elapsed() < GUARD, "the gateway lets go of the model");
            let pieces = self.pieces.as_ref().expect("not finished");
            // Gone since.
            let _ = pieces.unbounded_send(Ok(delta(text)));
        }
    }

    /// Waits until the gateway has let go of the model's stream.
    ///
    /// # Panics
    /// If it never does.
    pub fn wait_until_dropped(&self) {
        self.is_gone
            .recv_timeout(GUARD)
            .expect("the gateway lets go of the model");
    }
}

/// Opens when enough have come to it.
pub struct Gate {
    wanted: usize,
    come: AtomicUsize,
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Gate {
    /// Opens when this many wait before it.
    pub const fn new(wanted: usize) -> Self {
        Self {
            wanted,
            come: AtomicUsize::new(0),
            waiting: Mutex::new(Vec::new()),
        }
    }

    /// Waits for it to open.
    pub async fn pass(&self) {
        let opened = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if self.come.fetch_add(1, Ordering::SeqCst) + 1 >= self.wanted {
                waiting.clear();
                return;
            }
            let (open, opened) = oneshot::channel();
            waiting.push(open);
            opened
        };
        // Opening it drops the other end.
        let _ = opened.await;
    }

    /// How many have come to it.
    pub fn come(&self) -> usize {
        self.come.load(Ordering::SeqCst)
    }
}
