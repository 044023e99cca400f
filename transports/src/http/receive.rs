//! Requests on their way in.

use std::pin::{Pin, pin};

use bytes::Buf;
use futures_channel::mpsc::{Receiver, Sender, channel};
use futures_util::future::{Either, select};
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;
use sealwire_core::exchange::{ReceivedRequest, ServerEvent, ServerExchange};
use sealwire_core::{Error as CoreError, ErrorCode, ServerState};
use sealwire_memlock::SecureBytes;

use crate::clock::unix_now;
use crate::server::{Asked, Reply, Sealed, Shared, unless_it_panics};

/// A request's body piece by piece, then `None` for its end. A channel that closes before that was aborted.
pub(super) type Pieces = Receiver<Option<SecureBytes>>;

/// A request that arrives as the body of an HTTP request.
struct Arrival<'a, H, B: Body> {
    shared: &'a Shared<H>,
    exchange: ServerExchange,
    body: Pin<Box<B>>,
    /// What of the body the exchange has not taken yet.
    data: Option<B::Data>,
    deadline: Pin<Box<dyn Sleep>>,
    ended: bool,
}

impl<'a, H, B: Body> Arrival<'a, H, B> {
    fn new(shared: &'a Shared<H>, exchange: ServerExchange, body: B) -> Self {
        Self {
            shared,
            exchange,
            body: Box::pin(body),
            data: None,
            deadline: TokioTimer::new().sleep(shared.request_deadline),
            ended: false,
        }
    }

    /// The next event; `None` once the request has ended, or the exchange has heard enough (ORDER-3).
    async fn next(&mut self) -> Option<ServerEvent> {
        loop {
            if let Some(event) = self.feed() {
                return Some(event);
            }
            if self.ended || self.exchange.state() == ServerState::Done {
                return None;
            }
            match select(self.body.as_mut().frame(), &mut self.deadline).await {
                Either::Left((Some(Ok(frame)), _)) => self.data = frame.into_data().ok(),
                // A request that broke off is answered too, in case its client still listens.
                Either::Left(_) => self.end(ServerExchange::handle_eof),
                Either::Right(_) => self.end(ServerExchange::handle_deadline),
            }
        }
    }

    fn end(&mut self, how: fn(&mut ServerExchange, sealwire_core::UnixTime)) {
        how(&mut self.exchange, unix_now());
        self.ended = true;
    }

    fn feed(&mut self) -> Option<ServerEvent> {
        while let Some(data) = self.data.as_mut().filter(Buf::has_remaining) {
            let (consumed, event) = self.shared.feed(&mut self.exchange, data.chunk());
            data.advance(consumed);
            if event.is_some() || consumed == 0 {
                return event;
            }
        }
        self.exchange.poll_event()
    }

    /// The last event, once there are no more.
    async fn last(&mut self, mut event: Option<ServerEvent>) -> Option<ServerEvent> {
        while let Some(next) = self.next().await {
            event = Some(next);
        }
        event
    }

    /// Gives the body out as it verifies, not faster than it is taken, and says how it ended. Nothing more is given out if nobody
    /// listens any more; the request still has to end.
    async fn give_out(&mut self, mut pieces: Sender<Option<SecureBytes>>) -> Option<ServerEvent> {
        loop {
            let taken = std::future::poll_fn(|cx| pieces.poll_ready(cx));
            if let Either::Right(_) = select(taken, &mut self.deadline).await {
                // Whoever takes the pieces takes too long, or never will.
                self.end(ServerExchange::handle_deadline);
                return self.next().await;
            }
            let piece = match self.next().await {
                Some(ServerEvent::Data) => self.exchange.take_data(),
                Some(ServerEvent::Request) => {
                    let _ = pieces.start_send(None);
                    return Some(ServerEvent::Request);
                }
                other => return other,
            };
            let Some(piece) = piece else {
                // Without memory the piece is lost, and the request with it.
                self.ended = true;
                return None;
            };
            let _ = pieces.start_send(Some(piece));
        }
    }
}

/// Reads a request to its end. It is whole if the event says so.
pub(crate) async fn receive<H, B: Body>(
    shared: &Shared<H>,
    body: B,
) -> Result<(ServerExchange, Option<ServerEvent>), CoreError> {
    let mut arrival = Arrival::new(shared, shared.exchange()?, body);
    let event = arrival.last(None).await;
    Ok((arrival.exchange, event))
}

/// Has a request answered by `handle` while it arrives (ORDER-2). What `handle` answers is kept back until the request has ended; if
/// that ends otherwise than it should, `handle` is dropped, and its pieces end with an abort.
pub(super) async fn answer_streamed<H, B: Body, T>(
    shared: &Shared<H>,
    body: B,
    handle: impl FnOnce(ReceivedRequest, Pieces) -> T,
) -> Result<Sealed, CoreError>
where
    T: Future<Output = Result<Reply, ErrorCode>>,
{
    let mut arrival = Arrival::new(shared, shared.exchange_as(true)?, body);
    let mut event = arrival.next().await;
    let request = match event {
        Some(ServerEvent::Head) => arrival.exchange.take_request(),
        _ => None,
    };
    let Some(request) = request else {
        let event = arrival.last(event).await;
        return shared.refused(arrival.exchange, event);
    };
    let asked = Asked::from(&request.head());
    let mut run = shared.begin(&request.head());
    let result = match run {
        Err(code) => Err(code),
        Ok(_) => {
            let (sender, pieces) = channel(0);
            let handler = pin!(unless_it_panics(async { handle(request, pieces).await }));
            let given = pin!(arrival.give_out(sender));
            match select(handler, given).await {
                Either::Left((result, given)) => {
                    event = given.await;
                    result
                }
                Either::Right((end, handler)) => {
                    event = end;
                    match event {
                        Some(ServerEvent::Request) => handler.await,
                        // What was begun ends here: the handler is dropped.
                        _ => Err(ErrorCode::Malformed),
                    }
                }
            }
        }
    };
    let event = arrival.last(event).await;
    if event == Some(ServerEvent::Request) {
        return shared.finish(arrival.exchange, &asked, run.ok(), result);
    }
    if let Ok(run) = &mut run {
        run.failed();
    }
    shared.refused(arrival.exchange, event)
}
