//! Many at once, and connections used again.

use std::sync::Arc;

use sealwire_tests::adapters::{
    CHAT, Combination, Gate, Model, Stand, Wire, chat, json, text, whole,
};

fn at_once(on: Combination, count: usize, together: usize) -> Stand {
    let gate = Arc::new(Gate::new(together));
    let waiting = gate.clone();
    let stand = Stand::new(
        on,
        Model::new(move |_| {
            let gate = waiting.clone();
            async move {
                gate.pass().await;
                Ok(json(200, CHAT))
            }
        }),
    );
    for answer in stand.client().create_many(&chat(), count) {
        assert_eq!(text(&answer.expect("answered")), "sealed answer");
    }
    assert_eq!(gate.come(), count);
    stand
}

/// None is answered before so many have reached the model: they do run at once, and not one after another.
pub(crate) fn a_thousand_at_once(on: Combination) {
    allow_many_files();
    // A connection of HTTP/2 has 200 streams at a time, as hyper's server sets it.
    let together = if on.wire == Wire::H2 { 200 } else { 1000 };
    at_once(on, 1000, together);
}

/// Through a proxy whose own limit on connections is some hundreds.
pub(crate) fn many_at_once(on: Combination) {
    allow_many_files();
    at_once(on, 100, 100);
}

/// Each connection is two files here, for both of its ends are.
fn allow_many_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit).expect("up to its maximum");
    }
}

/// One after another on the same connection, the keys included.
pub(crate) fn one_connection(on: Combination) {
    let stand = Stand::new(on, whole());
    let client = stand.client();
    for _ in 0..20 {
        client.create(&chat()).expect("answered");
    }
    assert_eq!(stand.gateway().connections(), 1);
}

/// Connections are used again. How often is not said: a pool that takes a connection back in a task of its own may be
/// about to when the next request wants one, and then makes another.
pub(crate) fn kept_alive(on: Combination) {
    let stand = Stand::new(on, whole());
    let client = stand.client();
    let mut reused = 0;
    for _ in 0..200 {
        let before = stand.gateway().connections();
        client.create(&chat()).expect("answered");
        reused += usize::from(stand.gateway().connections() == before);
        if reused == 10 {
            return;
        }
    }
    panic!("{reused} of 200 requests on a connection that was there");
}
