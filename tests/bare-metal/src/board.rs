//! The host's services, and the report at the end.

use core::convert::Infallible;
use core::panic::PanicInfo;
use core::time::Duration;

use cortex_m_semihosting::{debug, hprintln, nr, syscall, syscall1};
use rand_core::utils::next_word_via_fill;
use rand_core::{TryCryptoRng, TryRng};
use sealwire_core::UnixTime;
use sealwire_core::keys::Pin;

/// There is one core, and no interrupt is ever switched on: nothing can come between.
struct Uninterrupted;

critical_section::set_impl!(Uninterrupted);

// SAFETY: see the type.
unsafe impl critical_section::Impl for Uninterrupted {
    unsafe fn acquire() {}
    unsafe fn release((): ()) {}
}

/// A panic is an exit code.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}

/// Time since the start; stands for a timer.
pub fn clock() -> Duration {
    // SAFETY: SYS_CLOCK takes no argument and returns hundredths of a second.
    let ticks = unsafe { syscall1(nr::CLOCK, 0) };
    Duration::from_millis(10 * ticks as u64)
}

/// The calendar; stands for a clock with a battery.
pub fn unix_time() -> UnixTime {
    // SAFETY: SYS_TIME takes no argument and returns seconds since 1970, unsigned.
    let seconds = unsafe { syscall1(nr::TIME, 0) };
    UnixTime::from_millis(1000 * seconds as u64)
}

/// The gateway's pin, which the host gives on the command line; stands for one burnt into flash.
pub fn expected_pin() -> Pin {
    let mut text = [0u8; 128];
    let mut block = [text.as_mut_ptr() as usize, text.len()];
    // SAFETY: SYS_GET_CMDLINE writes at most as many bytes as the block says to where it says, and the length into the block.
    let failed = unsafe { syscall1(nr::GET_CMDLINE, &raw mut block as usize) } != 0;
    assert!(!failed, "no command line");
    let text = core::str::from_utf8(&text[..block[1]]).expect("a command line is text");
    let pin = text.trim_end_matches('\0').rsplit(' ').next();
    pin.unwrap_or_default()
        .parse()
        .expect("a pin as last argument")
}

/// The host's random source; stands for a hardware generator.
pub struct Entropy {
    file: usize,
}

impl Entropy {
    /// Opens the source.
    pub fn new() -> Self {
        const NAME: &str = "/dev/urandom\0";
        const READ_BINARY: usize = 1;
        let block = [NAME.as_ptr() as usize, READ_BINARY, NAME.len() - 1];
        // SAFETY: SYS_OPEN reads a name of that length, terminated, and returns a handle or -1.
        let file = unsafe { syscall(nr::OPEN, &block) };
        assert_ne!(file, usize::MAX, "no random source");
        Self { file }
    }
}

impl Default for Entropy {
    fn default() -> Self {
        Self::new()
    }
}

impl TryRng for Entropy {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let block = [self.file, out.as_mut_ptr() as usize, out.len()];
        // SAFETY: SYS_READ writes at most that many bytes to where the block says and returns how many it did not.
        let missing = unsafe { syscall(nr::READ, &block) };
        assert_eq!(missing, 0, "the random source ran dry");
        Ok(())
    }
}

impl TryCryptoRng for Entropy {}

/// Prints what memory was used and ends with success.
pub fn finish() -> ! {
    hprintln!("stack {} bytes", stack_used());
    #[cfg(feature = "session")]
    hprintln!(
        "heap {} bytes at most, {} now",
        crate::heap::peak(),
        crate::heap::used()
    );
    loop {
        debug::exit(debug::EXIT_SUCCESS);
    }
}

/// How much of the stack has ever been written: cortex-m-rt painted it before `main`.
fn stack_used() -> usize {
    unsafe extern "C" {
        static _stack_start: u32;
        static _stack_end: u32;
    }
    let (top, end) = (&raw const _stack_start, &raw const _stack_end);
    let mut at = end;
    // SAFETY: the linker script puts the stack, and nothing else, between these two; each read is inside. Volatile, for other
    // frames wrote there.
    unsafe {
        while at < top && at.read_volatile() == cortex_m_rt::STACK_PAINT_VALUE {
            at = at.add(1);
        }
        assert_ne!(at, end, "the stack was too small, and ran into the heap");
        top.byte_offset_from(at) as usize
    }
}
