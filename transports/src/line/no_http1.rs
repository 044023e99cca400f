//! Stands in for HTTP/1.1 where it is not built: there is no value of it, so no code for it either.

use alloc::vec::Vec;
use core::convert::Infallible;

use sealwire_core::Error as CoreError;

use crate::address::Address;
use crate::error::Error;

pub(super) const MAX_KEY_SET: usize = 0;

pub(super) enum Http1 {}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<u32>,
}

impl Reply {
    pub(super) fn is_expected(&self, _: bool) -> bool {
        false
    }
}

impl Http1 {
    pub(super) fn new(_: &Address, _: bool) -> Result<Self, Error> {
        Err(Error::config(
            "this build has no HTTP: it needs the feature `std`",
        ))
    }

    pub(super) fn is_fetch(&self) -> bool {
        match *self {}
    }

    pub(super) fn has_replied(&self) -> bool {
        match *self {}
    }

    pub(super) fn is_over(&self) -> bool {
        match *self {}
    }

    pub(super) fn is_reusable(&self) -> bool {
        match *self {}
    }

    pub(super) fn stop_sending(&mut self) {
        match *self {}
    }

    pub(super) fn transmit(
        &mut self,
        _: &mut [u8],
        _: impl FnMut(&mut [u8]) -> Result<usize, CoreError>,
    ) -> Result<usize, Error> {
        match *self {}
    }

    pub(super) fn handle_input(
        &mut self,
        _: &[u8],
        _: impl FnMut(Reply) -> bool,
    ) -> Result<(), Infallible> {
        match *self {}
    }

    pub(super) fn read(&mut self, _: &mut Vec<u8>) -> Result<(), Infallible> {
        match *self {}
    }

    pub(super) fn handle_eof(&self) -> bool {
        match *self {}
    }
}
