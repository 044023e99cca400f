//! The gateway's side of a raw stream.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};

use crate::line::BUFFER;
use crate::server::{CLOSING, Doing, Handler, RawConnection, RawGateway};

/// Serves one raw stream: key sets and exchanges, one after another, until the client closes it or breaks the protocol.
///
/// `sleep` is the runtime's timer, for the deadlines in [`GatewayConfig`](crate::server::GatewayConfig). TLS, if there is any, is
/// the stream's own, and so is `TCP_NODELAY`, without which one small write waits for the acknowledgement of another. Dropping the
/// future drops what is being answered.
///
/// ```no_run
/// # use sealwire::server::{Handler, RawGateway};
/// # async fn example(gateway: RawGateway<impl Handler>, listener: smol::net::TcpListener) -> std::io::Result<()> {
/// loop {
///     let (stream, _) = listener.accept().await?;
///     stream.set_nodelay(true)?;
///     let gateway = gateway.clone();
///     smol::spawn(async move {
///         let sleep = |duration| async move { drop(smol::Timer::after(duration).await) };
///         sealwire::futures_io::serve(&gateway, stream, sleep).await
///     })
///     .detach();
/// }
/// # }
/// ```
///
/// # Errors
/// The stream's own. What a client does wrong is answered, and logged.
pub async fn serve<H, S, T, F>(gateway: &RawGateway<H>, stream: S, sleep: T) -> io::Result<()>
where
    H: Handler,
    S: AsyncRead + AsyncWrite,
    T: Fn(Duration) -> F,
    F: Future<Output = ()>,
{
    serve_until(gateway, stream, sleep, pending()).await
}

/// Serves one raw stream as [`serve`] does, but once `stop` resolves begins no further exchange: one that is under way is answered, and the
/// stream is closed.
///
/// # Errors
/// The stream's own. What a client does wrong is answered, and logged.
pub async fn serve_until<H, S, T, F>(
    gateway: &RawGateway<H>,
    stream: S,
    sleep: T,
    stop: impl Future<Output = ()>,
) -> io::Result<()>
where
    H: Handler,
    S: AsyncRead + AsyncWrite,
    T: Fn(Duration) -> F,
    F: Future<Output = ()>,
{
    let mut stop = pin!(Some(stop));
    let mut stream = pin!(stream);
    let start = Instant::now();
    let mut connection = RawConnection::new(gateway, start.elapsed());
    let mut buffer = vec![0; BUFFER];
    let mut is_to_flush = false;
    let mut alarm: Option<(Duration, Pin<Box<F>>)> = None;
    poll_fn(|cx| {
        if let Some(stopped) = stop.as_mut().as_pin_mut()
            && stopped.poll(cx).is_ready()
        {
            stop.set(None);
            connection.finish();
        }
        loop {
            if connection.poll(cx, start.elapsed()) == Doing::Close {
                return Poll::Ready(io::Result::Ok(()));
            }
            if connection.wants_input()
                && let Poll::Ready(read) = stream.as_mut().poll_read(cx, &mut buffer)
            {
                match read? {
                    0 => connection.handle_end(),
                    count => connection.handle_input(&buffer[..count], start.elapsed()),
                }
                continue;
            }
            if !connection.output().is_empty() {
                let written = stream.as_mut().poll_write(cx, connection.output());
                if let Poll::Ready(written) = written {
                    match written? {
                        0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        count => connection.wrote(count, start.elapsed()),
                    }
                    is_to_flush = true;
                    continue;
                }
            } else if is_to_flush && stream.as_mut().poll_flush(cx)?.is_ready() {
                is_to_flush = false;
            }
            let Some(due) = connection.deadline() else {
                return Poll::Pending;
            };
            let (_, timer) = match &mut alarm {
                Some(alarm) if alarm.0 == due => alarm,
                other => {
                    let left = due.saturating_sub(start.elapsed());
                    other.insert((due, Box::pin(sleep(left))))
                }
            };
            ready!(timer.as_mut().poll(cx));
            alarm = None;
            connection.handle_timeout(start.elapsed());
        }
    })
    .await?;
    // The answer has left already, or there is none; how this ends is of no interest, and nobody waits long for it.
    let mut patience = pin!(sleep(CLOSING));
    poll_fn(|cx| match stream.as_mut().poll_close(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => patience.as_mut().poll(cx),
    })
    .await;
    Ok(())
}
