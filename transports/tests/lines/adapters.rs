//! Both clients behind one face, so that each test is written once.

use futures_util::StreamExt;
use sealwire::chat::ChatRequest;
use sealwire::core::keys::KeySet;
use sealwire::memlock::SecureBytes;
use sealwire::{Answer, Chunk, ClientBuilder, Completion, Error};
use sealwire::{async_std, blocking};
use tokio_rustls::rustls::ClientConfig;

/// What is called with each chunk; false to drop the stream.
pub(crate) type OnChunk<'a> = &'a mut dyn FnMut(Result<Chunk, Error>) -> bool;

pub(crate) trait Adapter {
    type Settings;
    type Client: Send + Sync;

    fn builder(url: &str) -> ClientBuilder<Self::Settings>;
    fn tls(
        builder: ClientBuilder<Self::Settings>,
        tls: ClientConfig,
    ) -> ClientBuilder<Self::Settings>;
    fn build(builder: ClientBuilder<Self::Settings>) -> Result<Self::Client, Error>;
    fn create(client: &Self::Client, request: &ChatRequest<'_>) -> Result<Completion, Error>;
    fn stream(
        client: &Self::Client,
        request: &ChatRequest<'_>,
        on_chunk: OnChunk<'_>,
    ) -> Result<(), Error>;
    fn request(
        client: &Self::Client,
        method: &str,
        path: &str,
        body: SecureBytes,
    ) -> Result<Answer, Error>;
    fn fetch_keys(client: &Self::Client) -> Result<KeySet, Error>;
}

pub(crate) struct Blocking;

impl Adapter for Blocking {
    type Settings = sealwire::Settings<()>;
    type Client = blocking::SecureChatCompletion;

    fn builder(url: &str) -> ClientBuilder<Self::Settings> {
        blocking::SecureChatCompletion::builder(url)
    }

    fn tls(
        builder: ClientBuilder<Self::Settings>,
        tls: ClientConfig,
    ) -> ClientBuilder<Self::Settings> {
        builder.tls(tls)
    }

    fn build(builder: ClientBuilder<Self::Settings>) -> Result<Self::Client, Error> {
        builder.build()
    }

    fn create(client: &Self::Client, request: &ChatRequest<'_>) -> Result<Completion, Error> {
        client.create(request)
    }

    fn stream(
        client: &Self::Client,
        request: &ChatRequest<'_>,
        on_chunk: OnChunk<'_>,
    ) -> Result<(), Error> {
        for chunk in client.stream(request)? {
            if !on_chunk(chunk) {
                break;
            }
        }
        Ok(())
    }

    fn request(
        client: &Self::Client,
        method: &str,
        path: &str,
        body: SecureBytes,
    ) -> Result<Answer, Error> {
        client.request(method, path, body)
    }

    fn fetch_keys(client: &Self::Client) -> Result<KeySet, Error> {
        client.fetch_keys()
    }
}

pub(crate) struct AsyncStd;

impl Adapter for AsyncStd {
    type Settings = sealwire::Settings<async_std::AsyncStd>;
    type Client = async_std::SecureChatCompletion;

    fn builder(url: &str) -> ClientBuilder<Self::Settings> {
        async_std::SecureChatCompletion::builder(url)
    }

    fn tls(
        builder: ClientBuilder<Self::Settings>,
        tls: ClientConfig,
    ) -> ClientBuilder<Self::Settings> {
        builder.tls(tls)
    }

    fn build(builder: ClientBuilder<Self::Settings>) -> Result<Self::Client, Error> {
        builder.build()
    }

    fn create(client: &Self::Client, request: &ChatRequest<'_>) -> Result<Completion, Error> {
        ::async_std::task::block_on(client.create(request))
    }

    fn stream(
        client: &Self::Client,
        request: &ChatRequest<'_>,
        on_chunk: OnChunk<'_>,
    ) -> Result<(), Error> {
        ::async_std::task::block_on(async {
            let mut stream = client.stream(request).await?;
            while let Some(chunk) = stream.next().await {
                if !on_chunk(chunk) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn request(
        client: &Self::Client,
        method: &str,
        path: &str,
        body: SecureBytes,
    ) -> Result<Answer, Error> {
        ::async_std::task::block_on(client.request(method, path, body))
    }

    fn fetch_keys(client: &Self::Client) -> Result<KeySet, Error> {
        ::async_std::task::block_on(client.fetch_keys())
    }
}

/// Makes a test of each function, for each client and each wire.
macro_rules! on_each_wire {
    ($($name:ident),* $(,)?) => {
        mod blocking {
            $(#[test] fn $name() { crate::server::on_each_wire(super::$name::<crate::adapters::Blocking>); })*
        }
        mod async_std {
            $(#[test] fn $name() { crate::server::on_each_wire(super::$name::<crate::adapters::AsyncStd>); })*
        }
    };
}

/// Makes a test of each function, for each client.
macro_rules! on_each_client {
    ($($name:ident),* $(,)?) => {
        mod blocking_http {
            $(#[test] fn $name() { super::$name::<crate::adapters::Blocking>(); })*
        }
        mod async_std_http {
            $(#[test] fn $name() { super::$name::<crate::adapters::AsyncStd>(); })*
        }
    };
}

pub(crate) use {on_each_client, on_each_wire};
