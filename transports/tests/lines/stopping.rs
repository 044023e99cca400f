//! A gateway that is to stop ends its streams between two exchanges.

use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::thread;

use sealwire::{async_std, blocking};
use tokio::sync::oneshot;

use crate::handler::at_once;
use crate::server::raw_gateway;
use crate::support::{CHAT, PATIENCE, chat, json, text};

#[test]
fn async_std_lets_an_idle_stream_go() {
    let (gateway, pin) = raw_gateway(at_once(|_| Ok(json(200, CHAT))));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("tcp://{}", listener.local_addr().expect("bound"));
    let (stop, stopped) = oneshot::channel::<()>();
    let (end, has_ended) = channel();
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let stopped = async { drop(stopped.await) };
        let served = async_std::serve_until(&gateway, stream.into(), stopped);
        end.send(::async_std::task::block_on(served))
            .expect("the test waits");
    });
    let client = blocking::SecureChatCompletion::builder(url)
        .allow_http(true)
        .pin(pin)
        .build()
        .expect("configured");
    // The connection is kept for the next request.
    let answer = client.create(&chat()).expect("answered");
    assert_eq!(text(&answer), "sealed answer");
    stop.send(()).expect("it is served");
    let ended = has_ended.recv_timeout(PATIENCE).expect("it stops");
    ended.expect("closed in order");
}
