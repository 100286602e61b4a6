//! Exchanges without an end that is known beforehand: a body that is sent while it is made, an answer that is read while
//! it comes, both at once. For the command line, whose imports, exports and streams have no bound; what a server sends of
//! its own accord uses [`Fetcher::send`].

use crate::FetchError;
use crate::connect;
use crate::fetcher::{Fetcher, MAX_HEAD_BYTES, MAX_HEADERS, head_of};
use crate::request::Request;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Receiver;
use tokio::task::AbortHandle;

/// What made a body broke off: the receiver must not take what it has for the whole.
#[derive(Debug, thiserror::Error)]
#[error("what was to be sent broke off")]
pub struct Broken;

/// The body of a request.
pub(crate) enum Outgoing {
    Whole(Full<Bytes>),
    Pieces(Receiver<Result<Bytes, Broken>>),
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Pieces(pieces) => {
                pieces.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Pieces(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

/// An answer whose head has come. The connection ends with it.
#[derive(Debug)]
pub struct Flow {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    patience: Duration,
    connection: AbortHandle,
    _turn: OwnedSemaphorePermit,
}

impl Flow {
    /// The next piece of the body; none at its end, which is told from one that broke off.
    ///
    /// # Errors
    /// [`FetchError::Timeout`] when nothing came for as long as a request may take; [`FetchError::Protocol`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            let frame = tokio::time::timeout(self.patience, self.body.frame()).await;
            match frame.map_err(|_| FetchError::Timeout)? {
                None => return Ok(None),
                Some(Err(error)) => return Err(FetchError::Protocol(error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Fetcher {
    /// Sends the request, with `pieces` as its body where there are any, and answers as soon as the head of the answer is
    /// there; pieces go on being sent. The time of the fetcher bounds the way to the head, and each pause after it; the
    /// bound of [`Request::max_body`] means nothing here.
    ///
    /// # Errors
    /// Why there is no answer; [`FetchError::class`] sorts them.
    pub async fn open(
        &self,
        request: Request,
        pieces: Option<Receiver<Result<Bytes, Broken>>>,
    ) -> Result<Flow, FetchError> {
        let target = self.check(&request.url)?;
        let patience = request.timeout.unwrap_or(self.shared.timeout).min(self.shared.timeout);
        let begin = async {
            let turn = self.shared.turns.clone().acquire_owned().await.map_err(|_| FetchError::Busy)?;
            let stream = connect::connect(&self.shared, &target).await?;
            let (mut sender, connection) = http1::Builder::new()
                .max_buf_size(MAX_HEAD_BYTES)
                .max_headers(MAX_HEADERS)
                .handshake::<_, Outgoing>(TokioIo::new(stream))
                .await
                .map_err(FetchError::Protocol)?;
            let wanted = head_of(&target, request)?.map(|whole| match pieces {
                Some(pieces) => Outgoing::Pieces(pieces),
                None => Outgoing::Whole(Full::new(whole)),
            });
            // Whatever ends the connection, whoever reads the answer knows.
            let driving = tokio::spawn(async move { drop(connection.await) });
            let connection = driving.abort_handle();
            let answer = sender.send_request(wanted).await.map_err(FetchError::Protocol);
            let (head, body) = answer.inspect_err(|_| connection.abort())?.into_parts();
            Ok(Flow { status: head.status, headers: head.headers, body, patience, connection, _turn: turn })
        };
        tokio::time::timeout(patience, begin).await.unwrap_or(Err(FetchError::Timeout))
    }
}
