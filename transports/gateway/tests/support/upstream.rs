//! An upstream that does as it is told: HTTP by hand, so that it can also be wrong.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// Request line and fields, as they came.
    pub head: String,
    pub body: String,
}

/// A server on a loopback port, until the process ends.
pub struct Upstream {
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Upstream {
    /// Each connection brings one request, which `answer` answers by writing to the stream.
    pub fn start(answer: impl Fn(&Received, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let (kept, answer) = (received.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, answer) = (kept.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.expect("a connection");
                    stream.set_nodelay(true).expect("TCP");
                    if let Some(request) = read(&stream) {
                        kept.lock().expect("no panic").push(request.clone());
                        answer(&request, &mut stream);
                    }
                });
            }
        });
        Self { url, received }
    }

    /// The same bytes for every request.
    pub fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, stream| send(stream, &bytes))
    }

    /// An answer of this status, with a body in JSON and more fields.
    pub fn status(status: &str, fields: &str, body: &str) -> Self {
        Self::saying(format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{fields}\r\n{body}",
            body.len()
        ))
    }

    /// What has arrived.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }
}

/// A chat server: it streams `words` or answers with them as a whole, as the request asks.
pub fn answering(words: &'static [&'static str]) -> Upstream {
    Upstream::start(move |request, stream| {
        if request.body.contains("\"stream\":true") {
            send(stream, STREAM_HEAD);
            for word in words {
                send(stream, &chunk(&event(word)));
            }
            send(stream, &chunk(FINISHED));
            send(stream, &chunk("data: [DONE]\n\n"));
            send(stream, b"0\r\n\r\n");
        } else {
            let text = json_string(&words.concat());
            let body = format!(
                r#"{{"id":"1","object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":{text}}},"finish_reason":"stop"}}]}}"#
            );
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
            let len = body.len();
            send(
                stream,
                format!("{head}content-length: {len}\r\n\r\n{body}").as_bytes(),
            );
        }
    })
}

/// How a streamed answer begins.
pub const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    transfer-encoding: chunked\r\nconnection: close\r\n\r\n";

/// The last event of an answer but `[DONE]`.
pub const FINISHED: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

/// An event with a piece of an answer.
pub fn event(text: &str) -> String {
    let text = json_string(text);
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}}}}]}}\n\n")
}

/// A chunk of HTTP.
pub fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// Writes; a client that is gone is no failure of a test's.
pub fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

fn json_string(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c < ' ' => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Received {
        head,
        body: String::from_utf8(body).ok()?,
    })
}
