//! Lengths that say little (spec section 9).

/// Padmé (spec section 9.1): `len` rounded up so that at most 12 % are added and few distinct values remain.
///
/// ```
/// use sealwire_core::padding::padme;
/// assert_eq!(padme(9), 10);
/// assert_eq!(padme(1000), 1024);
/// assert_eq!(padme(1_000_000), 1_015_808);
/// ```
pub const fn padme(len: u64) -> u64 {
    if len < 2 {
        return len;
    }
    let exponent = len.ilog2();
    let significant = exponent.ilog2() + 1;
    let bits = exponent.saturating_sub(significant);
    let mask = (1u64 << bits) - 1;
    match len.checked_add(mask) {
        Some(sum) => sum & !mask,
        None => len,
    }
}

/// How a direction hides its lengths (spec section 9.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// Not at all.
    None,
    /// The total is rounded by Padmé: for whole bodies.
    #[default]
    Padme,
    /// Every sealed frame has this size, and the number of frames is rounded by Padmé: for streams.
    Uniform {
        /// Bytes of each frame on the wire, at least 64.
        frame: usize,
    },
}
