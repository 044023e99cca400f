//! Requests that reach the router while they arrive. Protocol: ORDER-2.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request as AxumRequest;
use axum::routing::any;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use sealwire::core::ErrorCode;
use sealwire::core::session::SessionError;
use sealwire::hyper::{Exchange, GatewayService, SealedUpload, SecureChatCompletion};
use sealwire::server::GatewayConfig;
use tokio::sync::{Notify, Semaphore, mpsc};
use tower::util::BoxCloneSyncService;
use tower::{Layer, service_fn};

use crate::flow::{client, quiet};
use crate::layers::gateway_layer;
use crate::support::{MEMORY, bytes, printed};

const SIZE: usize = 2 << 20;

type Carrier = BoxCloneSyncService<Request<SealedUpload>, Response<Incoming>, hyper::Error>;
type Altered = UnsyncBoxBody<Bytes, io::Error>;

/// A router behind a gateway that streams requests in, and a client whose uploads `alter` has in its hands.
async fn streaming(
    router: Router,
    alter: impl Fn(SealedUpload) -> Altered + Clone + Send + Sync + 'static,
) -> SecureChatCompletion<Carrier> {
    let (layer, pin) = gateway_layer(GatewayConfig::new(MEMORY));
    let service: GatewayService<Router> = layer.stream_requests(true).layer(router);
    let (near, far) = tokio::io::duplex(4096);
    tokio::spawn(async move {
        let service = TowerToHyperService::new(service);
        let builder = auto::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(far), service).await;
    });
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(near))
        .await
        .expect("a pipe");
    tokio::spawn(connection);
    let carrier = service_fn(move |request: Request<SealedUpload>| {
        let alter = alter.clone();
        let request = request.map(|body| match body.is_end_stream() {
            true => body.boxed_unsync(),
            false => alter(body),
        });
        sender.clone().send_request(request)
    });
    client(pin, BoxCloneSyncService::new(carrier))
}

/// A body that sends one piece for every permit.
fn gated(body: SealedUpload, gate: Arc<Semaphore>) -> Altered {
    let pieces = body.into_data_stream().then(move |piece| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.expect("open").forget();
            piece.map(Frame::data)
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// A body that is cut off after this many pieces.
fn cut(body: SealedUpload, after: usize) -> Altered {
    let pieces = body.into_data_stream().take(after);
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

async fn post(client: SecureChatCompletion<Carrier>) -> Result<Vec<u8>, sealwire::Error> {
    let body: Vec<u8> = (0..SIZE).map(|n| (n % 251) as u8).collect();
    let answer = client.request("POST", "/v1/files", bytes(&body)).await?;
    Ok(answer.body().expose().to_vec())
}

#[tokio::test(start_paused = true)]
async fn the_body_is_there_before_the_request_has_ended() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let router = Router::new().fallback(any(move |request: AxumRequest| async move {
        assert!(request.extensions().get::<Exchange>().is_some());
        assert_eq!(request.uri().path(), "/v1/files");
        let mut len = 0;
        let mut body = request.into_body().into_data_stream();
        while let Some(piece) = body.next().await {
            let piece = piece.expect("verified");
            let is_right = piece
                .iter()
                .enumerate()
                .all(|(n, byte)| usize::from(*byte) == (len + n) % 251);
            assert!(is_right);
            len += piece.len();
            let _ = tell.send(len);
        }
        len.to_string()
    }));
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let client = streaming(router, move |body| gated(body, opened.clone())).await;
    let answer = tokio::spawn(post(client));
    let mut last = 0;
    for _ in 0..10 {
        gate.add_permits(1);
        quiet().await;
        let mut now = last;
        while let Ok(len) = told.try_recv() {
            now = len;
        }
        assert!(now > last && now < SIZE, "{now} after {last}");
        last = now;
    }
    assert!(!answer.is_finished());
    gate.add_permits(SIZE);
    let answer = answer.await.expect("no panic").expect("answered");
    assert_eq!(answer, SIZE.to_string().as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_request_is_not_sent_faster_than_the_router_reads() {
    let go = Arc::new(Notify::new());
    let wait = go.clone();
    let router = Router::new().fallback(any(move |request: AxumRequest| async move {
        wait.notified().await;
        request
            .into_body()
            .collect()
            .await
            .expect("whole")
            .to_bytes()
            .len()
            .to_string()
    }));
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let client = streaming(router, move |body| {
        let count = count.clone();
        body.map_frame(move |frame| {
            let len = frame.data_ref().map_or(0, Bytes::len);
            count.fetch_add(len, Ordering::SeqCst);
            frame
        })
        .boxed_unsync()
    })
    .await;
    let answer = tokio::spawn(post(client));
    quiet().await;
    let ahead = sent.load(Ordering::SeqCst);
    assert!(
        ahead > 0 && ahead < SIZE * 3 / 4,
        "{ahead} with nobody reading"
    );
    quiet().await;
    assert_eq!(sent.load(Ordering::SeqCst), ahead, "nothing moves");
    go.notify_one();
    let answer = answer.await.expect("no panic").expect("answered");
    assert_eq!(answer, SIZE.to_string().as_bytes());
}

/// The router's own future, and what reads on elsewhere, learn that the request was none.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_cut_off_aborts_what_was_begun() {
    struct Guard(mpsc::UnboundedSender<String>);
    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.send("dropped".into());
        }
    }
    // After 64 pieces the whole body would have been sent.
    for after in [1, 2, 50] {
        let (tell, mut told) = mpsc::unbounded_channel();
        let router = Router::new().fallback(any(move |request: AxumRequest| async move {
            let guard = Guard(tell.clone());
            tokio::spawn(async move {
                let error = request.into_body().collect().await.expect_err("cut off");
                let _ = tell.send(error.to_string());
            });
            std::future::pending::<()>().await;
            drop(guard);
        }));
        let client = streaming(router, move |body| cut(body, after)).await;
        let error = post(client).await.expect_err("cut off");
        let code = ErrorCode::Malformed;
        let expected = SessionError::Refused {
            code,
            answer_begun: false,
        };
        assert_eq!(error.session(), Some(&expected), "{}", printed(&error));
        let mut heard = [told.recv().await, told.recv().await].map(|line| line.expect("told"));
        heard.sort();
        assert_eq!(
            heard,
            ["dropped", "the request was not whole, or was altered"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_the_end_of_the_request() {
    let answered = Arc::new(AtomicUsize::new(0));
    let count = answered.clone();
    let router = Router::new().fallback(any(move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { "not read" }
    }));
    let gate = Arc::new(Semaphore::new(1));
    let opened = gate.clone();
    let client = streaming(router.clone(), move |body| gated(body, opened.clone())).await;
    let answer = tokio::spawn(post(client));
    quiet().await;
    assert_eq!(answered.load(Ordering::SeqCst), 1);
    assert!(
        !answer.is_finished(),
        "the response begins after the request"
    );
    gate.add_permits(SIZE);
    let answer = answer.await.expect("no panic").expect("answered");
    assert_eq!(answer, b"not read");
    // And comes to nothing with it.
    let client = streaming(router, |body| cut(body, 5)).await;
    post(client).await.expect_err("cut off");
    assert_eq!(answered.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_router_that_panics_is_no_answer() {
    let router = Router::new().fallback(any(async || -> Result<(), Infallible> {
        panic!("on purpose")
    }));
    let client = streaming(router, BodyExt::boxed_unsync).await;
    let error = post(client).await.expect_err("a panic");
    let code = ErrorCode::Internal;
    let expected = SessionError::Refused {
        code,
        answer_begun: false,
    };
    assert_eq!(error.session(), Some(&expected), "{}", printed(&error));
}

/// ORDER-4: an answer that is made of the request waits for a reader that waits for the answer. The deadline ends it.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_its_request_ends_by_the_deadline() {
    let router = Router::new().fallback(any(async |request: AxumRequest| {
        Response::new(request.into_body())
    }));
    let client = streaming(router, SealedUpload::boxed_unsync).await;
    let error = post(client).await.expect_err("nobody reads");
    let refused = matches!(
        error.session(),
        Some(SessionError::Refused {
            code: ErrorCode::Timeout,
            ..
        })
    );
    assert!(refused, "{error}");
}
