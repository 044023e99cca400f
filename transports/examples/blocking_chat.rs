//! A streamed chat without any async, with a gateway in the same process.
//!
//! `cargo run -p sealwire --example blocking_chat --features std,hyper`

mod support;

use sealwire::blocking::SecureChatCompletion;
use sealwire::chat::{ChatRequest, Message};

fn main() -> Result<(), sealwire::Error> {
    let (url, pin) = support::http_gateway();
    let client = SecureChatCompletion::builder(url)
        .allow_http(true) // for this machine only: see the builder
        .api_key("sk-example")
        .pin(pin)
        .build()?;
    let request = ChatRequest::new("example").message(Message::user("How is this sent?"));
    for chunk in client.stream(&request)? {
        print!("{}", chunk?.text(client.memory())?.expose());
    }
    println!();
    Ok(())
}
