//! What a chat costs through each adapter: both ends in this process, over loopback, beside the same bytes that nobody sealed.
//!
//! ```sh
//! cargo bench -p sealwire-tests --bench adapters
//! ```
#![allow(missing_docs, reason = "criterion's macros make functions without any")]

use std::convert::Infallible;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::stream::iter;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use sealwire_tests::adapters::{
    Between, CHAT, Combination, MEMORY, Stand, Wire, blocking, chat, delta, event_stream,
    futures_io, hyper as on_hyper, model, whole,
};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Chunks of a streamed answer.
const DELTAS: usize = 1000;

fn combinations() -> Vec<(&'static str, Combination)> {
    let on = |client, gateway, wire| Combination {
        client,
        gateway,
        wire,
        between: Between::Nothing,
    };
    vec![
        (
            "hyper, HTTP/1.1",
            on(on_hyper::client, on_hyper::gateway, Wire::H1),
        ),
        (
            "hyper, HTTP/2 under TLS",
            on(on_hyper::client, on_hyper::gateway, Wire::H2),
        ),
        (
            "async-std, HTTP/1.1",
            on(futures_io::async_std_client, on_hyper::gateway, Wire::H1),
        ),
        (
            "async-std, raw",
            on(futures_io::async_std_client, futures_io::gateway, Wire::Raw),
        ),
        (
            "blocking, HTTP/1.1",
            on(blocking::client, on_hyper::gateway, Wire::H1),
        ),
        (
            "blocking, raw",
            on(blocking::client, blocking::gateway, Wire::Raw),
        ),
    ]
}

/// A whole chat on a connection that is there, its keys known.
fn a_chat(c: &mut Criterion) {
    let mut group = c.benchmark_group("a chat");
    let runtime = Runtime::new().expect("a runtime");
    let body = Bytes::from(chat().to_json(&MEMORY).expect("memory").expose().to_vec());
    let url = runtime.block_on(unsealed());
    let pool: Pool<_, Full<Bytes>> = Pool::builder(TokioExecutor::new()).build_http();
    group.bench_function("not sealed: hyper, HTTP/1.1", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let request = Request::post(&url).body(Full::new(body.clone()));
                let reply = pool.request(request.expect("a request")).await;
                let body = reply.expect("a reply").into_body().collect().await;
                assert_eq!(body.expect("whole").to_bytes(), CHAT);
            });
        });
    });
    for (name, on) in combinations() {
        let stand = Stand::new(on, whole());
        let client = stand.client();
        group.bench_function(name, |b| {
            b.iter(|| client.create(&chat()).expect("answered"));
        });
    }
    group.finish();
}

/// A streamed chat of many small chunks, each in a frame of its own.
fn deltas(c: &mut Criterion) {
    let mut group = c.benchmark_group("a streamed chat");
    group
        .throughput(Throughput::Elements(DELTAS as u64))
        .sample_size(20);
    for (name, on) in combinations() {
        let pieces = || iter((0..DELTAS).map(|_| Ok(delta("token "))));
        let stand = Stand::new(on, model(move |_| Ok(event_stream(pieces()))));
        let client = stand.client();
        group.bench_function(name, |b| {
            b.iter(|| {
                let (text, error) = client.stream(&chat()).expect("begun").rest();
                assert!(error.is_none() && text.len() == DELTAS * "token ".len());
            });
        });
    }
    group.finish();
}

/// A server that answers what the model does, in the clear.
async fn unsealed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "http://{}/v1/chat/completions",
        listener.local_addr().expect("bound")
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a socket");
            let answer = service_fn(|request: Request<hyper::body::Incoming>| async move {
                let _ = request.into_body().collect().await;
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(CHAT))))
            });
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                builder.serve_connection(TokioIo::new(stream), answer).await
            });
        }
    });
    url
}

criterion_group!(benches, a_chat, deltas);
criterion_main!(benches);
