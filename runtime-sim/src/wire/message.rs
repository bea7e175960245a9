//! HTTP/1.1 on one connection, as far as the clients of the fakes speak it.
//!
//! Heads, bodies and the number of header lines are bounded; whatever is malformed is a status for
//! the client and never a panic.

use std::io;
use std::net::{Shutdown, TcpStream};

use image_updater_fixtures::{Request, Response};
use serde_json::json;
use smol::Async;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Longest request line with headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most header lines.
const HEADERS_MAX: usize = 64;
/// Longest request body.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much is read at once.
const READ_BYTES: usize = 4 * 1024;
/// How much of a refused request is still read, so that the client sees the answer.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// A connection with what was read of it and not yet used.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Async<TcpStream>,
    buffer: Vec<u8>,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The client went away, between requests or in one.
    Closed,
    /// The client is to hear this status, and the connection ends.
    Refused(u16, &'static str),
}

impl From<io::Error> for RequestError {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// A request and what follows it.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) request: Request,
    /// The client wants the connection to go on.
    pub(super) is_kept: bool,
}

impl Connection {
    pub(super) const fn new(stream: Async<TcpStream>) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Waits for the first byte of a request; false when the client closes instead.
    pub(super) async fn has_more(&mut self) -> bool {
        !self.buffer.is_empty() || self.read().await.is_ok_and(|n| n > 0)
    }

    /// Waits until the client goes away, or says something out of turn.
    pub(super) async fn closed(&self) {
        let mut byte = [0_u8; 1];
        drop((&self.stream).read(&mut byte).await);
    }

    /// Reads one request.
    pub(super) async fn take_request(&mut self) -> Result<Incoming, RequestError> {
        let head_end = self.read_head().await?;
        let Head {
            mut incoming,
            body_bytes,
        } = parse_head(&self.buffer[..head_end])?;
        let end = head_end + body_bytes;
        while self.buffer.len() < end {
            if self.read().await? == 0 {
                return Err(RequestError::Closed);
            }
        }
        incoming.request.body = self.buffer[head_end..end].to_vec();
        self.buffer.drain(..end);
        Ok(incoming)
    }

    /// Writes a whole response. `is_head` leaves the body out, `is_kept` says what comes next.
    pub(super) async fn give_response(
        &mut self,
        response: &Response,
        is_head: bool,
        is_kept: bool,
    ) -> io::Result<()> {
        let mut bytes = status_line(response);
        push_header(
            &mut bytes,
            "content-length",
            &response.body.len().to_string(),
        );
        push_header(
            &mut bytes,
            "connection",
            if is_kept { "keep-alive" } else { "close" },
        );
        bytes.extend_from_slice(b"\r\n");
        if !is_head {
            bytes.extend_from_slice(&response.body);
        }
        self.stream.write_all(&bytes).await
    }

    /// Writes the head of a response whose body comes in chunks.
    pub(super) async fn begin_chunks(&mut self, response: &Response) -> io::Result<()> {
        let mut bytes = status_line(response);
        push_header(&mut bytes, "transfer-encoding", "chunked");
        bytes.extend_from_slice(b"\r\n");
        self.stream.write_all(&bytes).await
    }

    /// Writes `parts` as one chunk; nothing when there are none.
    pub(super) async fn give_chunk(&mut self, parts: &[Vec<u8>]) -> io::Result<()> {
        let len: usize = parts.iter().map(Vec::len).sum();
        if len == 0 {
            return Ok(());
        }
        let mut bytes = format!("{len:x}\r\n").into_bytes();
        for part in parts {
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(b"\r\n");
        self.stream.write_all(&bytes).await
    }

    /// Writes the last chunk.
    pub(super) async fn end_chunks(&mut self) -> io::Result<()> {
        self.stream.write_all(b"0\r\n\r\n").await
    }

    /// Tells the client what was wrong with its request, and reads on a little: a close with unread
    /// bytes would reset the connection and take the answer with it.
    pub(super) async fn refuse(&mut self, status: u16, message: &str) -> io::Result<()> {
        let response = Response::json(status, &json!({ "message": message }));
        self.give_response(&response, false, false).await?;
        self.stream.get_ref().shutdown(Shutdown::Write)?;
        let mut n_read = 0;
        while n_read < LINGER_BYTES_MAX {
            self.buffer.clear();
            match self.read().await? {
                0 => break,
                n => n_read += n,
            }
        }
        Ok(())
    }

    /// Reads up to the blank line; returns the length of the head.
    async fn read_head(&mut self) -> Result<usize, RequestError> {
        let mut searched = 0;
        loop {
            let from = usize::saturating_sub(searched, 3);
            let blank = self.buffer[from..]
                .windows(4)
                .position(|four| four == b"\r\n\r\n");
            match blank {
                Some(at) if from + at + 4 <= HEAD_BYTES_MAX => return Ok(from + at + 4),
                None if self.buffer.len() < HEAD_BYTES_MAX => {}
                Some(_) | None => {
                    return Err(RequestError::Refused(431, "the request's head is too long"));
                }
            }
            searched = self.buffer.len();
            if self.read().await? == 0 {
                return Err(RequestError::Closed);
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        let mut piece = [0_u8; READ_BYTES];
        let n = self.stream.read(&mut piece).await?;
        self.buffer.extend_from_slice(&piece[..n]);
        Ok(n)
    }
}

/// A parsed head.
struct Head {
    incoming: Incoming,
    body_bytes: usize,
}

fn parse_head(bytes: &[u8]) -> Result<Head, RequestError> {
    const MALFORMED: RequestError = RequestError::Refused(400, "the request is malformed");
    let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut lines);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(n)) if n == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(RequestError::Refused(431, "too many header lines"));
        }
        Ok(_) | Err(_) => return Err(MALFORMED),
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(MALFORMED);
    };
    if !target.starts_with('/') {
        return Err(MALFORMED);
    }
    let headers: Vec<(String, String)> = parsed
        .headers
        .iter()
        .map(|line| {
            let value = String::from_utf8_lossy(line.value).into_owned();
            (line.name.to_ascii_lowercase(), value)
        })
        .collect();
    let mut request = Request {
        method: method.to_owned(),
        scheme: "http".to_owned(),
        host: String::new(),
        target: target.to_owned(),
        headers,
        body: Vec::new(),
    };
    let Some(host) = request.header("host") else {
        return Err(RequestError::Refused(400, "the request names no host"));
    };
    request.host = host.to_owned();
    if request.header("transfer-encoding").is_some() {
        return Err(RequestError::Refused(
            411,
            "the body's length must be given",
        ));
    }
    let body_bytes = body_bytes(&request).ok_or(MALFORMED)?;
    if body_bytes > BODY_BYTES_MAX {
        return Err(RequestError::Refused(413, "the body is too long"));
    }
    let connection = request.header("connection").unwrap_or_default();
    let says = |word: &str| {
        let mut words = connection.split(',');
        words.any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    let is_kept = if version == 0 {
        says("keep-alive")
    } else {
        !says("close")
    };
    Ok(Head {
        incoming: Incoming { request, is_kept },
        body_bytes,
    })
}

/// The one length that all `content-length` lines agree on; `None` when there is no such length.
fn body_bytes(request: &Request) -> Option<usize> {
    let mut values = request
        .headers
        .iter()
        .filter(|(name, _)| name == "content-length")
        .map(|(_, value)| value.trim());
    let Some(first) = values.next() else {
        return Some(0);
    };
    let is_number = first.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || values.any(|other| other != first) {
        return None;
    }
    first.parse().ok()
}

fn status_line(response: &Response) -> Vec<u8> {
    let mut text = format!(
        "HTTP/1.1 {} {}\r\n",
        response.status,
        reason(response.status)
    );
    for (name, value) in &response.headers {
        text.push_str(name);
        text.push_str(": ");
        // A tag's name may hold anything; a line must stay one line.
        text.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c }));
        text.push_str("\r\n");
    }
    text.into_bytes()
}

fn push_header(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
}

/// The phrase behind a status; clients show it.
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &str) -> Result<(String, usize, bool), u16> {
        match parse_head(head.as_bytes()) {
            Ok(head) => {
                let Incoming { request, is_kept } = head.incoming;
                Ok((request.host, head.body_bytes, is_kept))
            }
            Err(RequestError::Refused(status, _)) => Err(status),
            Err(RequestError::Closed) => panic!("a head says nothing about the connection"),
        }
    }

    #[test]
    fn heads_say_how_long_the_body_is_and_whether_more_follows() {
        let check = |head: &str, expected: Result<(usize, bool), u16>| {
            let found = parsed(head).map(|(_, body_bytes, is_kept)| (body_bytes, is_kept));
            assert_eq!(found, expected, "{head:?}");
        };
        check("GET / HTTP/1.1\r\nHost: h\r\n\r\n", Ok((0, true)));
        check("GET / HTTP/1.0\r\nHost: h\r\n\r\n", Ok((0, false)));
        check(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: TE, Close\r\n\r\n",
            Ok((0, false)),
        );
        check(
            "PATCH /a HTTP/1.1\r\nhost: h\r\ncontent-length: 7\r\n\r\n",
            Ok((7, true)),
        );
        check(
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: -1\r\n\r\n",
            Err(400),
        );
        check(
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: +1\r\n\r\n",
            Err(400),
        );
        check(
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: \r\n\r\n",
            Err(400),
        );
        let huge = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 99999999999999999999999\r\n\r\n";
        check(huge, Err(400));
        check(
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5000000\r\n\r\n",
            Err(413),
        );
        let two = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n";
        check(two, Err(400));
        check(
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n",
            Err(411),
        );
        check("GET / HTTP/1.1\r\n\r\n", Err(400));
        check("GET nowhere HTTP/1.1\r\nhost: h\r\n\r\n", Err(400));
        check("GET / HTTP/3\r\nhost: h\r\n\r\n", Err(400));
        check("\u{0}\u{1} / HTTP/1.1\r\nhost: h\r\n\r\n", Err(400));
        let many = format!(
            "GET / HTTP/1.1\r\nhost: h\r\n{}\r\n",
            "a: b\r\n".repeat(HEADERS_MAX)
        );
        check(&many, Err(431));
    }

    #[test]
    fn a_header_value_stays_on_its_line() {
        let response = Response::default().with_header("link", "a\r\nset-cookie: b");
        let line = String::from_utf8(status_line(&response)).expect("a text");
        assert_eq!(line, "HTTP/1.1 0 Status\r\nlink: a  set-cookie: b\r\n");
    }
}
