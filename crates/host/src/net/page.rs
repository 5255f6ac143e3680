//! One GET of limited size; redirections are not followed, nothing is cached.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::net::tls::{Trust, server_name, strict};
use crate::net::{NetworkError, connect, resolve_as_the_system_does, within};

/// What the head of an answer may be long.
const HEAD: usize = 64 << 10;

/// What is to be got.
#[derive(Debug, Clone)]
pub struct Get {
    /// Where: `http://…` or `https://…`.
    pub url: String,
    /// Whose signature counts, with `https`.
    pub trust: Trust,
    /// How many bytes of the page are taken.
    pub size: usize,
    /// The limit for all of it.
    pub limit: Duration,
}

/// What was got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The status, as 200.
    pub status: u16,
    /// Where a redirection leads.
    pub location: Option<String>,
    /// The page.
    pub body: Vec<u8>,
}

/// Gets a page. One that is longer than wanted is an error, told as soon as it is known.
pub async fn get(get: &Get) -> Result<Page, NetworkError> {
    let wrong = || NetworkError::Address(get.url.clone());
    let uri: Uri = get.url.parse().map_err(|_| wrong())?;
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(wrong()),
    };
    let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    within(get.limit, async {
        let stream = connect(find(&host, port, get.limit).await?, get.limit).await?;
        if secure {
            let config = Arc::new(strict(&get.trust)?);
            let connector = TlsConnector::from(config);
            let stream = connector.connect(server_name(&host)?, stream).await.map_err(untrusted)?;
            exchange(stream, &uri, get.size).await
        } else {
            exchange(stream, &uri, get.size).await
        }
    })
    .await
}

async fn find(host: &str, port: u16, limit: Duration) -> Result<SocketAddr, NetworkError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok((address, port).into());
    }
    let found = resolve_as_the_system_does(host, limit).await?;
    let first = found.into_iter().min_by_key(IpAddr::is_ipv6).ok_or(NetworkError::NoSuchName)?;
    Ok((first, port).into())
}

fn untrusted(error: std::io::Error) -> NetworkError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(wrong)) => {
            NetworkError::Untrusted(wrong.to_string())
        }
        Some(other) => NetworkError::Tls(other.to_string()),
        None => NetworkError::from_io(error),
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    uri: &Uri,
    size: usize,
) -> Result<Page, NetworkError> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD).max_headers(64);
    let (mut sender, connection) =
        builder.handshake::<_, String>(TokioIo::new(stream)).await.map_err(broke)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header("host", authority)
        .header("user-agent", "lifeboat")
        .header("accept", "*/*")
        .header("connection", "close")
        .body(String::new())
        .map_err(|_| NetworkError::Address(uri.to_string()))?;
    let asked = async {
        let answer = sender.send_request(request).await.map_err(broke)?;
        read(answer, size).await
    };
    let (mut connection, mut asked) = (pin!(connection), pin!(asked));
    tokio::select! {
        // The connection carries what the other side reads: it must go on, and its end alone says nothing.
        biased;
        page = &mut asked => page,
        ended = &mut connection => match ended {
            Ok(()) => asked.await,
            Err(error) => Err(broke(error)),
        },
    }
}

async fn read(answer: Response<Incoming>, size: usize) -> Result<Page, NetworkError> {
    let status = answer.status().as_u16();
    let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
    let location = location.map(str::to_owned);
    let mut incoming = pin!(answer.into_body());
    let mut body = Vec::new();
    while let Some(frame) = poll_fn(|context| incoming.as_mut().poll_frame(context)).await {
        if let Ok(bytes) = frame.map_err(broke)?.into_data() {
            if body.len() + bytes.len() > size {
                return Err(NetworkError::TooLong { limit: size });
            }
            body.extend_from_slice(&bytes);
        }
    }
    Ok(Page { status, location, body })
}

fn broke(error: hyper::Error) -> NetworkError {
    if error.is_parse() {
        return NetworkError::Malformed("not the answer of a web server");
    }
    NetworkError::Lost(std::io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::net::tls;

    fn wanted(url: String, trust: Trust) -> Get {
        Get { url, trust, size: 1 << 20, limit: Duration::from_secs(30) }
    }

    /// Reads the head of a question, then says `answer` until the other side has enough.
    async fn serve(
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        answer: &[u8],
        times: usize,
    ) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"GET /a?b HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&head));
        for _ in 0..times {
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{}/a?b", listener.local_addr().unwrap());
        (listener, url)
    }

    async fn accept(listener: &TcpListener) -> TcpStream {
        listener.accept().await.unwrap().0
    }

    #[tokio::test]
    async fn a_page_is_got_and_a_redirection_is_not_followed() {
        let (listener, place) = listen().await;
        let get_it = wanted(format!("http://{place}"), Trust::Public);
        let answer =
            b"HTTP/1.1 302 Found\r\nlocation: http://portal/\r\ncontent-length: 4\r\n\r\nwait";
        let (page, ()) = tokio::join!(get(&get_it), async {
            serve(&mut accept(&listener).await, answer, 1).await;
        });
        let page = page.unwrap();
        assert_eq!((page.status, page.location.as_deref()), (302, Some("http://portal/")));
        assert_eq!(page.body, b"wait");
    }

    #[tokio::test]
    async fn a_page_without_end_is_given_up() {
        let (listener, place) = listen().await;
        let get_it = wanted(format!("http://{place}"), Trust::Public);
        let (page, ()) = tokio::join!(get(&get_it), async {
            let mut stream = accept(&listener).await;
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
            serve(&mut stream, head, 1).await;
            let endless = vec![b'x'; 64 << 10];
            while stream.write_all(&endless).await.is_ok() {}
        });
        assert!(matches!(page, Err(NetworkError::TooLong { limit: 1_048_576 })), "{page:?}");
    }

    #[tokio::test]
    async fn a_head_without_end_is_given_up() {
        let (listener, place) = listen().await;
        let get_it = wanted(format!("http://{place}"), Trust::Public);
        let (page, ()) = tokio::join!(get(&get_it), async {
            let mut stream = accept(&listener).await;
            serve(&mut stream, b"HTTP/1.1 200 OK\r\nx: ", 1).await;
            while stream.write_all(&[b'x'; 4 << 10]).await.is_ok() {}
        });
        assert!(page.is_err());
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_times_out() {
        let (listener, place) = listen().await;
        let mut get_it = wanted(format!("http://{place}"), Trust::Public);
        get_it.limit = Duration::from_millis(50);
        let (page, _stream) = tokio::join!(get(&get_it), accept(&listener));
        assert!(matches!(page, Err(NetworkError::TimedOut { .. })), "{page:?}");
    }

    #[tokio::test]
    async fn an_untrusted_page_is_not_read() {
        let host = tls::tests::host(2020, 2090);
        let (listener, place) = listen().await;
        let url = format!("https://{}", place.replace("127.0.0.1", "localhost"));
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        for (trust, trusted) in
            [(Trust::Also(host.root.clone()), true), (Trust::Public, false), (Trust::Apple, false)]
        {
            let get_it = wanted(url.clone(), trust);
            let (page, ()) = tokio::join!(get(&get_it), async {
                let stream = accept(&listener).await;
                if let Ok(mut stream) = host.acceptor.accept(stream).await {
                    serve(&mut stream, answer, 1).await;
                    drop(stream.shutdown().await);
                }
            });
            match page {
                Ok(page) => assert!(trusted && page.body == b"ok"),
                Err(error) => {
                    assert!(!trusted && matches!(error, NetworkError::Untrusted(_)), "{error:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused() {
        for url in ["ftp://x/", "nowhere", "http://", "https:///x"] {
            let got = get(&wanted(url.to_owned(), Trust::Public)).await;
            assert!(matches!(got, Err(NetworkError::Address(_))), "{url}");
        }
    }
}
