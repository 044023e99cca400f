//! Client and gateway on hyper and tower: HTTP/1.1 and HTTP/2, TLS by rustls.
//!
//! | you have | you want | take |
//! |---|---|---|
//! | nothing | chats | [`SecureChatCompletion`], with a pool of connections of its own |
//! | a hyper client, reqwest, a tower stack | plain `http::Request`s sealed on their way through it | [`SealLayer`] |
//! | an axum router, any tower service | sealed requests opened in front of it | [`GatewayLayer`] |
//! | a handler of your own | the same without HTTP types | [`Gateway`], a hyper service |
//!
//! ```text
//!   your http::Request ─▶ SealLayer ─▶ your HTTP client ══ sealed frames ══▶ your server ─▶ GatewayLayer ─▶ your router
//!  your http::Response ◀─           ◀─                  ═════════════════               ◀─              ◀─
//! ```
//!
//! Bodies are [`Bytes`](bytes::Bytes) that lie in secure memory and are wiped when the last of them is dropped. What code
//! around them copies out, such as a JSON parser or an `http::HeaderMap`, is ordinary memory.
//!
//! There is no tokio type in these interfaces. Timers are hyper-util's, which need a tokio runtime around them.

mod client;
mod server;

pub use client::{HttpPool, SecureChatCompletion, Versions};
pub use server::Gateway;

pub use crate::client::{AnswerStream, ChatStream};
pub use crate::http::{
    AnswerBody, Exchange, GatewayLayer, GatewayService, Http, HttpService, RequestBody, SealLayer,
    SealedBody, SealedUpload,
};
