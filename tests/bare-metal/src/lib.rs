//! What firmware hands to the protocol: a serial line, randomness, clocks, and for the session level a heap.
//!
//! The board is QEMU's mps2-an386, a Cortex-M4. Its UART is real to the program; for what QEMU does not emulate (a random
//! number generator, a calendar clock) it asks the host by semihosting.
#![no_std]

mod board;
#[cfg(feature = "session")]
mod heap;
mod line;
#[cfg(all(feature = "post-quantum", not(feature = "session")))]
mod no_heap;

pub use board::{Entropy, clock, expected_pin, finish, unix_time};
#[cfg(feature = "session")]
pub use heap::start as start_heap;
pub use line::{Line, LineError};

/// The suite under test.
pub const SUITE: sealwire_core::Suite = if cfg!(feature = "post-quantum") {
    sealwire_core::Suite::ALL[sealwire_core::Suite::ALL.len() - 1]
} else {
    sealwire_core::Suite::P256
};

/// What is asked, and comes back in the answer of the model behind the gateway, which repeats it.
pub const PROMPT: &str = "how is the patient in bed 4?";

/// A chat request for [`PROMPT`].
pub const BODY: &str =
    r#"{"model":"echo","messages":[{"role":"user","content":"how is the patient in bed 4?"}]}"#;

/// The largest frame accepted, in bytes: the smallest that a peer may demand (FRAME-4).
pub const MAX_FRAME: usize = 1024;

/// Room for the largest frame that a gateway sends here, its keys: two records, one of each suite.
pub const BUFFER: usize = 2048;

/// Whether `answer` repeats the prompt.
pub fn repeats_prompt(answer: &[u8]) -> bool {
    answer
        .windows(PROMPT.len())
        .any(|part| part == PROMPT.as_bytes())
}
