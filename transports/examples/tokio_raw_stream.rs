//! Both ends of a raw stream on tokio, which has traits of its own: tokio-util's `compat` stands between.
//!
//! `cargo run -p sealwire --example tokio_raw_stream --features futures-io`

mod support;

use std::io;
use std::time::Duration;

use futures_util::StreamExt;
use sealwire::chat::{ChatRequest, Message};
use sealwire::futures_io::{Connector, SecureChatCompletion, serve};
use sealwire::server::RawGateway;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

struct Tokio;

impl Connector for Tokio {
    type Stream = Compat<TcpStream>;

    async fn connect(&self, host: &str, port: u16) -> io::Result<Self::Stream> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream.compat())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (keys, pin) = support::keys();
    let gateway = RawGateway::new(support::config(), keys, support::model)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                stream.set_nodelay(true)?;
                serve(&gateway, stream.compat(), tokio::time::sleep).await
            });
        }
    });

    // `tcp://`: frames and nothing else. With `tls://` they go through TLS.
    let client = SecureChatCompletion::with_connector(format!("tcp://{address}"), Tokio)
        .allow_http(true) // for this machine only: see the builder
        .api_key("sk-example")
        .pin(pin)
        .build()?;
    let request = ChatRequest::new("example").message(Message::user("How is this sent?"));
    // Both exchanges go over one connection.
    for _ in 0..2 {
        let mut answer = client.stream(&request).await?;
        while let Some(chunk) = answer.next().await {
            print!("{}", chunk?.text(client.memory())?.expose());
        }
        println!();
    }
    Ok(())
}
