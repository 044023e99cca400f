//! Chats at and beyond the limit of locked memory, and without secure memory: each test in a process of its own.
#![cfg(target_os = "linux")]

#[path = "scans/answers.rs"]
#[allow(dead_code, reason = "the residue tests use the rest")]
mod answers;
#[path = "scans/clients.rs"]
#[allow(dead_code, reason = "the residue tests use the rest")]
mod clients;
#[path = "scans/path.rs"]
#[allow(dead_code, reason = "the residue tests use the rest")]
mod path;

use std::io::{ErrorKind as IoError, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use sealwire::chat::{ChatRequest, Message};
use sealwire::core::exchange::ReceivedRequest;
use sealwire::core::keys::{Identity, KeyRing, Pin, RecordLimits};
use sealwire::core::{ErrorCode, Suite};
use sealwire::hyper::{Gateway, SecureChatCompletion, Versions};
use sealwire::memlock::{
    MemoryError, Policy, Protection, ProtectionLevel, SecureBytes, SecureMemory,
    memory_protection_info,
};
use sealwire::server::GatewayConfig;
use sealwire::{ClientBuilder, ErrorKind, Settings};
use sealwire_scanner::{isolated, limit_locks};
use sealwire_tests::marker::Marker;

use clients::{on_tokio, serve};
use path::Path;

const KIB: u64 = 1024;

/// A gateway in this process.
fn gateway(memory: SecureMemory) -> (SocketAddr, Pin) {
    let identity = Identity::generate(&memory, &mut getrandom::SysRng).expect("memory");
    let pin = identity.pin();
    let ring = KeyRing::new(
        identity,
        Suite::ALL,
        RecordLimits::default(),
        memory.clone(),
    );
    let handler = |_: ReceivedRequest| async {
        Ok::<_, ErrorCode>(answers::whole(Path::Plain, Marker::answer(0)))
    };
    let gateway = Gateway::new(GatewayConfig::new(memory), ring, handler).expect("memory");
    (serve(gateway), pin)
}

fn client(address: SocketAddr, pin: Pin) -> ClientBuilder<Settings<Versions>> {
    SecureChatCompletion::builder(format!("http://{address}"))
        .allow_http(true)
        .max_retries(0)
        .pin(pin)
}

/// Takes all that can be locked, but for some small slots.
fn fill_up() -> Vec<SecureBytes> {
    let memory = SecureMemory::new(Policy::Required);
    std::iter::from_fn(|| memory.alloc(32).ok()).collect()
}

fn chat() -> ChatRequest<'static> {
    ChatRequest::new("m").message(Message::user("hello"))
}

#[test]
fn best_effort_goes_on_beyond_the_limit_and_says_so() {
    isolated("best_effort_goes_on_beyond_the_limit_and_says_so", || {
        limit_locks(64 * KIB);
        let memory = SecureMemory::new(Policy::BestEffort);
        let (address, pin) = gateway(memory.clone());
        let client = client(address, pin).api_key("sk-1").memory(memory.clone());
        let client = client.build().expect("configured");
        let answer = on_tokio(client.create(&chat())).expect("answered");
        assert_eq!(
            memory.protection_info().protection_level,
            ProtectionLevel::Full
        );
        drop(answer);

        let all = fill_up();
        let answer = on_tokio(client.create(&chat())).expect("answered all the same");
        let info = memory.protection_info();
        assert_eq!(info.protection_level, ProtectionLevel::ZeroingOnly);
        assert!(
            info.unlocked_allocations > 0 && info.unlocked_bytes > 0,
            "{info:?}"
        );
        assert!(matches!(
            info.last_error,
            Some(MemoryError::LockRefused { .. })
        ));
        drop((answer, all));
    });
}

#[test]
fn best_effort_chats_where_nothing_can_be_locked() {
    isolated("best_effort_chats_where_nothing_can_be_locked", || {
        limit_locks(0);
        let memory = SecureMemory::new(Policy::BestEffort);
        let (address, pin) = gateway(memory.clone());
        let client = client(address, pin).api_key("sk-1").memory(memory.clone());
        let client = client.build().expect("configured");
        let answer = on_tokio(client.create(&chat())).expect("answered");
        let info = memory.protection_info();
        assert_eq!(info.protection_level, ProtectionLevel::ZeroingOnly);
        assert!(
            info.locked_bytes == 0 && info.unlocked_bytes > 0,
            "{info:?}"
        );
        drop(answer);
    });
}

#[test]
fn required_refuses_before_anything_is_sent() {
    isolated("required_refuses_before_anything_is_sent", || {
        limit_locks(0);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("TCP");
        let address = listener.local_addr().expect("bound");
        let pin = Pin::from_bytes([7; 32]);
        let required = || client(address, pin).memory(SecureMemory::new(Policy::Required));
        let error = required().api_key("sk-1").build().expect_err("not locked");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("ulimit -l"), "{error}");
        let client = required().build().expect("nothing to be kept yet");
        let error = on_tokio(client.create(&chat())).expect_err("not locked");
        assert_eq!(error.kind(), ErrorKind::Config);
        let accepted = listener.accept().expect_err("no connection was made");
        assert_eq!(accepted.kind(), IoError::WouldBlock);
    });
}

#[test]
fn a_gateway_that_requires_locks_refuses_before_a_byte_is_read() {
    isolated(
        "a_gateway_that_requires_locks_refuses_before_a_byte_is_read",
        || {
            limit_locks(64 * KIB);
            let (address, _) = gateway(SecureMemory::new(Policy::Required));
            let all = fill_up();
            let mut stream = TcpStream::connect(address).expect("it listens");
            // The body never comes.
            let head = "POST /sealwire/v1 HTTP/1.1\r\nhost: g\r\ncontent-type: application/sealwire\r\ncontent-length: 9999\r\n\r\n";
            stream.write_all(head.as_bytes()).expect("sent");
            let mut status = [0; 12];
            stream.read_exact(&mut status).expect("an answer");
            assert_eq!(&status, b"HTTP/1.1 503");
            drop(all);
        },
    );
}

#[test]
fn secure_memory_can_be_switched_off_for_one_client() {
    isolated("secure_memory_can_be_switched_off_for_one_client", || {
        let (address, pin) = gateway(SecureMemory::new(Policy::BestEffort));
        let answer_of = |secure| {
            let client = client(address, pin).api_key("sk-1").secure_memory(secure);
            let client = client.build().expect("configured");
            let body = client
                .memory()
                .copy_from(br#"{"messages":[]}"#)
                .expect("memory");
            let answer = client.request("POST", "/v1/chat/completions", body);
            (
                on_tokio(answer).expect("answered").into_body(),
                client.memory().clone(),
            )
        };
        let (on, memory) = answer_of(true);
        assert_eq!(on.protection(), Protection::Locked);
        assert_eq!(
            memory.protection_info().protection_level,
            ProtectionLevel::Full
        );
        let (off, memory) = answer_of(false);
        assert_eq!(memory.policy(), Policy::Off);
        assert_eq!(off.protection(), Protection::Wiped);
        assert_eq!(
            memory.protection_info().protection_level,
            ProtectionLevel::None
        );
        // What was asked for counts as nothing missing.
        assert_eq!(memory_protection_info().unlocked_allocations, 0);
        assert_eq!(
            memory_protection_info().protection_level,
            ProtectionLevel::Full
        );
    });
}
