//! An onlooker on the wire: a TCP proxy on a loopback port that keeps every byte.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What went over one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    pub(crate) from_client: Vec<u8>,
    pub(crate) from_gateway: Vec<u8>,
}

/// The proxy, for as long as the runtime lives.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    recordings: Arc<Mutex<Vec<Recording>>>,
}

/// Which way bytes go.
#[derive(Clone, Copy)]
enum Way {
    ToGateway,
    ToClient,
}

impl Recorder {
    /// Stands in front of `gateway`.
    pub(crate) async fn start(gateway: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let recorder = Self {
            address: listener.local_addr()?,
            recordings: Arc::default(),
        };
        let recordings = recorder.recordings.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let recordings = recordings.clone();
                tokio::spawn(async move {
                    // What breaks here is seen at both ends.
                    let _ = relay(client, gateway, recordings).await;
                });
            }
        });
        Ok(recorder)
    }

    /// What was recorded so far.
    pub(crate) fn recordings(&self) -> Vec<Recording> {
        lock(&self.recordings).clone()
    }
}

async fn relay(
    client: TcpStream,
    gateway: SocketAddr,
    recordings: Arc<Mutex<Vec<Recording>>>,
) -> io::Result<()> {
    let gateway = TcpStream::connect(gateway).await?;
    client.set_nodelay(true)?;
    gateway.set_nodelay(true)?;
    let index = {
        let mut recordings = lock(&recordings);
        recordings.push(Recording::default());
        recordings.len() - 1
    };
    let (from_client, to_client) = client.into_split();
    let (from_gateway, to_gateway) = gateway.into_split();
    tokio::try_join!(
        copy(from_client, to_gateway, &recordings, index, Way::ToGateway),
        copy(from_gateway, to_client, &recordings, index, Way::ToClient),
    )?;
    Ok(())
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    recordings: &Mutex<Vec<Recording>>,
    index: usize,
    way: Way,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        let bytes = &buffer[..count];
        // Recorded before it is passed on: who has the answer finds it here.
        match (&mut lock(recordings)[index], way) {
            (recording, Way::ToGateway) => recording.from_client.extend_from_slice(bytes),
            (recording, Way::ToClient) => recording.from_gateway.extend_from_slice(bytes),
        }
        to.write_all(bytes).await?;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
