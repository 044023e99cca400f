//! A streamed chat from smol: the whole of what a runtime must bring is the `Connector` here.
//!
//! `cargo run -p sealwire --example smol_chat --features futures-io,hyper`

mod support;

use std::io;
use std::time::Duration;

use sealwire::chat::{ChatRequest, Message};
use sealwire::futures_io::{Connector, SecureChatCompletion};
use smol::net::TcpStream;
use smol::stream::StreamExt;

struct Smol;

impl Connector for Smol {
    type Stream = TcpStream;

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn sleep(&self, duration: Duration) {
        smol::Timer::after(duration).await;
    }
}

fn main() -> Result<(), sealwire::Error> {
    let (url, pin) = support::http_gateway();
    smol::block_on(async {
        let client = SecureChatCompletion::with_connector(url, Smol)
            .allow_http(true) // for this machine only: see the builder
            .api_key("sk-example")
            .pin(pin)
            .build()?;
        let request = ChatRequest::new("example").message(Message::user("How is this sent?"));
        let mut answer = client.stream(&request).await?;
        while let Some(chunk) = answer.next().await {
            print!("{}", chunk?.text(client.memory())?.expose());
        }
        println!();
        Ok(())
    })
}
