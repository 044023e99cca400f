//! A stretch of address space with a guard at either end, opened from the front as it is needed.
//!
//! ```text
//!   base        data                    data + committed              base + total
//!    | no access | readable, writable, locked |    not opened yet    | no access |
//!      a page                                                           a page
//! ```
//!
//! Opening from the front keeps the open part one mapping, whatever its size, and what is not open
//! guards it and is not locked: the lock limit is spent on pages that are in use.

use core::ptr::NonNull;

use super::{
    Failure, Kind,
    os::{Advice, Os, System},
    secret::SecretFile,
};

/// Guarded pages. Dropping them gives them back to the system; the owner has wiped them by then.
pub(super) struct Region {
    base: NonNull<u8>,
    total: usize,
    page: usize,
    committed: usize,
    kind: Kind,
    advice: Advice,
    secret: Option<SecretFile>,
}

impl Region {
    /// Address space for `len` bytes, none of them open.
    pub(super) fn reserve(len: usize, kind: Kind) -> Result<Self, Failure> {
        let page = System::page_size();
        let total = len
            .checked_next_multiple_of(page)
            .and_then(|len| len.checked_add(2 * page))
            .filter(|total| isize::try_from(*total).is_ok())
            .ok_or(Failure::Map)?;
        let base = System::reserve(total).map_err(|_| Failure::Map)?;
        let mut region = Self {
            base,
            total,
            page,
            committed: 0,
            kind,
            advice: Advice::default(),
            secret: None,
        };
        if kind == Kind::Secret {
            let file = SecretFile::create(region.len());
            region.secret = Some(file.map_err(|code| Failure::NoSecret { code })?);
        }
        // SAFETY: the range was just reserved and is ours.
        region.advice = unsafe { System::advise(base, total) };
        Ok(region)
    }

    /// A region all of which is open.
    pub(super) fn open(len: usize, kind: Kind) -> Result<Self, Failure> {
        let mut region = Self::reserve(len, kind)?;
        region.commit_to(region.len())?;
        Ok(region)
    }

    /// The first byte after the lower guard.
    pub(super) fn data(&self) -> NonNull<u8> {
        // SAFETY: the reservation is longer than its two guards.
        unsafe { self.base.add(self.page) }
    }

    /// Bytes between the guards.
    pub(super) fn len(&self) -> usize {
        self.total - 2 * self.page
    }

    /// Bytes that are open, from the front.
    pub(super) fn committed(&self) -> usize {
        self.committed
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn advice(&self) -> Advice {
        self.advice
    }

    /// Opens the region up to `end`, rounded up to a page, and locks what is new if it should be
    /// locked. New bytes are zero. On failure nothing has changed.
    pub(super) fn commit_to(&mut self, end: usize) -> Result<(), Failure> {
        let end = end.next_multiple_of(self.page).min(self.len());
        let Some(more @ 1..) = end.checked_sub(self.committed) else {
            return Ok(());
        };
        // SAFETY: the offset lies between the guards.
        let at = unsafe { self.data().add(self.committed) };
        let refused = |code| Failure::Lock {
            code,
            requested: more,
        };
        match &self.secret {
            // SAFETY: the range is reserved, ours, and not yet open.
            Some(file) => unsafe { file.map(at, more, self.committed) }.map_err(refused)?,
            None => {
                // SAFETY: the range is reserved, ours, and not yet open.
                unsafe { System::commit(at, more) }.map_err(|_| Failure::Map)?;
                if self.kind == Kind::Locked {
                    // SAFETY: the range was just opened, and nothing points into it yet.
                    unsafe {
                        System::lock(at, more).map_err(|code| {
                            System::decommit(at, more);
                            refused(code)
                        })?;
                    }
                }
            }
        }
        self.committed = end;
        Ok(())
    }

    /// Closes the region from `end` on, rounded up to a page.
    ///
    /// # Safety
    /// Nothing is in use from `end` on, and what was there has been wiped.
    pub(super) unsafe fn shrink_to(&mut self, end: usize) {
        let end = end.next_multiple_of(self.page);
        // The pages of a secret file cannot be given back one by one.
        if end < self.committed && self.secret.is_none() {
            // SAFETY: the range is open, ours, and no longer in use, as the caller promises.
            unsafe {
                let at = self.data().add(end);
                if self.kind == Kind::Locked {
                    System::unlock(at, self.committed - end);
                }
                System::decommit(at, self.committed - end);
            }
            self.committed = end;
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the range was reserved as a whole, and its owner is gone.
        unsafe { System::release(self.base, self.total) }
    }
}

// SAFETY: a region is owned memory; nothing about it belongs to a thread.
unsafe impl Send for Region {}
