//! A connection whose client must take what it asked for: a write that gets nowhere for [`PATIENCE`] is an error.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::PATIENCE;

/// Marks an answer whose body lasts for as long as its client listens: that client keeps its place until then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lasting;

#[derive(Debug)]
pub(crate) struct WithTimeout<S> {
    stream: S,
    /// When the write that waits gives up.
    limit: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S> WithTimeout<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, limit: Box::pin(sleep_until(Instant::now())), waiting: false }
    }

    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.waiting = false;
            return progress;
        }
        if !std::mem::replace(&mut self.waiting, true) {
            self.limit.as_mut().reset(Instant::now() + PATIENCE);
        }
        ready!(self.limit.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WithTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, progress)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, progress)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, progress)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_off_and_a_slow_one_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut ours = WithTimeout::new(ours);
        let slow = async {
            let mut byte = [0];
            for _ in 0..16 {
                tokio::time::sleep(PATIENCE - PATIENCE / 10).await;
                theirs.read_exact(&mut byte).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(ours.write_all(&[1; 24]), slow);
        written.unwrap();
        let began = Instant::now();
        let error = ours.write_all(&[1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_flushed_or_shut_down_arrives_or_is_given_up_as_well() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut ours = WithTimeout::new(BufWriter::new(ours));
        let mut bytes = [0; 3];
        ours.write_all(b"abc").await.unwrap();
        ours.flush().await.unwrap();
        theirs.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"abc");
        ours.write_all(b"d").await.unwrap();
        ours.shutdown().await.unwrap();
        let mut rest = String::new();
        theirs.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "d");

        let (ours, _theirs) = tokio::io::duplex(1);
        let mut ours = WithTimeout::new(BufWriter::new(ours));
        ours.write_all(b"ab").await.unwrap();
        for _ in 0..2 {
            let began = Instant::now();
            assert_eq!(ours.flush().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert!(began.elapsed() <= PATIENCE + Duration::from_millis(1));
        }
        assert_eq!(ours.shutdown().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
