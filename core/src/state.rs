//! The order of frames (spec section 7) as tables, one for each end; the diagrams in the spec are made from them.

use crate::frame::FrameType;

/// Where a client's exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientState {
    /// The request is being sent; only a gateway that has heard enough answers now.
    Sending,
    /// The request has ended; ACCEPT or REJECT is expected.
    AwaitAccept,
    /// ACCEPT arrived before the request had left; nothing but ERROR can follow.
    AwaitError,
    /// ACCEPT arrived; HEAD or ERROR is expected.
    AwaitHead,
    /// HEAD opened; the body arrives.
    Body,
    /// END, ERROR or REJECT arrived.
    Done,
    /// The peer broke the protocol; nothing more is accepted.
    Failed,
}

/// Where a gateway's exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerState {
    /// Nothing has arrived; OPEN is expected.
    AwaitOpen,
    /// OPEN was understood; HEAD is expected.
    AwaitHead,
    /// HEAD opened and was admitted; the body arrives.
    Body,
    /// END opened: the request is whole, and may be handled.
    Handling,
    /// The request was refused; input is read and thrown away until it ends.
    Draining,
    /// The response is being sent, or was.
    Responding,
    /// Nothing more happens in this exchange.
    Done,
}

/// The rows of one end: state, frame received, next state.
type Table<S> = &'static [(S, FrameType, S)];

const CLIENT: Table<ClientState> = &[
    (
        ClientState::Sending,
        FrameType::Accept,
        ClientState::AwaitError,
    ),
    (ClientState::Sending, FrameType::Reject, ClientState::Done),
    (ClientState::AwaitError, FrameType::Error, ClientState::Done),
    (
        ClientState::AwaitAccept,
        FrameType::Accept,
        ClientState::AwaitHead,
    ),
    (
        ClientState::AwaitAccept,
        FrameType::Reject,
        ClientState::Done,
    ),
    (ClientState::AwaitHead, FrameType::Head, ClientState::Body),
    (ClientState::AwaitHead, FrameType::Error, ClientState::Done),
    (ClientState::Body, FrameType::Data, ClientState::Body),
    (ClientState::Body, FrameType::End, ClientState::Done),
    (ClientState::Body, FrameType::Error, ClientState::Done),
];

const SERVER: Table<ServerState> = &[
    (
        ServerState::AwaitOpen,
        FrameType::Open,
        ServerState::AwaitHead,
    ),
    (ServerState::AwaitHead, FrameType::Head, ServerState::Body),
    (ServerState::Body, FrameType::Data, ServerState::Body),
    (ServerState::Body, FrameType::End, ServerState::Handling),
    (
        ServerState::Body,
        FrameType::Cancel,
        ServerState::Responding,
    ),
    (
        ServerState::Handling,
        FrameType::Cancel,
        ServerState::Responding,
    ),
    (
        ServerState::Responding,
        FrameType::Cancel,
        ServerState::Responding,
    ),
];

/// What a client accepts in each state. A frame without a row is malformed.
pub const fn client_table() -> &'static [(ClientState, FrameType, ClientState)] {
    CLIENT
}

/// What a gateway accepts in each state. A frame without a row is malformed, but while draining, where each is thrown away.
pub const fn server_table() -> &'static [(ServerState, FrameType, ServerState)] {
    SERVER
}

/// The next state of `table`, if `frame` is allowed in `state`.
pub(crate) fn next<S: Copy + PartialEq>(table: Table<S>, state: S, frame: FrameType) -> Option<S> {
    table
        .iter()
        .find(|row| row.0 == state && row.1 == frame)
        .map(|row| row.2)
}
