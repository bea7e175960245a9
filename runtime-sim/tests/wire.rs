//! The fake world on sockets, seen by clients that know nothing of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use image_updater_fixtures::registry::{Auth, ImageSpec};
use image_updater_fixtures::{AppSpec, Registry};
use image_updater_sim::wire::{Conduct, Port, Wire, WireWorld};
use serde_json::{Value, json};

const APPLICATIONS: &str = "/apis/argoproj.io/v1alpha1/applications";
const WEB: &str = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/web";
/// Ends a test that would otherwise hang.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_list_shows_what_the_world_holds() {
    let wire = cluster(&["web", "api"]);
    let (status, list) = ask_json(&wire, "GET", APPLICATIONS, "");
    assert_eq!(status, 200);
    let names: Vec<_> = list["items"].as_array().expect("items").iter().collect();
    assert_eq!(names.len(), 2);
    assert_eq!(ask_json(&wire, "GET", "/nowhere", "").0, 404);
}

#[test]
fn a_watch_sees_an_edit_a_deletion_and_its_end() {
    let wire = cluster(&["web"]);
    let target = format!("{APPLICATIONS}?watch=true&resourceVersion=1");
    let mut watch = Client::connect(&wire, Port::Api);
    watch.send("GET", &target, "");
    assert_eq!(watch.status(), 200);
    let mut next = || -> (Value, Value) {
        let event: Value = serde_json::from_slice(&watch.chunk()).expect("an event is JSON");
        (
            event["type"].clone(),
            event["object"]["spec"]["project"].clone(),
        )
    };
    assert_eq!(next(), (json!("ADDED"), json!("default")));
    edit(&wire, "other");
    assert_eq!(next(), (json!("MODIFIED"), json!("other")));
    wire.with_world(|world| world.cluster.delete("argocd", "web"));
    assert_eq!(next(), (json!("DELETED"), json!("other")));
    wire.end_watches();
    assert_eq!(watch.chunk(), b"", "the last chunk");
    watch.send("GET", APPLICATIONS, "");
    assert_eq!(watch.status(), 200, "the connection goes on");
}

#[test]
fn a_streaming_list_ends_with_its_bookmark_and_a_broken_watch_in_the_middle() {
    let wire = cluster(&["web", "api"]);
    let target =
        format!("{APPLICATIONS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    let mut watch = Client::connect(&wire, Port::Api);
    watch.send("GET", &target, "");
    assert_eq!(watch.status(), 200);
    let text = String::from_utf8(watch.chunk()).expect("events are text");
    let kinds: Vec<Value> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("a line is an event")["type"].clone()
        })
        .collect();
    assert_eq!(kinds, ["ADDED", "ADDED", "BOOKMARK"]);
    wire.break_watches();
    assert_eq!(watch.rest(), "", "no last chunk");
}

#[test]
fn a_watch_ends_when_its_time_is_over_and_says_when_its_version_is_too_old() {
    let wire = cluster(&["a", "b", "c"]);
    wire.with_world(|world| world.cluster.bound_history(1));
    let mut watch = Client::connect(&wire, Port::Api);
    watch.send(
        "GET",
        &format!("{APPLICATIONS}?watch=1&timeoutSeconds=0&resourceVersion=4"),
        "",
    );
    assert_eq!((watch.status(), watch.chunk()), (200, Vec::new()));
    watch.send(
        "GET",
        &format!("{APPLICATIONS}?watch=1&resourceVersion=1"),
        "",
    );
    assert_eq!(watch.status(), 200);
    let event: Value = serde_json::from_slice(&watch.chunk()).expect("an event is JSON");
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    assert_eq!(watch.chunk(), b"");
}

#[test]
fn a_patch_is_synced_and_a_stale_one_is_a_conflict() {
    let wire = cluster(&["web"]);
    let (_, web) = ask_json(&wire, "GET", WEB, "");
    let patch = json!([
        {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": web["metadata"]["resourceVersion"],
        },
        { "op": "add", "path": "/spec/source/helm", "value": { "parameters": [
            { "name": "web.name", "value": "org/web" },
            { "name": "web.tag", "value": "1.1.0" },
        ] } },
    ])
    .to_string();
    assert_eq!(ask_json(&wire, "PATCH", WEB, &patch).0, 200);
    assert_eq!(ask_json(&wire, "PATCH", WEB, &patch).0, 409);
    let synced = wire.wait_for(PATIENCE, |world| {
        let web = world.cluster.application("argocd", "web")?;
        (web["status"]["summary"]["images"] == json!(["org/web:1.1.0"])).then_some(())
    });
    assert_eq!(synced, Some(()), "Argo CD syncs a little later");
    let seen = wire.with_world(|world| world.patches.clone());
    let statuses: Vec<_> = seen.iter().map(|patch| patch.status).collect();
    assert_eq!(statuses, [Some(200), Some(409)]);
    assert_eq!(seen[0].operations[1]["path"], "/spec/source/helm");
}

#[test]
fn the_world_can_be_changed_while_a_request_is_held() {
    let wire = cluster(&["web"]);
    wire.switch(Port::Api, Conduct::Holding);
    let mut client = Client::connect(&wire, Port::Api);
    client.send("GET", WEB, "");
    let arrived = wire.wait_for(PATIENCE, |world| {
        (world.connections.get(&Port::Api)?.requests == 1).then_some(())
    });
    assert_eq!(arrived, Some(()));
    edit(&wire, "other");
    wire.switch(Port::Api, Conduct::Serving);
    assert_eq!(client.status(), 200);
    let web: Value = serde_json::from_slice(&client.body()).expect("an object is JSON");
    assert_eq!(web["spec"]["project"], "other");
}

#[test]
fn a_private_registry_gives_tokens_to_its_users() {
    let wire = registry(|registry| registry.auth = Auth::bearer(60).with_user("u", "p"));
    let host = wire.registry_host(0);
    let mut client = Client::connect(&wire, Port::Registry(0));
    client.send("GET", "/v2/org/app/tags/list", "");
    let challenge = client.head();
    assert!(challenge.starts_with("HTTP/1.1 401 "), "{challenge}");
    assert!(
        challenge.contains(&format!("realm=\"http://{host}/token\"")),
        "{challenge}"
    );
    client.body();
    let token = format!("/token?service={host}&scope=repository:org/app:pull");
    client.send("GET", &token, "authorization: Basic dTpw\r\n");
    assert_eq!(client.status(), 200);
    let token: Value = serde_json::from_slice(&client.body()).expect("a token is JSON");
    let token = token["token"].as_str().expect("a token is a text");
    client.send(
        "GET",
        "/v2/org/app/tags/list",
        &format!("authorization: Bearer {token}\r\n"),
    );
    assert_eq!(client.status(), 200);
    assert_eq!(client.body(), br#"{"name":"org/app","tags":["1.0.0"]}"#);
    assert_eq!(
        wire.with_world(|world| world.registries[0].served.refused),
        1
    );
}

#[test]
fn one_connection_carries_many_requests_until_it_is_asked_to_close() {
    let wire = registry(|_| {});
    let mut client = Client::connect(&wire, Port::Registry(0));
    let line = "GET /v2/org/app/tags/list HTTP/1.1\r\nhost: h\r\n\r\n";
    client.write(&line.repeat(3));
    for _ in 0..3 {
        assert_eq!(
            client.status(),
            200,
            "requests in one packet are answered in turn"
        );
        client.body();
    }
    let connections = wire.with_world(|world| world.connections[&Port::Registry(0)]);
    assert_eq!((connections.open, connections.accepted), (1, 1));
    client.send("HEAD", "/v2/org/app/manifests/1.0.0", "accept: */*\r\n");
    let head = client.head();
    assert!(
        head.contains("content-length: 2") || head.contains("content-length: 3"),
        "{head}"
    );
    client.send("GET", "/v2/", "connection: close\r\n");
    assert_eq!(client.status(), 200, "no body came after HEAD");
    client.body();
    assert_eq!(client.rest(), "");
}

#[test]
fn a_registry_is_down_hangs_and_comes_back_while_others_answer() {
    let wire = registry(|_| {});
    let mut open = Client::connect(&wire, Port::Registry(0));
    open.send("GET", "/v2/", "");
    assert_eq!(open.status(), 200);
    open.body();

    wire.switch(Port::Registry(0), Conduct::Down);
    assert_eq!(open.rest(), "", "open connections are closed");
    let refused = TcpStream::connect(wire.registry_host(0)).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let mut other = Client::connect(&wire, Port::Registry(1));
    other.send("GET", "/v2/", "");
    assert_eq!(other.status(), 200);

    wire.switch(Port::Registry(0), Conduct::Hanging);
    let mut hung = Client::connect(&wire, Port::Registry(0));
    hung.send("GET", "/v2/", "");
    assert!(hung.is_silent());

    wire.switch(Port::Registry(0), Conduct::Slow(Duration::from_millis(1)));
    assert_eq!(hung.rest(), "", "it never was answered");
    let mut slow = Client::connect(&wire, Port::Registry(0));
    slow.send("GET", "/v2/", "");
    assert_eq!(slow.status(), 200);
}

#[test]
fn malformed_requests_are_refused_and_the_world_goes_on() {
    let wire = registry(|_| {});
    let check = |request: &[u8], status: u16| {
        for port in [Port::Api, Port::Registry(0)] {
            let mut client = Client::connect(&wire, port);
            // The server may have closed before everything is written.
            drop(client.stream.get_mut().write_all(request));
            let shown = String::from_utf8_lossy(&request[..request.len().min(60)]);
            assert_eq!(client.status(), status, "{port:?} {shown}");
        }
    };
    check(b"nonsense\r\n\r\n", 400);
    check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400);
    check(b"GET / HTTP/1.1\r\n\r\n", 400);
    check(
        b"GET / HTTP/1.1\r\nhost: h\r\ncontent-length: x\r\n\r\n",
        400,
    );
    check(
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9999999999\r\n\r\n",
        413,
    );
    check(
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        411,
    );
    check(&vec![b'a'; 100_000], 431);
    let escapes = b"GET /v2/%/%f/\xff%zz/tags/list?last=%&n=-1&n=%f HTTP/1.1\r\nhost: h\r\n\r\n";
    check(escapes, 400);
    check(
        b"GET /v2/%/%f/tags/list?last=%&n=-1&=&& HTTP/1.1\r\nhost: h\r\n\r\n",
        404,
    );
    let (status, _) = ask_json(&wire, "PATCH", WEB, "no JSON");
    assert_eq!(status, 400);
    assert_eq!(ask_json(&wire, "GET", APPLICATIONS, "").0, 200);
}

#[test]
fn a_client_that_does_not_finish_its_request_is_sent_away() {
    let mut world = WireWorld::new(0);
    world.client_patience = Duration::from_millis(30);
    let wire = Wire::start(world).expect("loopback has free ports");
    let mut client = Client::connect(&wire, Port::Api);
    client.write("GET /version HTTP/1.1\r\nhost:");
    assert_eq!(client.status(), 408);
    client.body();
    assert_eq!(client.rest(), "");
}

#[test]
fn a_client_that_does_not_read_its_watch_is_cut_off() {
    let mut world = WireWorld::new(0);
    world.client_patience = Duration::from_millis(30);
    let wire = Wire::start(world).expect("loopback has free ports");
    let mut client = Client::connect(&wire, Port::Api);
    client.send(
        "GET",
        &format!("{APPLICATIONS}?watch=true&resourceVersion=1"),
        "",
    );
    // More than the buffers of both sides hold, in one chunk.
    let big = AppSpec::helm("argocd", "big").annotation("note", &"x".repeat(16 << 20));
    wire.with_world(|world| world.cluster.apply(&big.to_json()));
    let cut = wire.wait_for(PATIENCE, |world| {
        (world.connections[&Port::Api].open == 0).then_some(())
    });
    assert_eq!(cut, Some(()));
    let got = client.rest();
    assert!(
        got.len() < 16 << 20,
        "all of it was given to a client that read nothing"
    );
}

#[test]
fn stop_closes_every_socket() {
    let wire = registry(|_| {});
    let (api, host) = (wire.api_url(), wire.registry_host(0));
    let mut watch = Client::connect(&wire, Port::Api);
    watch.send("GET", &format!("{APPLICATIONS}?watch=true"), "");
    assert_eq!(watch.status(), 200);
    wire.stop();
    assert_eq!(watch.rest(), "");
    for address in [api.trim_start_matches("http://"), host.as_str()] {
        assert!(TcpStream::connect(address).is_err(), "{address}");
    }
}

#[test]
fn the_kubeconfig_names_the_server() {
    let wire = cluster(&[]);
    let text = wire.kubeconfig();
    assert!(
        text.contains(&format!("    server: {}\n", wire.api_url())),
        "{text}"
    );
}

fn cluster(names: &[&str]) -> Wire {
    let mut world = WireWorld::new(0);
    for name in names {
        let spec = AppSpec::helm("argocd", name).image(&format!("org/{name}"), "1.0.0");
        world.cluster.apply(&spec.to_json());
    }
    Wire::start(world).expect("loopback has free ports")
}

/// Two registries, the first with one image and as `prepare` wants it.
fn registry(prepare: impl FnOnce(&mut Registry)) -> Wire {
    let mut world = WireWorld::new(2);
    world.registries[0].push("org/app", "1.0.0", &ImageSpec::default());
    prepare(&mut world.registries[0]);
    Wire::start(world).expect("loopback has free ports")
}

fn edit(wire: &Wire, project: &str) {
    wire.with_world(|world| {
        world.cluster.edit("argocd", "web", |web| {
            web["spec"]["project"] = json!(project);
        });
    });
}

/// One request with a client of everyday use.
fn ask_json(wire: &Wire, method: &str, target: &str, body: &str) -> (u16, Value) {
    let agent = ureq::Agent::new_with_config(
        ureq::config::Config::builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build(),
    );
    let url = format!("{}{target}", wire.api_url());
    let answer = match method {
        "PATCH" => agent
            .patch(url)
            .header("content-type", "application/json-patch+json")
            .send(body),
        _ => agent.get(url).call(),
    };
    let mut answer = answer.expect("the server answers");
    let text = answer.body_mut().read_to_string().expect("a whole body");
    (
        answer.status().as_u16(),
        serde_json::from_str(&text).expect("the API speaks JSON"),
    )
}

/// A client that sees every byte.
struct Client {
    stream: BufReader<TcpStream>,
    length: usize,
}

impl Client {
    fn connect(wire: &Wire, port: Port) -> Self {
        let address = match port {
            Port::Api => wire.api_url().trim_start_matches("http://").to_owned(),
            Port::Registry(idx) => wire.registry_host(idx),
        };
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a patience is set");
        Self {
            stream: BufReader::new(stream),
            length: 0,
        }
    }

    fn write(&mut self, text: &str) {
        self.stream
            .get_mut()
            .write_all(text.as_bytes())
            .expect("the server reads");
    }

    fn send(&mut self, method: &str, target: &str, lines: &str) {
        let host = self
            .stream
            .get_ref()
            .peer_addr()
            .expect("a connected socket");
        self.write(&format!(
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n"
        ));
    }

    /// The head of the next answer.
    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let n = self
                .stream
                .read_line(&mut head)
                .expect("a line of the head");
            assert!(n > 0, "the connection ended in the head {head:?}");
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        self.length = length.map_or(0, |length| length.parse().expect("a length"));
        head
    }

    fn status(&mut self) -> u16 {
        let head = self.head();
        head[9..12].parse().expect("a status")
    }

    fn body(&mut self) -> Vec<u8> {
        let mut body = vec![0; self.length];
        self.stream.read_exact(&mut body).expect("a whole body");
        body
    }

    fn chunk(&mut self) -> Vec<u8> {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a chunk's length");
        let length = usize::from_str_radix(line.trim_end(), 16).expect("a length in hex");
        let mut chunk = vec![0; length + 2];
        self.stream.read_exact(&mut chunk).expect("a whole chunk");
        assert_eq!(chunk.split_off(length), b"\r\n");
        chunk
    }

    /// Everything up to the end of the connection, however it ends.
    fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "it ends");
        }
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Nothing comes for a moment.
    fn is_silent(&mut self) -> bool {
        let moment = Duration::from_millis(20);
        self.stream
            .get_mut()
            .set_read_timeout(Some(moment))
            .expect("a patience is set");
        let silent = self.stream.fill_buf().is_err();
        self.stream
            .get_mut()
            .set_read_timeout(Some(PATIENCE))
            .expect("a patience is set");
        silent
    }
}
