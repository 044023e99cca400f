//! Ways to cut one input into several.

/// Cuts `bytes` into pieces that are never empty: byte by byte if `how` is 0, else at places that look random and repeat themselves.
/// Most pieces are small, a few are long enough to hold whole frames.
pub fn pieces(bytes: &[u8], how: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    let mut state = u32::from(how);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // Xorshift; 0 stays 0.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let len = match state % 8 {
            _ if state == 0 => 1,
            0..=3 => 1 + (state >> 8) % 8,
            4..=6 => 1 + (state >> 8) % 64,
            _ => 1 + (state >> 8) % 4096,
        };
        let (piece, after) = rest.split_at((len as usize).min(rest.len()));
        rest = after;
        Some(piece)
    })
}
