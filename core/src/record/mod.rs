//! Level 1: single frames, in buffers that the caller owns, without allocation.
//!
//! Phases are types; each call that ends a phase consumes its object and returns the only one that can go on:
//!
//! ```text
//! client   RequestSealer ── seal_end ──▶ ResponseStart ── accept ──▶ ResponseOpener ── END ──▶ Complete
//! server   OpenHeader::parse ▶ (keys) ▶ RequestOpener ── END ──▶ ResponseSealer
//! ```
//!
//! A frame is sealed and opened where it stands: content begins [`CONTENT_OFFSET`](crate::frame::CONTENT_OFFSET) bytes into the
//! frame. Clear frames (OPEN, ACCEPT, REJECT) are put together by the caller: a [`FrameHeader`](crate::frame::FrameHeader), and
//! what follows from here. [`FrameHeader::peek`](crate::frame::FrameHeader::peek) finds the frames in what arrives.
//!
//! What needs a larger buffer says how large ([`Misuse::OutputTooSmall`](crate::Misuse::OutputTooSmall),
//! [`Peek::NeedMore`](crate::frame::Peek::NeedMore)), has changed nothing, and can be called again.
//!
//! What this level leaves to its caller, who has the memory and the clock for it:
//!
//! | | client | gateway |
//! |---|---|---|
//! | keys | [`KeysBody`](crate::keys::KeysBody), its pin judged (TRUST-1); the limits in the record (REC-6) | which key, until when (OPEN-1, OPEN-2): [`Keys`](crate::keys::Keys) |
//! | HEAD | that the response names the request's exchange id (HEAD-6) | the time, and that the request is new (REPLAY-1, REPLAY-2) |
//! | limits | content and wire bytes of the response (LIMIT-1) | the same of the request |
//! | padding | sizes of frames, and cover frames (section 9) | the same |
//! | refusals | REJECT and ACCEPT that come early (ORDER-9); [`ErrorCode::parse`](crate::ErrorCode::parse) | which one (ORDER-4), and reading on (ORDER-3) |
//!
//! CANCEL is sealed before [`accept`](ResponseStart::accept), where the keys of the request end (KEY-3), and kept for the moment in which
//! it is wanted.
//!
//! A whole exchange, with nothing but arrays:
//!
//! ```
//! use sealwire_core::agreement::hpke::kem::DhP256HkdfSha256;
//! use sealwire_core::agreement::hpke::{Kem, Serializable};
//! use sealwire_core::frame::{CONTENT_OFFSET, FrameHeader, FrameType, Peek, RESPONSE_NONCE_LEN};
//! use sealwire_core::head::{RequestHead, ResponseHead};
//! use sealwire_core::record::{OpenHeader, RequestOpener, RequestSealer};
//! use sealwire_core::{KEY_BLOCK_LEN, Misuse, Suite, UnixTime};
//!
//! // The gateway's key, whose record (module `keys`) the client has verified. Real ones are random.
//! let (private, public) = DhP256HkdfSha256::derive_keypair(&[1; 32]);
//! let key_id = [7; 8];
//!
//! // The client: OPEN, HEAD, DATA, END. The seed must come from a random source.
//! let header = OpenHeader::new(Suite::P256, key_id);
//! let (mut seed, mut enc, mut keys) = ([2; 320], [0; 65], [0; KEY_BLOCK_LEN]);
//! let mut sealer = RequestSealer::new(&header, &public.to_bytes(), &mut seed, &mut enc, &mut keys)?;
//! let mut wire = Vec::new();
//! wire.extend(FrameHeader::new(FrameType::Open, OpenHeader::LEN + enc.len())?.to_bytes());
//! wire.extend(header.to_bytes());
//! wire.extend(enc);
//! let mut frame = [0; 1024];
//! let head = RequestHead::new("POST", "/v1/chat/completions", [9; 16], UnixTime::from_millis(1_800_000_000_000));
//! let len = head.encode(&mut frame[CONTENT_OFFSET..])?;
//! sealer.seal_head(&mut frame, len, 256)?;
//! wire.extend(&frame[..256]);
//! frame[CONTENT_OFFSET..CONTENT_OFFSET + 5].copy_from_slice(b"hush!");
//! assert_eq!(sealer.seal_data(&mut frame[..20], 5, 64), Err(Misuse::OutputTooSmall { needed: 64 }));
//! sealer.seal_data(&mut frame, 5, 64)?;
//! wire.extend(&frame[..64]);
//! let start = sealer.seal_end(&mut frame, 22).map_err(|(_, error)| error)?;
//! wire.extend(&frame[..22]);
//!
//! // The gateway: find each frame, open it, and answer once END has opened.
//! let mut next = |wire: &mut Vec<u8>| match FrameHeader::peek(wire, 16_404) {
//!     Ok(Peek::Frame(header)) => (header.kind(), wire.drain(..header.size()).collect::<Vec<u8>>()),
//!     other => panic!("{other:?}"),
//! };
//! let (_, open) = next(&mut wire);
//! let (header, enc) = OpenHeader::parse(&open[4..]).expect("known suite");
//! assert_eq!(header.key_id(), key_id);
//! let mut keys = [0; KEY_BLOCK_LEN];
//! let mut opener = RequestOpener::new(&header, enc, &private.to_bytes(), &mut keys)?;
//! let (_, mut frame) = next(&mut wire);
//! let exchange_id = RequestHead::decode(opener.open(&mut frame)?.content)?.exchange_id;
//! let (_, mut frame) = next(&mut wire);
//! assert_eq!(opener.open(&mut frame)?.content, b"hush!");
//! let (_, mut frame) = next(&mut wire);
//! assert_eq!(opener.open(&mut frame)?.kind, FrameType::End);
//! let response_nonce = [3; RESPONSE_NONCE_LEN]; // random
//! let mut sealer = opener.respond(&response_nonce).ok().expect("HEAD has opened");
//! let mut head = [0; 256];
//! let len = ResponseHead::new(200, exchange_id).encode(&mut head[CONTENT_OFFSET..])?;
//! sealer.seal(FrameType::Head, &mut head, len, 256)?;
//! let mut end = [0; 22];
//! sealer.seal(FrameType::End, &mut end, 0, 22)?;
//!
//! // The client again: ACCEPT brings the response nonce, END the proof that the answer is whole.
//! let mut opener = start.accept(&response_nonce);
//! assert_eq!(ResponseHead::decode(opener.open(&mut head)?.content)?.exchange_id, [9; 16]);
//! opener.open(&mut end)?;
//! let complete = opener.finish()?;
//! # let _ = complete;
//! # Ok::<(), sealwire_core::Error>(())
//! ```

mod cipher;
mod client;
mod server;

pub use cipher::Opened;
#[cfg(feature = "alloc")]
pub(crate) use cipher::{MAX_FRAMES, Opener, Sealer};
pub use client::{Complete, RequestSealer, ResponseOpener, ResponseStart};
#[cfg(feature = "alloc")]
pub(crate) use server::agree;
pub use server::{OpenHeader, RequestOpener, ResponseSealer};
