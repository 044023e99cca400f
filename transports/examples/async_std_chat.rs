//! A streamed chat from async-std, with a gateway in the same process.
//!
//! `cargo run -p sealwire --example async_std_chat --features async-std,hyper`

mod support;

use async_std::stream::StreamExt;
use sealwire::async_std::SecureChatCompletion;
use sealwire::chat::{ChatRequest, Message};

fn main() -> Result<(), sealwire::Error> {
    let (url, pin) = support::http_gateway();
    async_std::task::block_on(async {
        let client = SecureChatCompletion::builder(url)
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
