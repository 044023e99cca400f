//! The state tables in `docs/protocol.md` are those of the code. Protocol: FRAME-6, ORDER-6.

use std::fmt::Write;
use std::path::Path;

use sealwire_core::frame::FrameType;
use sealwire_core::{client_table, server_table};

const BEGIN: &str = "<!-- states:begin -->\n";
const END: &str = "<!-- states:end -->";

fn table<S: std::fmt::Debug>(title: &str, rows: &[(S, FrameType, S)]) -> String {
    let mut text =
        format!("\n**{title}**\n\n| state | frame received | next state |\n|---|---|---|\n");
    for (from, frame, to) in rows {
        writeln!(text, "| {from:?} | {} | {to:?} |", frame.name()).expect("a string");
    }
    text
}

/// With `UPDATE=1` in the environment the page is brought up to date instead.
#[test]
fn the_page_shows_the_tables_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let page = std::fs::read_to_string(&path).expect("in the repository");
    let (before, rest) = page.split_once(BEGIN).expect("the marker");
    let (_, after) = rest.split_once(END).expect("the marker");
    let tables = table("Client", client_table()) + &table("Gateway", server_table());
    let due = format!("{before}{BEGIN}{tables}\nA frame without a row is malformed.\n{END}{after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, due).expect("writable");
    } else {
        assert!(
            page == due,
            "run the tests with UPDATE=1 to renew docs/protocol.md"
        );
    }
}
