//! Whole answers, of every kind and status, and what is tried again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealwire::chat::json::Json;
use sealwire::chat::{ChatRequest, Function, Tool};
use sealwire::core::exchange::Request;
use sealwire::core::head::Tier;
use sealwire::core::session::SessionError;
use sealwire::core::{ErrorCode, Suite};
use sealwire::server::Reply;
use sealwire::{Error, ErrorKind};
use sealwire_tests::adapters::{
    CHAT, Client, Combination, MEMORY, Model, Stand, bytes, chat, json, model, now, printed, quick,
    text, whole as whole_model,
};

pub(crate) fn whole(on: Combination) {
    let stand = Stand::new(
        on,
        model(|asked| {
            assert_eq!(asked.method, "POST");
            assert_eq!(asked.path, "/v1/chat/completions");
            assert_eq!(asked.content_type.as_deref(), Some("application/json"));
            assert_eq!(asked.authorization.as_deref(), Some("Bearer sk-marker"));
            assert_eq!(asked.tier, None);
            let body = String::from_utf8(asked.body).expect("JSON");
            assert!(body.contains("prompt-marker"), "{body}");
            Ok(json(200, CHAT))
        }),
    );
    let client = stand.client();
    for _ in 0..2 {
        assert_eq!(
            text(&client.create(&chat()).expect("answered")),
            "sealed answer"
        );
    }
    assert_eq!(client.gateway_pin(), Some(stand.pin()));
}

pub(crate) fn every_suite(on: Combination) {
    let stand = Stand::new(
        on,
        model(|asked| {
            assert_eq!(asked.tier, Some(Tier::High));
            let mut reply = json(200, CHAT);
            reply.headers = vec![
                ("x-request-id".into(), "r1".into()),
                ("set-cookie".into(), "no".into()),
                ("x-ratelimit-limit-requests".into(), "10".into()),
            ];
            reply.tier = Some(Tier::High);
            Ok(reply)
        }),
    );
    for &suite in Suite::ALL {
        let client = stand.client_with(|settings| {
            settings.suite = suite;
            settings.tier = Some(Tier::High);
        });
        let answer = client.create(&chat()).expect("answered");
        let metadata = answer.metadata();
        assert_eq!((metadata.status, metadata.suite), (200, suite));
        assert_eq!(metadata.tier, Some(Tier::High));
        let age = metadata.processed_at.expect("told").abs_diff(now());
        assert!(age < Duration::from_secs(3600), "{age:?}");
        let memory = metadata.memory_protection.as_ref().expect("told");
        assert!(memory.secure_zeroing);
        let names = metadata.headers.iter().map(|(name, _)| name.as_str());
        // What may not travel does not.
        assert!(names.eq(["x-ratelimit-limit-requests", "x-request-id"]));
    }
}

/// A question that offers a tool.
pub(crate) fn weather() -> ChatRequest<'static> {
    let parameters = r#"{"type":"object","properties":{"city":{"type":"string"}}}"#;
    let weather = Function::new("weather")
        .description("The weather of a city")
        .parameters(Json::parse(parameters).expect("JSON"));
    chat().tool(Tool::function(weather))
}

pub(crate) fn tools(on: Combination) {
    const CALL: &[u8] = br#"{"choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Z\u00fcrich\"}"}}]}}]}"#;
    let stand = Stand::new(
        on,
        model(|asked| {
            let body = Json::from_bytes(&asked.body).expect("JSON");
            let tool = body
                .get("tools")
                .expect("tools")
                .items()
                .next()
                .expect("one");
            let name = tool.get("function").and_then(|tool| tool.get("name"));
            assert!(
                name.and_then(Json::as_str)
                    .is_some_and(|name| name == "weather")
            );
            Ok(json(200, CALL))
        }),
    );
    let answer = stand.client().create(&weather()).expect("answered");
    let choice = answer.choices().next().expect("one choice");
    assert!(
        choice
            .finish_reason()
            .is_some_and(|why| why == "tool_calls")
    );
    let call = choice.message().tool_calls().next().expect("one call");
    assert!(call.name().is_some_and(|name| name == "weather"));
    let arguments = call
        .arguments()
        .expect("some")
        .to_secure(&MEMORY)
        .expect("memory");
    assert_eq!(arguments.expose(), "{\"city\":\"Zürich\"}");
}

pub(crate) fn any_endpoint(on: Combination) {
    let stand = Stand::new(
        on,
        model(|asked| {
            let none = asked.content_type.is_none() && asked.body.is_empty();
            Ok(match (asked.method.as_str(), asked.path.as_str()) {
                ("GET", "/v1/models?x=1") if none => json(200, b"{\"data\":[]}"),
                ("POST", "/v1/embeddings") => json(201, &asked.body),
                _ => json(404, b"{}"),
            })
        }),
    );
    let client = stand.client();
    let answer = client.request("GET", "/v1/models?x=1", bytes(b""));
    assert_eq!(answer.expect("answered").body().expose(), b"{\"data\":[]}");
    let answer = client
        .request("POST", "/v1/embeddings", bytes(b"{}"))
        .expect("answered");
    assert_eq!(
        (answer.status(), answer.body().expose()),
        (201, b"{}" as &[u8])
    );
    let error = client.request("GET", "/no", bytes(b"")).expect_err("404");
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::InvalidRequest, Some(404))
    );
    let answer = client
        .send(Request::new("GET", "/no", bytes(b"")))
        .expect("answered");
    assert_eq!(answer.metadata.status, 404);
    assert_eq!(answer.whole().expect("whole"), b"{}");
}

/// The classes of errors are the Python client's, and the server's own words stay out of what is printed.
pub(crate) fn every_status(on: Combination) {
    const BODY: &[u8] = br#"{"error":{"message":"prompt-marker is wrong","type":"some_error"}}"#;
    let stand = Stand::new(
        on,
        model(|asked| {
            let status = asked
                .path
                .rsplit('/')
                .next()
                .and_then(|status| status.parse().ok());
            let mut reply = json(status.expect("a status"), BODY);
            reply.retry_after = (reply.status == 429).then_some(7);
            Ok(reply)
        }),
    );
    let client = stand.client_with(|settings| settings.retry = quick(0));
    for (status, kind) in [
        (302, ErrorKind::InvalidRequest),
        (400, ErrorKind::InvalidRequest),
        (401, ErrorKind::Authentication),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::InvalidRequest),
        (422, ErrorKind::InvalidRequest),
        (429, ErrorKind::RateLimit),
        (500, ErrorKind::Server),
        (502, ErrorKind::Server),
        (503, ErrorKind::ServiceUnavailable),
    ] {
        let path = format!("/status/{status}");
        let error = client
            .request("GET", &path, bytes(b""))
            .expect_err("a failure");
        assert_eq!((error.kind(), error.status()), (kind, Some(status)));
        assert_eq!(error.retry_after(), (status == 429).then_some(7));
        assert!(error.exchange_id().is_some());
        let words = error.body().and_then(|body| body.error()?.message());
        assert!(words.is_some_and(|words| words == "prompt-marker is wrong"));
        assert!(!printed(&error).contains("marker"), "{}", printed(&error));
    }
}

/// Whoever wants to see an answer whatever its status is shown it: once there are no tries left, where there were any.
pub(crate) fn shown_whatever_its_status(on: Combination) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let stand = Stand::new(
        on,
        model(move |asked| {
            count.fetch_add(1, Ordering::SeqCst);
            let status = asked.path.strip_prefix("/status/").map(str::parse);
            let mut reply = json(status.expect("a status").expect("a number"), b"{\"why\":1}");
            reply.retry_after = (reply.status == 429).then_some(7);
            reply.headers = vec![("x-request-id".into(), "r1".into())];
            Ok(reply)
        }),
    );
    let client = stand.client();
    for (status, tries) in [(201, 1), (302, 1), (404, 1), (429, 3), (501, 1), (503, 3)] {
        asked.store(0, Ordering::SeqCst);
        let request = Request::new("POST", format!("/status/{status}"), bytes(b"{}"));
        let answer = client.send(request).expect("shown");
        let metadata = answer.metadata.clone();
        assert_eq!(metadata.status, status);
        assert_eq!(metadata.content_type.as_deref(), Some("application/json"));
        assert_eq!(metadata.retry_after, (status == 429).then_some(7));
        assert_eq!(metadata.headers, [("x-request-id".into(), "r1".into())]);
        assert_eq!(answer.whole().expect("whole"), b"{\"why\":1}");
        assert_eq!(asked.load(Ordering::SeqCst), tries, "{status}");
    }
}

type Failure = fn() -> Result<Reply, ErrorCode>;

/// Fails this often before it answers, and counts.
fn failing_first(failures: usize, failure: Failure) -> (Model, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let model = model(
        move |_| match count.fetch_add(1, Ordering::SeqCst) < failures {
            true => failure(),
            false => Ok(json(200, CHAT)),
        },
    );
    (model, asked)
}

pub(crate) fn tried_again(on: Combination) {
    let failures: [Failure; 6] = [
        || Ok(json(429, b"{}")),
        || Ok(json(500, b"{}")),
        || Ok(json(503, b"{}")),
        || Err(ErrorCode::Upstream),
        || Err(ErrorCode::Busy),
        || Err(ErrorCode::Internal),
    ];
    for failure in failures {
        let (model, asked) = failing_first(2, failure);
        let stand = Stand::new(on, model);
        let answer = stand.client().create(&chat()).expect("answered in the end");
        assert_eq!(text(&answer), "sealed answer");
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }
}

pub(crate) fn not_tried_again(on: Combination) {
    let failures: [(Failure, ErrorKind); 3] = [
        (|| Ok(json(400, b"{}")), ErrorKind::InvalidRequest),
        (|| Ok(json(501, b"{}")), ErrorKind::Server),
        (|| Err(ErrorCode::Forbidden), ErrorKind::Forbidden),
    ];
    for (failure, kind) in failures {
        let (model, asked) = failing_first(1, failure);
        let stand = Stand::new(on, model);
        let error = stand.client().create(&chat()).expect_err("once is enough");
        assert_eq!(error.kind(), kind);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}

/// 429 with retry-after: waited for and tried again, or told to the caller.
pub(crate) fn rate_limited(on: Combination) {
    let (model, asked) = failing_first(2, || {
        let mut reply = json(429, b"{}");
        // A caller that waits so long as that finds the test at its guard: the policy's longest wait is shorter.
        reply.retry_after = Some(3600);
        Ok(reply)
    });
    let stand = Stand::new(on, model);
    let client = stand.client_with(|settings| settings.retry = quick(0));
    let error = client.create(&chat()).expect_err("limited");
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    assert_eq!(error.retry_after(), Some(3600));
    assert!(error.to_string().contains("3600 s"), "{error}");
    stand.client().create(&chat()).expect("answered in the end");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

/// REPLAY-6: the client's half.
pub(crate) fn one_key_in_every_try(on: Combination) {
    let keys = Arc::new(Mutex::new(Vec::new()));
    let seen = keys.clone();
    let stand = Stand::new(
        on,
        model(move |asked| {
            let mut seen = seen.lock().expect("no panic");
            seen.push(asked.idempotency_key.expect("each request has one"));
            Ok(json(if seen.len() % 3 == 0 { 200 } else { 503 }, CHAT))
        }),
    );
    let client = stand.client();
    for _ in 0..2 {
        client.create(&chat()).expect("answered in the end");
    }
    let keys = keys.lock().expect("no panic");
    assert!(keys[..3].iter().all(|key| *key == keys[0]), "{keys:?}");
    assert!(keys[3..].iter().all(|key| *key == keys[3]), "{keys:?}");
    assert_ne!(keys[0], keys[3]);
}

fn send(client: &dyn Client, key: &str) -> Result<Vec<u8>, Error> {
    let mut request = Request::new("POST", "/v1/chat/completions", bytes(b"{}"));
    request.idempotency_key = Some(key.into());
    client.send(request)?.whole()
}

/// REPLAY-6: the gateway's half.
pub(crate) fn one_run_for_one_key(on: Combination) {
    let (model, asked) = failing_first(0, || Err(ErrorCode::Internal));
    let stand = Stand::new(on, model);
    let client = stand.client();
    send(&*client, "one").expect("answered");
    let error = send(&*client, "one").expect_err("again");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let code = match error.session() {
        Some(SessionError::Refused { code, .. }) => *code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code, ErrorCode::Duplicate);
    send(&*client, "two").expect("another");
    // The key of another caller is another key.
    let other = stand.client_with(|settings| settings.api_key = "sk-other".into());
    send(&*other, "one").expect("another caller");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

/// A gateway need not be at the root of its host (HTTP-1).
pub(crate) fn under_a_path(on: Combination) {
    let stand = Stand::with(on, whole_model(), |settings| {
        settings.base_path = "/ai/sealed".into();
    });
    let client = stand.client_with(|settings| settings.url += "/ai/sealed/");
    assert_eq!(
        text(&client.create(&chat()).expect("answered")),
        "sealed answer"
    );
    let error = stand.client().create(&chat()).expect_err("not at the root");
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::Connection, Some(404))
    );
}
