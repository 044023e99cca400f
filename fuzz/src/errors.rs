//! What every error of ours keeps to.

use std::fmt::{Debug, Display};

/// Errors are told in our own words, one line of them: nothing in them comes from a peer.
///
/// # Panics
/// If that is not so.
pub fn quotes_nothing(error: &(impl Display + Debug)) {
    let told = error.to_string();
    let in_words = |byte: u8| matches!(byte, 0x20..=0x7e);
    assert!(
        !told.is_empty() && told.len() < 300 && told.bytes().all(in_words),
        "{error:?}"
    );
}
