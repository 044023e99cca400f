//! Plain `http::Request`s through a hyper client, sealed on their way by a tower layer.
//!
//! `cargo run -p sealwire --example hyper_client_layer --features hyper`

mod common;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sealwire::Metadata;
use sealwire::hyper::SecureChatCompletion;
use tower::{Layer, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (url, pin) = common::start_gateway().await?;

    // The client that there is already, with its connector, pool and settings. The type of its body follows from the layer.
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true); // or small writes wait for the acknowledgement of earlier ones
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let seal = SecureChatCompletion::builder(url)
        .allow_http(true) // on this machine
        .api_key("sk-example")
        .pin(pin)
        .layer()?;
    let client = seal.layer(client);

    let body = br#"{"model":"example","messages":[{"role":"user","content":"hello"}]}"#;
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(body)))?;
    let response = client.clone().oneshot(request).await?;
    println!("{}", response.status());
    if let Some(metadata) = response.extensions().get::<Metadata>() {
        println!("sealed with {:?}", metadata.suite);
    }
    // Frame by frame, as they were opened; an error here means that the answer is not whole.
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            println!("{}", String::from_utf8_lossy(&data));
        }
    }

    // The same client has chats of its own.
    println!("gateway {}", client.gateway_pin().ok_or("not met")?);
    Ok(())
}
