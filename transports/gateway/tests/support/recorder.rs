//! An onlooker: a TCP proxy that keeps every byte of both directions.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A proxy on a loopback port, until the process ends.
pub struct Recorder {
    pub url: String,
    recorded: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    /// In front of the gateway at `address`.
    pub fn start(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let recorded = Arc::<Mutex<Vec<u8>>>::default();
        let (kept, address) = (recorded.clone(), address.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let gateway = TcpStream::connect(&address).expect("the gateway listens");
                relay(&client, &gateway, &kept);
                relay(&gateway, &client, &kept);
            }
        });
        Self { url, recorded }
    }

    /// Every byte so far.
    pub fn recorded(&self) -> Vec<u8> {
        self.recorded.lock().expect("no panic").clone()
    }

    /// Checks that no part of `secret` of eight bytes or more is there, as it is, in hexadecimal or in base64.
    #[track_caller]
    pub fn never_saw(&self, secret: &str) {
        let recorded = self.recorded();
        for window in secret.as_bytes().windows(8) {
            let hex: String = window.iter().map(|byte| format!("{byte:02x}")).collect();
            for form in [window.to_vec(), hex.to_uppercase().into(), hex.into_bytes()] {
                assert!(
                    !holds(&recorded, &form),
                    "a part of {secret:?} was recorded"
                );
            }
        }
        for start in 0..3.min(secret.len()) {
            let form = base64(&secret.as_bytes()[start..]);
            assert!(
                form.len() < 8 || !holds(&recorded, &form),
                "{secret:?} was recorded"
            );
        }
    }
}

fn relay(from: &TcpStream, to: &TcpStream, kept: &Arc<Mutex<Vec<u8>>>) {
    let (mut from, mut to) = (from.try_clone().expect("TCP"), to.try_clone().expect("TCP"));
    let kept = kept.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            kept.lock()
                .expect("no panic")
                .extend_from_slice(&buffer[..count]);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

pub fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Base64 of the whole groups of three bytes.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |group: &[u8]| {
        let bits = group
            .iter()
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize])
    };
    bytes.chunks_exact(3).flat_map(digits).collect()
}
