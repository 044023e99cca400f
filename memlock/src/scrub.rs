//! Wiping the stack and the vector registers that a computation on secrets has used.

/// Runs `f`, then overwrites the 16 KiB of stack below the caller, where `f` had its variables, and the vector registers.
///
/// Ciphers and key derivation spill round keys and intermediate values to the stack and leave them
/// there. Round keys also stay in vector registers, which the dynamic linker and signal handlers
/// save to the stack as they find them. Both are wiped also when `f` panics. What `f` returns is
/// the caller's: return a handle on secure memory, not the secret by value.
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
        // First the registers: whoever saves them while the stack is wiped must find nothing.
        clear_vector_registers();
        zeroize::zeroize_stack::<N>();
    }
}

/// Instructions that zero these registers, all of them declared as changed, and touch nothing else.
#[cfg(any(
    all(target_arch = "x86_64", not(miri)),
    all(target_arch = "aarch64", target_feature = "neon", not(miri))
))]
macro_rules! zero {
    ($instruction:literal; $($register:tt)*) => {
        core::arch::asm!($instruction, $(out($register) _,)* options(nomem, nostack, preserves_flags))
    };
    ($instruction:ident; $($register:tt)*) => {
        core::arch::asm!(
            $($instruction!($register),)*
            $(out($register) _,)*
            options(nomem, nostack, preserves_flags),
        )
    };
}

/// Zeros every vector register that the calling convention lets a function change; the others belong to a caller.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(never)]
fn clear_vector_registers() {
    macro_rules! pxor {
        ($register:tt) => {
            concat!("pxor ", $register, ", ", $register)
        };
    }
    // SAFETY: `zero!` declares what it changes. SSE2 is part of the architecture.
    unsafe {
        zero!(pxor;
            "xmm0" "xmm1" "xmm2" "xmm3" "xmm4" "xmm5" "xmm6" "xmm7"
            "xmm8" "xmm9" "xmm10" "xmm11" "xmm12" "xmm13" "xmm14" "xmm15");
    }
    // The upper halves, where there are any. Without `std` the processor is not asked, but the compiler was told.
    if has_avx() {
        // SAFETY: the processor has AVX, and the system saves its registers.
        unsafe { clear_upper_halves() }
    }
    if has_avx512() {
        // SAFETY: the processor has AVX-512, and the system saves its registers.
        unsafe { clear_upper_registers() }
    }
}

#[cfg(all(target_arch = "x86_64", not(miri), feature = "std"))]
fn has_avx() -> bool {
    std::is_x86_feature_detected!("avx")
}

#[cfg(all(target_arch = "x86_64", not(miri), feature = "std"))]
fn has_avx512() -> bool {
    std::is_x86_feature_detected!("avx512f")
}

#[cfg(all(target_arch = "x86_64", not(miri), not(feature = "std")))]
const fn has_avx() -> bool {
    cfg!(target_feature = "avx")
}

#[cfg(all(target_arch = "x86_64", not(miri), not(feature = "std")))]
const fn has_avx512() -> bool {
    cfg!(target_feature = "avx512f")
}

/// # Safety
/// The processor must have AVX.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "avx")]
#[inline(never)]
unsafe fn clear_upper_halves() {
    // SAFETY: `zero!` declares what it changes: registers 0 to 15, to their full width.
    unsafe {
        zero!("vzeroall";
            "ymm0" "ymm1" "ymm2" "ymm3" "ymm4" "ymm5" "ymm6" "ymm7"
            "ymm8" "ymm9" "ymm10" "ymm11" "ymm12" "ymm13" "ymm14" "ymm15");
    }
}

/// # Safety
/// The processor must have AVX-512F.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "avx512f")]
#[inline(never)]
unsafe fn clear_upper_registers() {
    macro_rules! vpxord {
        ($register:tt) => {
            concat!("vpxord ", $register, ", ", $register, ", ", $register)
        };
    }
    // SAFETY: `zero!` declares what it changes.
    unsafe {
        zero!(vpxord;
            "zmm16" "zmm17" "zmm18" "zmm19" "zmm20" "zmm21" "zmm22" "zmm23"
            "zmm24" "zmm25" "zmm26" "zmm27" "zmm28" "zmm29" "zmm30" "zmm31");
    }
}

/// Zeros every vector register; the compiler keeps the halves that belong to a caller.
#[cfg(all(target_arch = "aarch64", target_feature = "neon", not(miri)))]
#[inline(never)]
fn clear_vector_registers() {
    macro_rules! movi {
        ($register:tt) => {
            concat!("movi ", $register, ".2d, #0")
        };
    }
    // SAFETY: `zero!` declares what it changes.
    unsafe {
        zero!(movi;
            "v0" "v1" "v2" "v3" "v4" "v5" "v6" "v7"
            "v8" "v9" "v10" "v11" "v12" "v13" "v14" "v15"
            "v16" "v17" "v18" "v19" "v20" "v21" "v22" "v23"
            "v24" "v25" "v26" "v27" "v28" "v29" "v30" "v31");
    }
}

/// Elsewhere vector registers are few or none, or this compiler cannot name them.
#[cfg(not(any(
    all(target_arch = "x86_64", not(miri)),
    all(target_arch = "aarch64", target_feature = "neon", not(miri))
)))]
const fn clear_vector_registers() {}
