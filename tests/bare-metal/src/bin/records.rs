//! The record level without an allocator: fetches keys, seals a chat request, opens its answer, all in two buffers.
#![no_std]
#![no_main]

use core::time::Duration;

use cortex_m_rt::entry;
use cortex_m_semihosting::hprintln;
use rand_core::TryRng;
use sealwire_bare_metal::{
    BODY, BUFFER, Entropy, Line, LineError, MAX_FRAME, SUITE, clock, expected_pin, finish,
    repeats_prompt, unix_time,
};
use sealwire_core::frame::{CONTENT_OFFSET, FrameHeader, FrameType, HEADER_LEN, VERSION};
use sealwire_core::head::{RequestHead, ResponseHead};
use sealwire_core::keys::KeysBody;
use sealwire_core::record::{OpenHeader, RequestSealer};
use sealwire_core::{ErrorCode, KEY_BLOCK_LEN, Suite};

const PATIENCE: Duration = Duration::from_secs(60);

/// The key to seal to, copied out of the key set.
struct Key {
    id: [u8; 8],
    public: [u8; Suite::MAX_PUBLIC_KEY_LEN],
}

#[entry]
fn main() -> ! {
    let mut line = Line::open();
    let mut entropy = Entropy::new();
    let mut buffer = [0; BUFFER];
    let mut block = [0; KEY_BLOCK_LEN];
    let mut seed = [0; RequestSealer::<&mut [u8; KEY_BLOCK_LEN]>::SEED_LEN];
    let mut exchange_id = [0; 16];

    let key = fetch_key(&mut line, &mut buffer);

    // OPEN
    let Ok(()) = entropy.try_fill_bytes(&mut seed);
    let Ok(()) = entropy.try_fill_bytes(&mut exchange_id);
    let header = OpenHeader::new(SUITE, key.id);
    let (enc_at, open_len) = (
        HEADER_LEN + OpenHeader::LEN,
        OpenHeader::LEN + SUITE.enc_len(),
    );
    let open = FrameHeader::new(FrameType::Open, open_len).expect("a length that OPEN has");
    buffer[..HEADER_LEN].copy_from_slice(&open.to_bytes());
    buffer[HEADER_LEN..enc_at].copy_from_slice(&header.to_bytes());
    let enc = &mut buffer[enc_at..enc_at + SUITE.enc_len()];
    let public = &key.public[..SUITE.public_key_len()];
    let mut sealer =
        RequestSealer::new(&header, public, &mut seed, enc, &mut block).expect("a valid key");
    line.send(&buffer[..open.size()]);

    // HEAD, DATA, END: each is sealed where it stands. A device that sends few different requests need not pad (PAD-1).
    let mut head = RequestHead::new("POST", "/v1/chat/completions", exchange_id, unix_time());
    head.content_type = Some("application/json");
    head.max_frame = MAX_FRAME as u32;
    let len = head
        .encode(&mut buffer[CONTENT_OFFSET..])
        .expect("a valid head");
    sealer.seal_head(&mut buffer, len, 0).expect("it fits");
    send(&mut line, &buffer);
    buffer[CONTENT_OFFSET..][..BODY.len()].copy_from_slice(BODY.as_bytes());
    sealer
        .seal_data(&mut buffer, BODY.len(), 0)
        .expect("it fits");
    send(&mut line, &buffer);
    let Ok(start) = sealer.seal_end(&mut buffer, 0) else {
        panic!("END fits");
    };
    send(&mut line, &buffer);

    // ACCEPT, then the answer up to its END.
    let size = receive_first(&mut line, &mut buffer).expect("an answer");
    let nonce = buffer[HEADER_LEN..size]
        .try_into()
        .expect("ACCEPT has one length");
    let mut opener = start.accept(nonce);
    let mut repeated = false;
    loop {
        let opened = opener
            .open(receive(&mut line, &mut buffer))
            .expect("a frame that authenticates");
        match opened.kind {
            FrameType::Head => {
                let head = ResponseHead::decode(opened.content).expect("a valid head");
                assert_eq!(head.exchange_id, exchange_id, "another exchange's answer");
                assert_eq!(head.status, 200);
            }
            // The answer is known here to fit one frame; with longer ones an incremental parser takes the pieces.
            FrameType::Data => repeated |= repeats_prompt(opened.content),
            FrameType::End => break,
            _ => panic!(
                "the gateway refused: {:?}",
                ErrorCode::parse(opened.content)
            ),
        }
    }
    let _complete = opener.finish().expect("END was opened");
    assert!(repeated, "the answer is another one");
    hprintln!("records, {}: complete", SUITE.name());
    finish()
}

/// Asks for the key set, checks its identity against the pin and its records' signatures, and takes the newest key of our suite.
/// A packet that holds no frame may have been the set, and ends the fetch (RAW-4): it is asked for again, once.
fn fetch_key(line: &mut Line, buffer: &mut [u8; BUFFER]) -> Key {
    let mut fetch = || {
        line.send(&[FrameType::KeysRequest as u8, 0, 0, 1, VERSION]);
        receive_first(line, buffer)
    };
    let size = match fetch() {
        Err(LineError::Lost) => fetch(),
        result => result,
    };
    let frame = &buffer[..size.expect("an answer")];
    let keys = KeysBody::parse(&frame[HEADER_LEN..]).expect("a key set");
    assert_eq!(keys.pin(), expected_pin(), "another gateway");
    let (record, id) = keys.select(SUITE, unix_time()).expect("a key of our suite");
    assert!(
        record.max_request as usize >= BODY.len(),
        "the gateway takes less"
    );
    let mut public = [0; Suite::MAX_PUBLIC_KEY_LEN];
    public[..record.public_key.len()].copy_from_slice(record.public_key);
    Key { id, public }
}

/// Sends the sealed frame at the start of `buffer`.
fn send(line: &mut Line, buffer: &[u8]) {
    let header = buffer.first_chunk().expect("larger than a header");
    let size = FrameHeader::parse(*header).expect("just sealed").size();
    line.send(&buffer[..size]);
}

/// Receives the frame that an answer begins with.
fn receive_first(line: &mut Line, buffer: &mut [u8; BUFFER]) -> Result<usize, LineError> {
    let size = line.receive(buffer, clock() + PATIENCE)?;
    assert_ne!(buffer[0], FrameType::Reject as u8, "rejected");
    Ok(size)
}

/// The next frame of an answer.
fn receive<'a>(line: &mut Line, buffer: &'a mut [u8; BUFFER]) -> &'a mut [u8] {
    let size = line
        .receive(buffer, clock() + PATIENCE)
        .expect("the answer goes on");
    &mut buffer[..size]
}
