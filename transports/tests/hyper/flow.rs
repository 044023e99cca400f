//! How fast, how much at once, and how it stops. Pipes in memory and a paused clock: when nothing moves any more, a sleep ends.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::iter;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use sealwire::core::keys::Pin;
use sealwire::hyper::{
    AnswerBody, GatewayService, HttpService, SealedUpload, SecureChatCompletion,
};
use sealwire::server::GatewayConfig;
use tokio::io::duplex;
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::time::{sleep, timeout};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

use crate::layers::gateway_layer;
use crate::support::{MEMORY, PATIENCE, bytes};

pub(crate) type Carrier =
    BoxCloneSyncService<Request<SealedUpload>, Response<Incoming>, hyper::Error>;

/// A client over one connection of this version of HTTP, a pipe in memory, to `router` behind a gateway.
async fn over_pipe(router: Router, is_http2: bool) -> SecureChatCompletion<Carrier> {
    let (layer, pin) = gateway_layer(GatewayConfig::new(MEMORY));
    client(pin, pipe(layer.layer(router), is_http2).await)
}

pub(crate) fn client<S: HttpService>(pin: Pin, carrier: S) -> SecureChatCompletion<S> {
    let builder = SecureChatCompletion::builder("http://gateway.example");
    let builder = builder.allow_http(true).pin(pin).max_retries(0);
    builder.layer().expect("configured").layer(carrier)
}

/// One connection to `service`: a pipe in memory.
pub(crate) async fn pipe(service: GatewayService<Router>, is_http2: bool) -> Carrier {
    let (near, far) = duplex(4096);
    let service = TowerToHyperService::new(service);
    tokio::spawn(async move {
        let _ = auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(far), service)
            .await;
    });
    match is_http2 {
        true => {
            let connection = http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await;
            let (sender, connection) = connection.expect("a pipe");
            tokio::spawn(connection);
            BoxCloneSyncService::new(service_fn(move |request| {
                sender.clone().send_request(request)
            }))
        }
        false => {
            let (sender, connection) = http1::handshake(TokioIo::new(near)).await.expect("a pipe");
            tokio::spawn(connection);
            let sender = Arc::new(Mutex::new(sender));
            BoxCloneSyncService::new(service_fn(move |request| {
                let sender = sender.clone();
                async move {
                    let mut sender = sender.lock().await;
                    sender.ready().await?;
                    sender.send_request(request).await
                }
            }))
        }
    }
}

/// Until nothing moves.
pub(crate) async fn quiet() {
    sleep(Duration::from_millis(1)).await;
}

async fn get(client: &SecureChatCompletion<Carrier>) -> AnswerBody {
    let request = Request::get("http://gateway.example/").body(Empty::<Bytes>::new());
    let response = client.clone().oneshot(request.expect("a request")).await;
    response.expect("begun").into_body()
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_produced_faster_than_it_is_read() {
    const PIECES: usize = 12_000;
    for is_http2 in [false, true] {
        let produced = Arc::new(AtomicUsize::new(0));
        let count = produced.clone();
        let router = Router::new().fallback(any(move || async move {
            let pieces = iter(0..PIECES).map(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1000]))
            });
            Body::from_stream(pieces)
        }));
        let mut body = get(&over_pipe(router, is_http2).await).await;
        quiet().await;
        let ahead = produced.load(Ordering::SeqCst);
        assert!(
            ahead > 0 && ahead < PIECES / 4,
            "{ahead} with nobody reading"
        );
        quiet().await;
        assert_eq!(produced.load(Ordering::SeqCst), ahead, "nothing moves");
        const READ: usize = 2_500;
        for _ in 0..READ {
            body.frame().await.expect("a frame").expect("a piece");
        }
        quiet().await;
        let produced_now = produced.load(Ordering::SeqCst);
        assert!(produced_now >= READ, "{produced_now} after {READ}");
        assert!(
            produced_now <= READ + ahead + ahead,
            "{produced_now}, {ahead} ahead"
        );
        let rest = body.collect().await.expect("whole").to_bytes();
        assert_eq!(rest.len(), (PIECES - READ) * 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_piece_is_there_before_the_next_is_made() {
    for is_http2 in [false, true] {
        let (ask, asked) = tokio::sync::mpsc::unbounded_channel::<u8>();
        let asked = Arc::new(Mutex::new(Some(asked)));
        let router = Router::new().fallback(any(move || async move {
            let asked = asked.lock().await.take().expect("asked once");
            let pieces = stream::unfold(asked, |mut asked| async move {
                let piece = asked.recv().await?;
                Some((Ok::<_, Infallible>(vec![piece]), asked))
            });
            Body::from_stream(pieces)
        }));
        let client = over_pipe(router, is_http2).await;
        let mut body = get(&client).await;
        for n in 0..5 {
            ask.send(n).expect("listening");
            let frame = body.frame().await.expect("a frame").expect("a piece");
            assert_eq!(frame.into_data().expect("data")[..], [n]);
        }
        drop(ask);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_answer_stops_the_handler() {
    struct Guard(Arc<Notify>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    for is_http2 in [false, true] {
        let dropped = Arc::new(Notify::new());
        let notify = dropped.clone();
        let router = Router::new().fallback(any(move || async move {
            let guard = Guard(notify);
            let pieces = iter([Ok::<_, Infallible>("one")]).chain(stream::pending());
            Body::from_stream(pieces.inspect(move |_| {
                let _held = &guard;
            }))
        }));
        let client = over_pipe(router, is_http2).await;
        let mut body = get(&client).await;
        body.frame().await.expect("a frame").expect("a piece");
        quiet().await;
        let still_there = timeout(Duration::from_millis(1), dropped.notified()).await;
        assert!(still_there.is_err(), "it goes on while there is a reader");
        drop(body);
        // The clock stands still as long as anything moves.
        let stopped = timeout(Duration::from_secs(1), dropped.notified()).await;
        stopped.expect("the handler's stream is dropped");
    }
}

/// None is answered before so many have come, so all are under way at once. (A barrier would close again behind them, and one that
/// was tried again, as on a busy machine some are, would wait before it for ever.)
async fn thousand_at_once(is_http2: bool) {
    const MANY: usize = 1000;
    let gate = Arc::new(Semaphore::new(0));
    let come = Arc::new(AtomicUsize::new(0));
    let router = Router::new().fallback(any(move || async move {
        if come.fetch_add(1, Ordering::SeqCst) + 1 == MANY {
            gate.close();
        }
        gate.acquire().await.expect_err("only ever closed");
        "well"
    }));
    let (layer, pin) = gateway_layer(GatewayConfig::new(MEMORY));
    let app = layer.layer(router);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(async move {
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder.http2().max_concurrent_streams(MANY as u32);
                builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            });
        }
    });
    let builder = SecureChatCompletion::builder(url).allow_http(true).pin(pin);
    // A thousand connections take a busy machine a while.
    let builder = builder.connect_timeout(PATIENCE).http2_only(is_http2);
    let client = builder.build().expect("configured");
    let answers = (0..MANY).map(|_| client.request("GET", "/", bytes(b"")));
    for answer in join_all(answers).await {
        assert_eq!(answer.expect("answered").body().expose(), b"well");
    }
}

#[tokio::test]
async fn a_thousand_at_once_over_http2() {
    thousand_at_once(true).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_thousand_at_once_over_http1() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    // Two sockets for each, both in this process.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to the hard limit");
    thousand_at_once(false).await;
}
