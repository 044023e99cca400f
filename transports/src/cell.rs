//! State that a client shares with itself: between threads where there are threads.

#[cfg(feature = "_host")]
pub(crate) use host::Cell;
#[cfg(not(feature = "_host"))]
pub(crate) use single::Cell;

#[cfg(feature = "_host")]
mod host {
    use std::sync::{Mutex, PoisonError};

    #[derive(Default)]
    pub(crate) struct Cell<T>(Mutex<T>);

    impl<T> Cell<T> {
        pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            // A panic elsewhere cannot have left it half written: what is done under the lock is a clone or a move.
            f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }
}

#[cfg(not(feature = "_host"))]
mod single {
    use core::cell::RefCell;

    #[derive(Default)]
    pub(crate) struct Cell<T>(RefCell<T>);

    impl<T> Cell<T> {
        pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            // No caller's `f` calls back.
            f(&mut self.0.borrow_mut())
        }
    }
}
