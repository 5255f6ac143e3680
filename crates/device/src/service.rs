//! A service that speaks in property lists: one question, its answers.

use std::io;

use bytes::BytesMut;
use lifeboat_wire::plist_frame;
use lifeboat_wire::plist_guard::{self, Limits};
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::error::LinkError;
use crate::limit::{ANSWER, within};

/// A conversation in property lists. Every wait has a limit, every answer is guarded.
#[derive(Debug)]
pub(crate) struct PlistService<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> PlistService<S> {
    /// Talks over the stream of the started service.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Asks and returns the answer.
    pub(crate) async fn ask(
        &mut self,
        doing: &'static str,
        request: &Dictionary,
    ) -> Result<Dictionary, LinkError> {
        self.tell(doing, request).await?;
        self.next(doing).await
    }

    /// Sends a question.
    pub(crate) async fn tell(
        &mut self,
        doing: &'static str,
        request: &Dictionary,
    ) -> Result<(), LinkError> {
        let body = plist_guard::to_xml(&Value::Dictionary(request.clone()));
        within(ANSWER, doing, async {
            self.stream.write_all(&plist_frame::encode(&body)).await.map_err(LinkError::Lost)?;
            self.stream.flush().await.map_err(LinkError::Lost)
        })
        .await
    }

    /// Waits for the next answer.
    pub(crate) async fn next(&mut self, doing: &'static str) -> Result<Dictionary, LinkError> {
        let nonsense = |what: String| LinkError::Malformed(what);
        within(ANSWER, doing, async {
            loop {
                let unit = plist_frame::take(&mut self.buffer, plist_frame::MESSAGE_LIMIT)
                    .map_err(|error| nonsense(error.to_string()))?;
                if let Some(unit) = unit {
                    let value = plist_guard::parse(&unit, &Limits::MESSAGE)
                        .map_err(|error| nonsense(error.to_string()))?;
                    return value
                        .into_dictionary()
                        .ok_or_else(|| nonsense("an answer that is no dictionary".to_owned()));
                }
                let read = self.stream.read_buf(&mut self.buffer).await.map_err(LinkError::Lost)?;
                if read == 0 {
                    return Err(LinkError::Lost(io::ErrorKind::UnexpectedEof.into()));
                }
            }
        })
        .await
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    /// A device that answers each question with the next of `answers`.
    pub(crate) async fn answering(
        stream: DuplexStream,
        answers: Vec<Dictionary>,
    ) -> Vec<Dictionary> {
        let mut service = PlistService::new(stream);
        let mut asked = Vec::new();
        for answer in answers {
            asked.push(service.next("waiting").await.unwrap());
            service.tell("answering", &answer).await.unwrap();
        }
        asked
    }

    #[tokio::test]
    async fn a_question_gets_its_answer() {
        let (ours, theirs) = tokio::io::duplex(100);
        let question = Dictionary::from_iter([("Request", Value::from("x"))]);
        let answer = Dictionary::from_iter([("Status", Value::from("y"))]);
        let mut service = PlistService::new(ours);
        let (got, asked) =
            tokio::join!(service.ask("asking", &question), answering(theirs, vec![answer.clone()]));
        assert_eq!((got.unwrap(), asked), (answer, vec![question]));
    }

    #[tokio::test]
    async fn a_bomb_and_a_length_without_end_are_refused() {
        for bytes in [vec![0xff; 8], plist_frame::encode(b"<plist><array/></plist>"), vec![0, 0]] {
            let (ours, mut theirs) = tokio::io::duplex(1000);
            theirs.write_all(&bytes).await.unwrap();
            drop(theirs);
            assert!(PlistService::new(ours).next("waiting").await.is_err());
        }
    }
}
