//! Bytes that arrive in other portions than they were sent in.

use sealwire::core::padding::Padding;
use sealwire_tests::adapters::{
    CHAT, Combination, Line, Pace, Settings, Stand, Trap, chat, delta, event_stream, json, model,
    text, whole,
};

/// As short as can be, both ways.
pub(crate) fn unpadded(settings: &mut Settings) {
    settings.options.padding = Padding::None;
    settings.options.response_padding = Some(false);
}

/// A whole chat and a streamed one over a line of this pace, both ways.
fn at(on: Combination, pace: Pace) {
    let line = Line::new();
    let stand = Stand::new(
        on,
        model(|asked| {
            let is_stream = String::from_utf8(asked.body)
                .expect("JSON")
                .contains("\"stream\":true");
            Ok(match is_stream {
                true => event_stream(futures_util::stream::iter([
                    Ok(delta("one")),
                    Ok(delta("two")),
                ])),
                false => json(200, CHAT),
            })
        }),
    )
    .behind(&line);
    line.up().set_pace(pace);
    line.down().set_pace(pace);
    let client = stand.client();
    assert_eq!(
        text(&client.create(&chat()).expect("answered")),
        "sealed answer"
    );
    let (said, error) = client.stream(&chat()).expect("begun").rest();
    assert_eq!((said.as_str(), error.is_none()), ("onetwo", true));
}

pub(crate) fn dribbled(on: Combination) {
    at(on, Pace::Dribble);
}

pub(crate) fn stuttering(on: Combination) {
    at(on, Pace::Stutter);
}

/// A pause after each byte of request and answer in turn.
pub(crate) fn split_everywhere(on: Combination) {
    let line = Line::new();
    let stand = Stand::new(on, whole()).behind(&line);
    let client = stand.client_with(unpadded);
    client.create(&chat()).expect("answered");
    line.up().disarm();
    line.down().disarm();
    client.create(&chat()).expect("answered");
    let len = line.up().passed().max(line.down().passed());
    assert!(len > 300, "{len}");
    for after in 0..len {
        line.up().set_trap(after, Trap::Split);
        line.down().set_trap(after, Trap::Split);
        let answer = client.create(&chat()).expect("answered");
        assert_eq!(text(&answer), "sealed answer", "split at {after} of {len}");
    }
}
