//! A request made ready: keys agreed on, OPEN and HEAD waiting to leave.

use rand_core::TryCryptoRng;
use sealwire_memlock::SecureMemory;
use sha2::{Digest, Sha256};

use super::ClientOptions;
use crate::agreement::{KeyAgreement, SEED_LEN, encapsulate_by};
use crate::error::{Environment, Error};
use crate::exchange::incoming::Incoming;
use crate::exchange::outgoing::{Outgoing, Queue};
use crate::exchange::request::Request;
use crate::frame::{FrameHeader, FrameType, MIN_MAX_FRAME};
use crate::head::EXCHANGE_ID_LEN;
use crate::keys::GatewayKey;
use crate::record::{OpenHeader, Sealer};
use crate::schedule::{KEY_BLOCK_LEN, KeyBlock};
use crate::suite::{RecordAead, Suite};
use crate::time::UnixTime;

/// What [`ClientExchange::with_agreement`](super::ClientExchange::with_agreement) makes before it takes the request.
pub(super) struct Prepared<A> {
    pub(super) outgoing: Outgoing<A>,
    pub(super) enc_digest: Sha256,
    pub(super) exchange_id: [u8; EXCHANGE_ID_LEN],
    pub(super) incoming: Incoming,
}

impl<A: RecordAead> Prepared<A> {
    pub(super) fn new<R: TryCryptoRng + ?Sized>(
        memory: &SecureMemory,
        agreement: &dyn KeyAgreement,
        key: &GatewayKey,
        request: &Request,
        now: UnixTime,
        options: ClientOptions,
        rng: &mut R,
    ) -> Result<Self, Error> {
        let mut seed = memory.array::<SEED_LEN>()?;
        rng.try_fill_bytes(seed.expose_mut())
            .map_err(|_| Environment::Random)?;
        let mut exchange_id = [0; EXCHANGE_ID_LEN];
        rng.try_fill_bytes(&mut exchange_id)
            .map_err(|_| Environment::Random)?;

        let header = OpenHeader::new(key.suite, key.key_id);
        let mut enc = [0; Suite::MAX_ENC_LEN];
        let enc = &mut enc[..key.suite.enc_len()];
        let mut keys = KeyBlock::new(memory.array::<KEY_BLOCK_LEN>()?);
        let public_key = &key.public_key;
        encapsulate_by(
            agreement,
            &header,
            public_key,
            seed.expose_mut(),
            enc,
            keys.secrets_mut(),
        )?;

        let mut queue = Queue::default();
        let open = FrameHeader::new(FrameType::Open, OpenHeader::LEN + enc.len())?;
        queue.push(&open.to_bytes());
        queue.push(&header.to_bytes());
        queue.push(enc);

        let max_frame = options.request_frame.min(key.max_frame as usize);
        let mut outgoing =
            Outgoing::new(Sealer::new(keys), memory, options.padding, max_frame, queue)?;
        outgoing.head(|out| {
            request.encode_head(
                exchange_id,
                now,
                options.response.frame,
                options.response_padding,
                out,
            )
        })?;
        let incoming = Incoming::new(memory, options.response, MIN_MAX_FRAME)?;
        Ok(Self {
            outgoing,
            enc_digest: Sha256::new_with_prefix(enc),
            exchange_id,
            incoming,
        })
    }
}
