//! reqwest as the carrier of sealed requests.
//!
//! reqwest's own layers (`ClientBuilder::connector_layer`) see connections, not requests, so sealing cannot go inside of it. But a
//! `reqwest::Client` is a tower service, and its requests and responses convert from and to those of `http`: the layer goes around it.
//!
//! `cargo run -p sealwire --example reqwest_via_tower --features hyper`

mod common;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response};
use sealwire::hyper::{SealedUpload, SecureChatCompletion};
use tower::{Layer, ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (url, pin) = common::start_gateway().await?;

    // Proxies, TLS, timeouts and all else as reqwest has it; but a redirect would be followed with what was sealed for another place.
    let reqwest = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let carrier = ServiceBuilder::new()
        .map_request(|request: Request<SealedUpload>| {
            // Its URI is under the base URL, which was checked to be a whole one.
            reqwest::Request::try_from(request.map(reqwest::Body::wrap)).expect("a URL")
        })
        .map_response(Response::<reqwest::Body>::from)
        .service(reqwest);
    let seal = SecureChatCompletion::builder(url)
        .allow_http(true) // on this machine
        .api_key("sk-example")
        .pin(pin)
        .layer()?;
    let client = seal.layer(carrier);

    let body = br#"{"model":"example","messages":[{"role":"user","content":"hello"}]}"#;
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(body)))?;
    let response = client.oneshot(request).await?;
    println!("{}", response.status());
    let answer = response.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&answer));
    Ok(())
}
