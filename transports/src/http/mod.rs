//! sealwire on the types of `http`, `http-body` and tower, whoever moves the bytes: the loop around a client's session over any
//! HTTP client, the layers, the bodies.

mod body;
mod client;
mod driver;
mod gateway_layer;
mod receive;
mod routes;
mod seal_layer;
mod service;
mod upload;

pub use body::{AnswerBody, RequestBody, SealedBody};
pub use client::Http;
pub(crate) use client::{Remote, over};
pub use gateway_layer::{Exchange, GatewayLayer, GatewayService};
pub(crate) use receive::receive;
pub(crate) use routes::{is_sealed, sealed_reply, unsealed};
pub use seal_layer::SealLayer;
pub use service::HttpService;
pub use upload::SealedUpload;
