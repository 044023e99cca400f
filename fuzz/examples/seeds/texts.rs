//! Seeds that are texts: JSON, chat bodies, event streams, frame headers.

use crate::Seeds;

const JSON: &[&str] = &[
    "null",
    " true ",
    "-0",
    "1.5e+300",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    r#""""#,
    r#""plain""#,
    r#""\"\\\/\b\f\n\r\t""#,
    r#""caf\u00e9 \ud83d\ude00 é😀""#,
    r#""\ud800""#,
    r#""\udc00\ud800""#,
    r#""\u00""#,
    r#""\x""#,
    "[]",
    "{}",
    r#"[1, [2, {"a": [3]}], "]"]"#,
    r#"{"a": 1, "\u0061": 2, "b": {"c": null}}"#,
    "[1,]",
    "{\"a\" 1}",
    "01",
    "\"\u{1}\"",
    "nul",
    r"caf\u00e9 \ud83d\ude00",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

const ANSWERS: &[&str] = &[
    r#"{"id":"c1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi\n\u00e9","refusal":null},"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0}}}"#,
    r#"{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"type":"custom","custom":{"name":"g","input":"x"}}]}}]}"#,
    r#"{"choices":[{"message":{"content":[{"type":"text","text":"part"}],"reasoning_content":"hm","annotations":[]}}]}"#,
    r#"{"choices":[],"created":1.7e9}"#,
    r#"{"choices":[{}]}"#,
    r#"{"choices":[],"choices":[]}"#,
    r#"{"error":{"message":"no","type":"invalid_request_error","code":"x","param":"p"}}"#,
    r#"{"error":"no"}"#,
    r#"{"detail":[{"msg":"no"}]}"#,
    r#"{"object":"error","message":"no","code":404}"#,
    "{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"}}]}\n{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}]}\n{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n{\"choices\":[],\"usage\":{\"total_tokens\":3}}",
    "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}},{\"index\":1,\"delta\":{\"content\":\"b\"}}]}\n{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"c\",\"refusal\":\"d\"}}]}",
    "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}}]}\n{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"}\"}},{\"function\":{\"arguments\":\"x\"}}]}}]}",
    "{\"choices\":[{\"delta\":{\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}}}]}\n{\"error\":{\"message\":\"late\"}}",
    r#"{"choices":[{"message":{"content":"half"},"delta":{},"finish_reason":"error","error":{"message":"no"}}]}"#,
    r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"type":"reference","reference_ids":[0]}]}}],"x_groq":{"usage":{"total_tokens":1}}}"#,
    "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"1\"}},{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"2\"},\"extra_content\":{\"s\":1}}]}}]}\n{\"x_groq\":{\"error\":\"over\"},\"choices\":[]}",
    r#"{"statusCode":401,"message":"no"}"#,
];

const STREAMS: &[&str] = &[
    "data: a\n\n",
    "data: a\r\rdata: b\r\n\r\ndata:c\n\n",
    ": comment\n\ndata\n\n",
    "data:\ndata:\n\n",
    "\u{feff}data: with a mark\n\n",
    "event: x\nid: 1\nretry: 250\ndata: y\n\ndata: z\n\n",
    "id: a\0b\ndata: q\n\n",
    "event: only\n\ndata: [DONE]\n\n",
    "retry: -1\nretry: 99999999999999999999\nunknown: x\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\ndata: [DONE]\n\n",
    "data: cut",
    "data: cut\n",
    "data: {\"choices\":[]}\n\ndata:\n\ndata: [DONE]",
    "data: {\"choices\":[]}\n\nevent: end\ndata: [DONE]\r",
];

pub(crate) fn write(seeds: &mut Seeds) {
    for (at, text) in JSON.iter().enumerate() {
        seeds.add("json", &format!("text-{at:02}"), text.as_bytes());
    }
    let deep = ["[".repeat(128), "]".repeat(128)].concat();
    seeds.add("json", "deep-128", deep.as_bytes());
    for (at, text) in ANSWERS.iter().enumerate() {
        seeds.add("answer", &format!("body-{at:02}"), text.as_bytes());
        seeds.add("json", &format!("body-{at:02}"), text.as_bytes());
        let whole = [&[1, 2], text.as_bytes()].concat();
        seeds.add("reader", &format!("body-{at:02}"), &whole);
        let events: String = text
            .lines()
            .map(|line| format!("data: {line}\n\n"))
            .collect();
        let stream = [&[0, 0], events.as_bytes(), b"data: [DONE]\n\n"].concat();
        seeds.add("reader", &format!("chunks-{at:02}"), &stream);
    }
    seeds.add(
        "reader",
        "refused",
        b"\0\x03{\"error\":{\"message\":\"no\"}}",
    );
    for (at, text) in STREAMS.iter().enumerate() {
        let (how, limit) = ((at % 3) as u8, 64);
        let bytes = [&[how, limit], text.as_bytes()].concat();
        seeds.add("sse", &format!("stream-{at:02}"), &bytes);
        let bytes = [&[how, 0], text.as_bytes()].concat();
        seeds.add("reader", &format!("stream-{at:02}"), &bytes);
    }
    seeds.add("sse", "not-utf8", b"\0\x40data: \xff\n\n");
    seeds.add("sse", "half-a-mark", b"\0\x40\xef\xbbdata: x\n\n");
    for (kind, len) in [
        (1, 1_u32),
        (2, 65_535),
        (3, 80),
        (3, 1168),
        (4, 32),
        (5, 1),
        (6, 16),
        (16, 18),
        (17, 17),
        (17, 16_400),
        (18, 18),
        (19, 19),
        (20, 18),
        (17, 0x00ff_ffff),
    ] {
        let [_, a, b, c] = len.to_be_bytes();
        seeds.add("frame", &format!("{kind:02x}-{len}"), &[kind, a, b, c]);
    }
}
