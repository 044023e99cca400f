//! What an adapter's loop is to everything above it.

use alloc::boxed::Box;
use core::future::poll_fn;
use core::task::{Context, Poll};

use sealwire_core::keys::KeySet;
use sealwire_memlock::SecureBytes;

use super::answer::Metadata;
use crate::error::Error;

/// Carries one request to its answer. Dropping it cancels.
pub trait Drive {
    /// The next event of the answer; `None` once it was whole. A loop that blocks is never pending.
    #[doc(hidden)]
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Error>>;

    /// The gateway's keys, once a task that wanted no more is done.
    #[doc(hidden)]
    fn key_set(&self) -> Result<KeySet, Error>;
}

impl<D: Drive + ?Sized> Drive for Box<D> {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Error>> {
        (**self).poll_event(cx)
    }

    fn key_set(&self) -> Result<KeySet, Error> {
        (**self).key_set()
    }
}

/// What an answer brings, in memory of its own.
#[derive(Debug)]
pub enum Event {
    /// It has begun.
    Head(Metadata),
    /// The next bytes of the body.
    Data(SecureBytes),
    /// It was whole.
    Complete,
}

pub(super) async fn next<D: Drive>(driver: &mut D) -> Result<Option<Event>, Error> {
    poll_fn(|cx| driver.poll_event(cx)).await
}
