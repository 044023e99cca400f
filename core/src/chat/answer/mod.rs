//! Answers: whole ones, streamed ones, and errors.
//!
//! All of them are views of checked JSON that lies in secure memory: a lookup walks over the text again instead of
//! keeping a copy of any of it.

mod accumulator;
mod call;
mod chunk;
mod completion;
mod content;
mod error_body;
mod parts;
mod shape;
mod usage;

pub use accumulator::{AccumulatedChoice, AccumulatedToolCall, ChatAccumulator};
pub(super) use call::CallForm;
pub use chunk::{ChatChunk, ChunkChoice, Delta, DeltaToolCall};
pub use completion::{ChatCompletion, Choice, CompletionMessage, CompletionToolCall};
pub use error_body::{ApiError, ErrorBody};
pub(super) use parts::{Part, Parts, Text};
pub use usage::Usage;

/// The parts of a view that do not differ: access to what it is a view of, and a `Debug` that shows none of it.
macro_rules! view {
    ($($name:ident),*) => {
        $(
            impl<'a> $name<'a> {
                /// The whole object.
                pub const fn as_json(&self) -> Json<'a> {
                    self.json
                }

                /// A member by its name, known to this crate or not; `null` is taken for absence.
                pub fn raw(&self, name: &str) -> Option<Json<'a>> {
                    member(self.json, name)
                }

                #[allow(dead_code, reason = "not every view has a string")]
                fn string(&self, name: &str) -> Option<JsonStr<'a>> {
                    self.raw(name)?.as_str()
                }
            }

            impl core::fmt::Debug for $name<'_> {
                fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                    f.write_str(concat!(stringify!($name), "([REDACTED])"))
                }
            }
        )*
    };
}
use view;
