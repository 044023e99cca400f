//! Wiping the stack that a computation on secrets has used.

/// Runs `f`, then overwrites the 16 KiB of stack below the caller, where `f` had its variables.
///
/// Ciphers and key derivation spill round keys and intermediate values to the stack and leave them
/// there. The stack is wiped also when `f` panics. What `f` returns is the caller's: return a
/// handle on secure memory, not the secret by value.
///
/// ```
/// let sum = sealwire_memlock::scrub_stack(|| {
///     let key = [7u8; 32]; // stands for a key schedule
///     key.iter().map(|b| u32::from(*b)).sum::<u32>()
/// });
/// assert_eq!(sum, 224);
/// ```
pub fn scrub_stack<R>(f: impl FnOnce() -> R) -> R {
    scrub_stack_deep::<16384, R>(f)
}

/// [`scrub_stack`] for a computation that uses up to `N` bytes of stack.
///
/// The thread needs that much stack left: `N` bytes are touched even when `f` used fewer.
pub fn scrub_stack_deep<const N: usize, R>(f: impl FnOnce() -> R) -> R {
    // A frame of its own for `f`, or its variables would be the caller's and out of reach.
    #[inline(never)]
    fn call<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
    let _wipe = WipeBelow::<N>;
    call(f)
}

/// A guard, so that unwinding wipes too: its destructor runs when the frames below are dead.
struct WipeBelow<const N: usize>;

impl<const N: usize> Drop for WipeBelow<N> {
    fn drop(&mut self) {
        zeroize::zeroize_stack::<N>();
    }
}
