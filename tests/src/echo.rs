//! Servers that repeat in every way what they are shown, for tests that nothing of it is passed on.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image_updater_fixtures::exchange::form_value;
use image_updater_fixtures::{Request, Response};
use serde_json::json;

/// True when a request carries a secret: a header, a form, or a signature in its query.
pub fn is_showing(request: &Request) -> bool {
    request.header("authorization").is_some()
        || request.header("proxy-authorization").is_some()
        || request.method == "POST"
        || request.query("sig").is_some()
}

/// What a request carries: its credentials as they came and decoded, its target, its form.
pub fn decoded(request: &Request) -> String {
    let shown: Vec<&str> = ["authorization", "proxy-authorization"]
        .into_iter()
        .filter_map(|name| request.header(name))
        .filter_map(|value| Some(value.split_once(' ')?.1))
        .collect();
    let decoded = shown.iter().filter_map(|text| {
        let bytes = STANDARD.decode(text).ok()?;
        String::from_utf8(bytes).ok()
    });
    let body = String::from_utf8_lossy(&request.body);
    let mut words: Vec<String> = shown.iter().map(|text| (*text).to_owned()).collect();
    words.extend(decoded);
    words.extend(form_value(&body, "refresh_token"));
    words.extend([request.target.clone(), body.into_owned()]);
    words.join(" and ")
}

/// A refusal that repeats the whole request, as it came and with its credentials decoded: in the challenge,
/// in other headers and in the body.
pub fn echo(status: u16, request: &Request) -> Response {
    let words = decoded(request);
    let mut errors = vec![json!({ "code": "DENIED", "message": words })];
    // The end of the words is told, too, where only so much of each is.
    errors.extend(
        words
            .split(' ')
            .map(|word| json!({ "code": "X", "message": word })),
    );
    let quoted = words.replace('"', "'");
    Response::json(status, &json!({ "errors": errors }))
        .with_header(
            "www-authenticate",
            format!(
                "Bearer realm=\"http://auth.test/token\",service=\"{quoted}\",\
                 error=\"invalid_token\",error_description=\"{quoted}\", Basic realm=\"{quoted}\""
            ),
        )
        .with_header("x-you-said", quoted)
}

/// A server on loopback that answers by a function of the request, one connection per request.
#[derive(Debug)]
pub struct EchoServer {
    /// Host and port.
    pub host: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl EchoServer {
    /// Starts it. It ends with the process.
    ///
    /// # Panics
    /// When loopback cannot be listened on.
    pub fn start(answer: impl Fn(&Request) -> Response + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let address = listener.local_addr().expect("a listener has an address");
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Who breaks off has seen enough.
                drop(serve(stream, &seen, &answer));
            }
        });
        Self {
            host: address.to_string(),
            requests,
        }
    }

    /// Every request so far: method, target, body, and the decoded values of what was shown.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.clone()
    }
}

fn serve(
    stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    answer: &impl Fn(&Request) -> Response,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(request) = read_request(&mut reader)? else {
        return Ok(());
    };
    let told = decoded(&request);
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(format!("{} {told}", request.method));
    let response = answer(&request);
    // What follows the number is words, too.
    let head = format!(
        "HTTP/1.1 {} {}\r\nconnection: close\r\ncontent-length: {}\r\n",
        response.status,
        request.header("proxy-authorization").unwrap_or("words"),
        response.body.len()
    );
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    for (name, value) in &response.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&response.body)
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let Some((first, rest)) = lines.split_first() else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let headers: Vec<(String, String)> = rest
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request {
        method: method.to_owned(),
        scheme: "http".to_owned(),
        host: String::new(),
        target: target.to_owned(),
        headers,
        body: Vec::new(),
    };
    let length = request.header("content-length");
    let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}
