//! One suite over every adapter: each client against each gateway, over each wire and through each proxy that makes
//! sense. A scenario is a function in one of the modules below; each combination runs it as a test of its own, such as
//! `hyper_h1_tls::streamed`. The matrix in docs/plugging-in.md cites them by these names.

mod answers;
mod breaks;
mod certificates;
mod errors;
mod limits;
mod load;
mod pace;
mod streams;
mod trust;

use sealwire_tests::adapters::{
    Between, Combination, Wire, blocking, futures_io, hyper, requests, serial, tower,
};

/// Names each of these scenarios as a test on `$on`, with an attribute.
macro_rules! tests {
    ($on:expr; $($list:tt)*) => {
        tests! { $on, [cfg(all())]; $($list)* }
    };
    ($on:expr, $attribute:tt; $($module:ident: $($scenario:ident)*;)*) => {
        $($(
            #[test]
            #$attribute
            fn $scenario() {
                crate::$module::$scenario($on);
            }
        )*)*
    };
}

/// What every client and every gateway can do, whatever they speak, but for two kinds of client: see [`judged`] and [`network`].
macro_rules! common {
    ($on:expr) => {
        any_client! { $on }
        judged! { $on }
        network! { $on }
    };
}

macro_rules! any_client {
    ($on:expr) => {
        tests! { $on;
            answers: whole every_suite tools shown_whatever_its_status tried_again one_key_in_every_try
                one_run_for_one_key;
            streams: streamed tools_streamed events_in_parts ten_thousand_deltas failing_upstream dropped_stream
                slow_reader;
            limits: just_under_the_limits request_over_the_limit request_over_the_default
                answer_over_the_limit streamed_answer_over_the_limit;
            pace: dribbled stuttering split_everywhere;
            trust: wrong_pin verifier keys_shown rotated_during nothing_in_the_clear;
            errors: too_late too_late_within;
        }
    };
}

/// What a client does with statuses and events once they are opened. Left out for plain requests: their responses are plain
/// too, and their caller's to judge (`shown_whatever_its_status` is what remains).
macro_rules! judged {
    ($on:expr) => {
        tests! { $on;
            answers: any_endpoint every_status not_tried_again rate_limited;
            streams: error_event not_a_stream;
        }
    };
}

/// What takes a connection that can be made when it is wanted, another one when it broke, and many at once. Left out for a
/// serial line, which is there from the start or not at all, is not opened anew, and carries one exchange at a time: what breaks
/// on it is in transports/tests/lines/serial.rs. Left out for it too: requests that are futures, HTTP, TLS, and the default limit
/// (`full_size`), which takes minutes in packets of 64 bytes.
macro_rules! network {
    ($on:expr) => {
        tests! { $on;
            breaks: answer_cut_everywhere request_cut_everywhere reset_before_the_answer
                reset_within_the_answer reset_after_the_answer lost_answer;
            trust: evidence_of_each_key rotated_between;
            errors: configuration gateway_down;
            load: a_thousand_at_once;
        }
    };
}

/// What only a gateway can do whose handlers know the protocol's codes; a router has statuses.
macro_rules! codes {
    ($on:expr) => {
        tests! { $on; errors: refused; }
    };
}

/// What only a client whose requests are futures can do.
macro_rules! futures {
    ($on:expr) => {
        tests! { $on; streams: dropped_future; }
    };
}

/// What only a pool that others keep has.
macro_rules! pool {
    ($on:expr) => {
        tests! { $on; load: kept_alive; }
    };
}

/// What a pool of ours has.
macro_rules! own_pool {
    ($on:expr) => {
        tests! { $on; load: one_connection; }
    };
}

/// What only HTTP has.
macro_rules! http {
    ($on:expr) => {
        tests! { $on; answers: under_a_path; errors: not_a_gateway redirected no_keys; }
    };
}

/// What only TLS has.
macro_rules! tls {
    ($on:expr) => {
        tests! { $on;
            trust: untrusted_certificate;
            certificates: client_certificate no_client_certificate another_client_certificate;
        }
    };
}

/// What only a client has that makes its connections itself, over TLS.
macro_rules! own_tls {
    ($on:expr) => {
        tests! { $on; certificates: told_why_at_once; }
    };
}

/// What only HTTP/1.1 over TLS has.
macro_rules! https {
    ($on:expr) => {
        tests! { $on; trust: no_protocol_named; }
    };
}

/// Limits as they are without a word said: 10 MiB takes a while, so once for each client.
macro_rules! full_size {
    ($on:expr) => {
        tests! { $on; limits: the_default_limit; }
    };
}

macro_rules! suite {
    ($($name:ident: $client:expr => $gateway:expr, $wire:expr, [$($group:ident)*];)*) => {
        $(mod $name {
            use super::*;

            const ON: Combination = Combination {
                client: $client,
                gateway: $gateway,
                wire: $wire,
                between: Between::Nothing,
            };

            $($group! { ON })*
        })*
    };
}

suite! {
    hyper_h1: hyper::client => hyper::gateway, Wire::H1, [common codes futures pool http full_size];
    hyper_h1_tls: hyper::client => hyper::gateway, Wire::H1Tls, [common codes futures pool tls https];
    hyper_h2: hyper::client => hyper::gateway, Wire::H2, [common codes futures pool tls];

    hyper_axum_h1: hyper::client => tower::gateway, Wire::H1, [common futures pool http full_size];
    hyper_axum_h2: hyper::client => tower::gateway, Wire::H2, [common futures pool tls];
    layer_h1: tower::client => hyper::gateway, Wire::H1, [common codes futures pool http];
    layer_axum_h1_tls: tower::client => tower::gateway, Wire::H1Tls, [common futures pool tls https];
    layer_axum_h2: tower::client => tower::gateway, Wire::H2, [common futures pool tls];

    requests_h1: requests::client => hyper::gateway, Wire::H1, [any_client network codes futures pool http];
    requests_axum_h2: requests::client => tower::gateway, Wire::H2, [any_client network futures pool tls];

    async_std_h1: futures_io::async_std_client => hyper::gateway, Wire::H1, [common codes futures own_pool http full_size];
    async_std_h1_tls: futures_io::async_std_client => hyper::gateway, Wire::H1Tls, [common codes futures own_pool tls own_tls https];
    async_std_axum_h1: futures_io::async_std_client => tower::gateway, Wire::H1, [common futures own_pool http];
    async_std_raw: futures_io::async_std_client => futures_io::gateway, Wire::Raw, [common codes futures own_pool];
    async_std_raw_tls: futures_io::async_std_client => futures_io::gateway, Wire::RawTls, [common codes futures own_pool tls own_tls];
    async_std_threads_raw: futures_io::async_std_client => blocking::gateway, Wire::Raw, [common codes futures own_pool];

    smol_h1: futures_io::smol_client => hyper::gateway, Wire::H1, [common codes futures own_pool http];
    smol_raw: futures_io::smol_client => futures_io::gateway, Wire::Raw, [common codes futures own_pool];

    blocking_h1: blocking::client => hyper::gateway, Wire::H1, [common codes own_pool http full_size];
    blocking_h1_tls: blocking::client => hyper::gateway, Wire::H1Tls, [common codes own_pool tls own_tls https];
    blocking_axum_h1: blocking::client => tower::gateway, Wire::H1, [common own_pool http];
    blocking_raw: blocking::client => futures_io::gateway, Wire::Raw, [common codes own_pool];
    blocking_threads_raw: blocking::client => blocking::gateway, Wire::Raw, [common codes own_pool full_size];
    blocking_threads_raw_tls: blocking::client => blocking::gateway, Wire::RawTls, [common codes own_pool tls own_tls];

    wired_threads_cobs: serial::client => serial::gateway, Wire::Cobs, [any_client judged codes own_pool];
}

/// What must work through a proxy that knows nothing of sealwire.
macro_rules! proxied {
    ($($name:ident: $client:expr => $gateway:expr, $wire:expr, $between:expr, $cancel:ident $(, $large:ident)?;)*) => {
        $(mod $name {
            use super::*;

            const ON: Combination = Combination {
                client: $client,
                gateway: $gateway,
                wire: $wire,
                between: $between,
            };

            tests! { ON, [ignore = "needs nginx and haproxy: run tests/interop/proxies/run"];
                answers: whole every_suite tools any_endpoint every_status tried_again one_run_for_one_key
                    under_a_path;
                streams: streamed tools_streamed events_in_parts ten_thousand_deltas failing_upstream
                    error_event $cancel slow_reader;
                limits: just_under_the_limits the_default_limit answer_over_the_limit;
                pace: dribbled stuttering;
                trust: rotated_between rotated_during nothing_in_the_clear;
                errors: gateway_gone $($large)?;
                load: many_at_once;
            }
        })*
    };
}

proxied! {
    async_std_nginx_h1_tls: futures_io::async_std_client => hyper::gateway, Wire::H1Tls, Between::Nginx, dropped_stream, request_too_large_for_the_proxy;
    async_std_haproxy_h1_tls: futures_io::async_std_client => hyper::gateway, Wire::H1Tls, Between::Haproxy, dropped_stream_by_the_next_token;
    blocking_nginx_h1_tls: blocking::client => hyper::gateway, Wire::H1Tls, Between::Nginx, dropped_stream, request_too_large_for_the_proxy;
    blocking_haproxy_h1_tls: blocking::client => hyper::gateway, Wire::H1Tls, Between::Haproxy, dropped_stream_by_the_next_token;
    hyper_axum_nginx_h2: hyper::client => tower::gateway, Wire::H2, Between::Nginx, dropped_stream, request_too_large_for_the_proxy;
    hyper_nginx_h1: hyper::client => hyper::gateway, Wire::H1, Between::Nginx, dropped_stream, request_too_large_for_the_proxy;
    hyper_nginx_h1_tls: hyper::client => hyper::gateway, Wire::H1Tls, Between::Nginx, dropped_stream, request_too_large_for_the_proxy;
    hyper_nginx_h2: hyper::client => hyper::gateway, Wire::H2, Between::Nginx, dropped_stream, request_too_large_for_the_proxy;
    hyper_haproxy_h1: hyper::client => hyper::gateway, Wire::H1, Between::Haproxy, dropped_stream_by_the_next_token;
    hyper_haproxy_h1_tls: hyper::client => hyper::gateway, Wire::H1Tls, Between::Haproxy, dropped_stream_by_the_next_token;
    hyper_haproxy_h2: hyper::client => hyper::gateway, Wire::H2, Between::Haproxy, dropped_stream;
}
