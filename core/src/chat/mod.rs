//! Chat.
pub mod json;
mod error;
pub use error::{ChatError, JsonFault};
