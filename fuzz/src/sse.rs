//! Server-sent events read another way: the whole stream at once, line by line, as section 9.2.6 of the HTML Standard puts it.
//! Slow and plain, to hold the incremental parser against.

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub event: String,
    /// Its data.
    pub data: String,
    /// The last event id.
    pub id: String,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// Between two events.
    Clean,
    /// Within one.
    Within,
    /// A value that is kept is not UTF-8.
    NotUtf8,
}

/// What a stream tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeStream {
    /// Its events.
    pub events: Vec<Event>,
    /// How it ended.
    pub end: StreamEnd,
    /// The reconnection time.
    pub retry: Option<u64>,
    /// The id of the last event that ended and had one.
    pub last_event_id: String,
}

/// Reads a whole stream.
pub fn read_whole_stream(stream: &[u8]) -> WholeStream {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let (mut events, mut retry, mut last_event_id) = (Vec::new(), None, String::new());
    let (mut event, mut data, mut id) = (String::new(), String::new(), String::new());
    let mut lines = lines(stream);
    // What no line end follows is not a line; it is discarded.
    let rest = lines.pop().unwrap_or_default();
    for line in lines {
        if line.is_empty() {
            last_event_id.clone_from(&id);
            if !data.is_empty() {
                data.pop();
                let event = match event.is_empty() {
                    true => "message".into(),
                    false => event.clone(),
                };
                events.push(Event {
                    event,
                    data: std::mem::take(&mut data),
                    id: id.clone(),
                });
            }
            event.clear();
            continue;
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = std::str::from_utf8(value).map(str::to_owned);
        match (field, text) {
            (b"id", _) if value.contains(&0) => {}
            (b"data" | b"event" | b"id", Err(_)) => {
                return WholeStream {
                    events,
                    end: StreamEnd::NotUtf8,
                    retry,
                    last_event_id,
                };
            }
            (b"data", Ok(text)) => data = data + &text + "\n",
            (b"event", Ok(text)) => event = text,
            (b"id", Ok(text)) => id = text,
            (b"retry", Ok(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                retry = text.parse().ok().or(retry);
            }
            _ => {}
        }
    }
    let is_comment = rest.starts_with(b":");
    let clean = data.is_empty() && event.is_empty() && (rest.is_empty() || is_comment);
    // A mark that there is nothing more lacks nothing.
    let last = match data.as_str() {
        "" => rest.strip_prefix(b"data:").unwrap_or_default(),
        data if rest.is_empty() || is_comment => data.as_bytes(),
        _ => b"",
    };
    let end = match clean || is_done(last) {
        true => StreamEnd::Clean,
        false => StreamEnd::Within,
    };
    WholeStream {
        events,
        end,
        retry,
        last_event_id,
    }
}

/// Whether data is that of the last event of a chat.
pub fn is_done(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

/// Splits at CRLF, LF and CR; the last item has no line end behind it.
fn lines(stream: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    while at < stream.len() {
        let len = match &stream[at..] {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => {
                at += 1;
                continue;
            }
        };
        lines.push(&stream[start..at]);
        at += len;
        start = at;
    }
    lines.push(&stream[start..]);
    lines
}
