//! What the fuzz targets share: a cipher and a key agreement that keep nothing secret, so that the fuzzer reaches what lies behind
//! authentication, and a world that is built once.
//!
//! `docs/fuzzing.md` says what each target reaches and asserts.
#![forbid(unsafe_code)]

mod errors;
mod first;
mod frames;
mod null;
mod pieces;
mod random;
mod said;
mod sse;
mod world;

pub use errors::quotes_nothing;
pub use first::{read_first, tells_of_an_error};
pub use frames::{Wire, null_frame, sizes};
pub use null::{AnyKey, NullAead, NullAgreement};
pub use pieces::pieces;
pub use random::CountingRng;
pub use said::{Call, CallsTogether, Said, calls, said};
pub use sse::{Event, StreamEnd, WholeStream, is_done, read_whole_stream};
pub use world::{NOW, World};
