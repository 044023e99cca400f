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

/// Zeros every vector register that the calling convention lets a function change; the others belong to a caller.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(never)]
fn clear_vector_registers() {
    // SAFETY: each register that is changed is declared, and nothing else is touched. SSE2 is part of the architecture.
    unsafe {
        core::arch::asm!(
            "pxor xmm0, xmm0", "pxor xmm1, xmm1", "pxor xmm2, xmm2", "pxor xmm3, xmm3",
            "pxor xmm4, xmm4", "pxor xmm5, xmm5", "pxor xmm6, xmm6", "pxor xmm7, xmm7",
            "pxor xmm8, xmm8", "pxor xmm9, xmm9", "pxor xmm10, xmm10", "pxor xmm11, xmm11",
            "pxor xmm12, xmm12", "pxor xmm13, xmm13", "pxor xmm14, xmm14", "pxor xmm15, xmm15",
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(nomem, nostack, preserves_flags),
        );
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
    // SAFETY: zeros registers 0 to 15 to their full width, all of them declared, and touches nothing else.
    unsafe {
        core::arch::asm!(
            "vzeroall",
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _,
            out("ymm4") _, out("ymm5") _, out("ymm6") _, out("ymm7") _,
            out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// # Safety
/// The processor must have AVX-512F.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "avx512f")]
#[inline(never)]
unsafe fn clear_upper_registers() {
    // SAFETY: zeros registers 16 to 31, all of them declared, and touches nothing else.
    unsafe {
        core::arch::asm!(
            "vpxord zmm16, zmm16, zmm16", "vpxord zmm17, zmm17, zmm17",
            "vpxord zmm18, zmm18, zmm18", "vpxord zmm19, zmm19, zmm19",
            "vpxord zmm20, zmm20, zmm20", "vpxord zmm21, zmm21, zmm21",
            "vpxord zmm22, zmm22, zmm22", "vpxord zmm23, zmm23, zmm23",
            "vpxord zmm24, zmm24, zmm24", "vpxord zmm25, zmm25, zmm25",
            "vpxord zmm26, zmm26, zmm26", "vpxord zmm27, zmm27, zmm27",
            "vpxord zmm28, zmm28, zmm28", "vpxord zmm29, zmm29, zmm29",
            "vpxord zmm30, zmm30, zmm30", "vpxord zmm31, zmm31, zmm31",
            out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _,
            out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
            out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _,
            out("zmm28") _, out("zmm29") _, out("zmm30") _, out("zmm31") _,
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// Zeros every vector register; the compiler keeps the halves that belong to a caller.
#[cfg(all(target_arch = "aarch64", target_feature = "neon", not(miri)))]
#[inline(never)]
fn clear_vector_registers() {
    // SAFETY: each register that is changed is declared, and nothing else is touched.
    unsafe {
        core::arch::asm!(
            "movi v0.2d, #0", "movi v1.2d, #0", "movi v2.2d, #0", "movi v3.2d, #0",
            "movi v4.2d, #0", "movi v5.2d, #0", "movi v6.2d, #0", "movi v7.2d, #0",
            "movi v8.2d, #0", "movi v9.2d, #0", "movi v10.2d, #0", "movi v11.2d, #0",
            "movi v12.2d, #0", "movi v13.2d, #0", "movi v14.2d, #0", "movi v15.2d, #0",
            "movi v16.2d, #0", "movi v17.2d, #0", "movi v18.2d, #0", "movi v19.2d, #0",
            "movi v20.2d, #0", "movi v21.2d, #0", "movi v22.2d, #0", "movi v23.2d, #0",
            "movi v24.2d, #0", "movi v25.2d, #0", "movi v26.2d, #0", "movi v27.2d, #0",
            "movi v28.2d, #0", "movi v29.2d, #0", "movi v30.2d, #0", "movi v31.2d, #0",
            out("v0") _, out("v1") _, out("v2") _, out("v3") _,
            out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// Elsewhere vector registers are few or none, or this compiler cannot name them.
#[cfg(not(any(
    all(target_arch = "x86_64", not(miri)),
    all(target_arch = "aarch64", target_feature = "neon", not(miri))
)))]
const fn clear_vector_registers() {}
