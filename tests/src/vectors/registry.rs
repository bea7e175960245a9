//! Vectors of the room `registry`.

use std::time::Duration;

use image_updater_core::credential::CredentialOutcome;
use image_updater_core::credential::CredentialSource;
use image_updater_core::effect::Effect;
use image_updater_core::http::{
    HttpOutcome, HttpResponse, Method, TransportFailure, TransportKind,
};
use image_updater_core::id::OpIds;
use image_updater_core::image::{Image, TagListSort};
use image_updater_core::keyed::Seed;
use image_updater_core::registry::backoff::Backoff;
use image_updater_core::registry::budget::RateBudget;
use image_updater_core::registry::endpoint::EndpointOrigin;
use image_updater_core::registry::inspection::{Inspection, InspectionStep};
use image_updater_core::registry::link::ForeignLinks;
use image_updater_core::registry::login::{Login, LoginContent, LoginError};
use image_updater_core::registry::reply::{Reply, error_message, judge};
use image_updater_core::registry::{
    EndpointSettings, EndpointTable, FactsKind, PlatformKeySet, Registry, RegistrySettings,
    TagFacts, WaiterId, base64, challenge, conf, link, token, url,
};
use image_updater_core::rfc3339::{self, Rfc3339};
use image_updater_core::secret::Secret;
use image_updater_core::time::{Now, Time, UnixTime};
use serde_json::{Map, Value, json};

use super::{Case, Runner, Verdict, compare};

/// The runner of `group`, if this room has it.
pub(super) fn runner(file: &str, group: &str) -> Option<Runner> {
    if file != "registry" {
        return None;
    }
    let run: Runner = match group {
        "registries_conf_parse" => registries_conf,
        "endpoint_for_image" => |case| Verdict::of(case, &endpoints(case.input)),
        "credential_value_parse" => credential_value,
        "dockerconfigjson_parse" => dockerconfigjson,
        "www_authenticate_challenge_parse" => |case| Verdict::of(case, &challenges(case.input)),
        "link_header_pagination" => |case| Verdict::of(case, &next_page(case.input)),
        "platform_match" => |case| Verdict::of(case, &platform_match(case.input)),
        "manifest_to_taginfo" => |case| Verdict::of(case, &taginfo(case.input)),
        "created_time_parse" => |case| Verdict::of(case, &created(case.input)),
        "backoff_bounds" => backoff_bounds,
        "token_request" => |case| Verdict::of(case, &token_request(case.input)),
        "token_response" => token_response,
        "http_error_message" => http_error,
        "api_url_join" => |case| Verdict::of(case, &api_urls(case.input)),
        "rate_limit_semantics" => |case| Verdict::of(case, &grants(case.input)),
        "effective_rate_limit" => |case| Verdict::of(case, &effective_rate(case.input)),
        "retry_policy" => retry_policy,
        "credential_expiry" => |case| Verdict::of(case, &credential_expiry(case.input)),
        _ => return None,
    };
    Some(run)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().map(text)
}

fn millis(value: &Value) -> Duration {
    Duration::from_millis(value.as_u64().expect("milliseconds"))
}

/// All problems come at once: the expected one must be among them.
fn registries_conf(case: &Case<'_>) -> Verdict {
    let entries = match conf::parse(text(&case.input["yaml"])) {
        Ok(entries) => entries,
        Err(error) => {
            let is_expected = error.problems.iter().any(|problem| {
                let got = json!({
                    "ok": false,
                    "stage": problem.kind.stage(),
                    "error_kind": problem.kind.as_str(),
                });
                compare(&got, case.expect, true)
            });
            let words = text(&case.expect["error_contains"]);
            let has_words = error.to_string().contains(words);
            return Verdict::from_bool(is_expected && has_words, &format!("{error:?}"));
        }
    };
    let registries: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({
                "name": entry.name,
                "prefix": entry.prefix,
                "api_url": entry.api_url,
                "credentials": entry.credentials,
                "credsexpire_ns": entry.credsexpire.as_nanos(),
                "tagsortmode": match entry.tag_sort {
                    TagListSort::Unsorted => "unsorted",
                    TagListSort::LatestFirst => "latest-first",
                    TagListSort::LatestLast => "latest-last",
                },
                "insecure": entry.is_insecure,
                "defaultns": entry.default_namespace,
                "limit_rps": entry.rate_max,
                "default": entry.is_default,
            })
        })
        .collect();
    Verdict::of(case, &json!({"ok": true, "registries": registries}))
}

fn endpoints(input: &Value) -> Value {
    let entries = conf::parse(text(&input["registries_conf"])).expect("a good file");
    let mut table = EndpointTable::new(&RegistrySettings {
        endpoints: entries
            .iter()
            .map(conf::RegistryEntry::to_settings)
            .collect(),
        ..RegistrySettings::default()
    });
    texts(&input["images"])
        .map(|written| {
            let image = Image::parse(written);
            let mut got = json!({
                "image": written,
                "registry_url": image.registry,
                "image_name": image.name,
            });
            match table.select(&image.registry, &image.name) {
                Err(error) => got["error"] = json!(error.to_string()),
                Ok(id) => {
                    let settings = table[id].settings();
                    got["endpoint_prefix"] = json!(&*settings.prefix);
                    got["api_url"] = json!(settings.api_url);
                    got["limit_rps"] = json!(settings.rate_max);
                    got["source"] = json!(match table[id].origin() {
                        EndpointOrigin::BuiltIn => "builtin",
                        EndpointOrigin::Configured => "config",
                        EndpointOrigin::Inferred => "inferred",
                        EndpointOrigin::TokenHost => "token",
                    });
                    match table[id].repository_name(&image.name) {
                        Ok(name) => got["repository"] = json!(&*name),
                        Err(error) => got["error"] = json!(error.to_string()),
                    }
                }
            }
            got
        })
        .collect()
}

/// An expected error is the fact of one; a login is compared as a whole.
fn login_verdict(case: &Case<'_>, result: Result<Login, LoginError>) -> Verdict {
    match result {
        Err(error) => Verdict::from_bool(case.expect.get("error").is_some(), &error),
        Ok(login) => {
            let password = login.password.reveal();
            Verdict::of(
                case,
                &json!({"username": &*login.username, "password": password}),
            )
        }
    }
}

fn credential_value(case: &Case<'_>) -> Verdict {
    let source = match text(&case.input["source"]) {
        "env" => CredentialSource::Env("X".into()),
        "ext" => CredentialSource::Ext("/x".into()),
        _ => CredentialSource::Secret {
            namespace: "ns".into(),
            name: "name".into(),
            field: "field".into(),
        },
    };
    let raw = Secret::new(text(&case.input["raw"]));
    let content = LoginContent::parse(&source, &raw);
    login_verdict(
        case,
        content.and_then(|content| content.login_for("", None)),
    )
}

fn dockerconfigjson(case: &Case<'_>) -> Verdict {
    let source = CredentialSource::PullSecret {
        namespace: "ns".into(),
        name: "name".into(),
    };
    let raw = Secret::new(text(&case.input["json"]));
    let registry = text(&case.input["registry_url"]);
    let content = LoginContent::parse(&source, &raw);
    login_verdict(
        case,
        content.and_then(|content| content.login_for(registry, None)),
    )
}

fn challenges(input: &Value) -> Value {
    let response = HttpResponse {
        status: u16::try_from(input["status"].as_u64().expect("a status")).expect("a status"),
        headers: texts(&input["headers"])
            .map(|line| ("www-authenticate".to_owned(), line.to_owned()))
            .collect(),
        body: Vec::new(),
    };
    let Reply::Challenged(response) = judge(HttpOutcome::Response(response), UnixTime::default())
    else {
        return json!([]);
    };
    challenge::parse(response.headers_named("www-authenticate"))
        .into_iter()
        .map(|challenge| {
            let params: Map<String, Value> = challenge
                .params
                .into_iter()
                .map(|(key, value)| (key, value.into()))
                .collect();
            json!({"scheme": challenge.scheme, "params": params})
        })
        .collect()
}

fn next_page(input: &Value) -> Value {
    let values = input["link"].as_str().into_iter();
    match link::next_page(text(&input["url"]), values, ForeignLinks::Refused) {
        Ok(next) => json!({"next": next}),
        Err(_) => json!({"error": true}),
    }
}

fn platform_match(input: &Value) -> Value {
    let wanted = PlatformKeySet::new(texts(&input["wanted"]));
    let is_match = wanted.has_match(
        text(&input["os"]),
        text(&input["arch"]),
        text(&input["variant"]),
    );
    json!({"match": is_match})
}

/// Walks one tag with the documents of the case; the digest strategy shows no date for an index.
fn taginfo(input: &Value) -> Value {
    let kind = if input["want_metadata"] == true {
        FactsKind::Created
    } else {
        FactsKind::Digest
    };
    let platforms = PlatformKeySet::new(texts(&input["platforms"]));
    let mut inspection = Inspection::new(kind, platforms);
    let mut fetches: Vec<String> = Vec::new();
    let manifest = text(&input["manifest"]).as_bytes();
    let mut step = inspection.on_manifest(input["content_type"].as_str(), manifest);
    loop {
        step = match step {
            InspectionStep::Manifest(digest) => {
                fetches.push(format!("manifest:{digest}"));
                let Some(document) = input["referenced"].get(&digest) else {
                    return json!({"result": "error", "fetches": fetches});
                };
                let body = text(&document["body"]).as_bytes();
                inspection.on_manifest(document["content_type"].as_str(), body)
            }
            InspectionStep::Config(digest) => {
                fetches.push(format!("blob:{digest}"));
                let Some(body) = input["blobs"][&digest].as_str() else {
                    return json!({"result": "error", "fetches": fetches});
                };
                inspection.on_config(body.as_bytes())
            }
            InspectionStep::Corrupt
            | InspectionStep::Garbled { .. }
            | InspectionStep::Done(TagFacts::Unusable { .. }) => {
                return json!({"result": "error", "fetches": fetches});
            }
            InspectionStep::Done(TagFacts::OtherPlatform { .. }) => {
                return json!({"result": "skip", "fetches": fetches});
            }
            InspectionStep::Done(TagFacts::Usable { digest, created }) => {
                let created =
                    created.map_or("0001-01-01T00:00:00Z".into(), |at| Rfc3339(at).to_string());
                return json!({
                    "result": "taginfo",
                    "created": created,
                    "digest": digest.to_string(),
                    "fetches": fetches,
                });
            }
        };
    }
}

fn created(input: &Value) -> Value {
    match rfc3339::parse(text(&input["text"])) {
        Some(time) => json!({"utc": Rfc3339(time).to_string()}),
        None => json!({"error": true}),
    }
}

fn backoff_bounds(case: &Case<'_>) -> Verdict {
    let backoff = Backoff {
        base: millis(&case.input["base_ms"]),
        sleep_max: millis(&case.input["cap_ms"]),
    };
    let attempt = case.input["attempt"].as_u64().expect("an attempt");
    let attempt = u32::try_from(attempt).expect("a small attempt");
    let sleeps: Vec<f64> = (0..1000)
        .map(|seed| {
            backoff
                .sleep_after(attempt, Seed(seed), b"org/app")
                .as_secs_f64()
                * 1000.0
        })
        .collect();
    let bound = |name: &str| case.expect[name].as_f64().expect("a bound");
    let is_inside = sleeps
        .iter()
        .all(|sleep| (bound("min_ms")..=bound("max_ms")).contains(sleep));
    Verdict::from_bool(is_inside, &format!("{:?}", &sleeps[..5]))
}

fn token_request(input: &Value) -> Value {
    let login = Login {
        username: text(&input["username"]).into(),
        password: Secret::new(text(&input["password"])),
        identity_token: None,
    };
    let refresh_token = Secret::new(text(&input["refresh_token"]));
    let request = token::request(
        text(&input["realm"]),
        text(&input["service"]),
        text(&input["repository"]),
        Some(&login),
        Some(&refresh_token).filter(|token| !token.is_empty()),
    );
    let Ok(request) = request else {
        return json!({"error": true});
    };
    let shown = json!([&*login.username, login.password.reveal()]);
    let basic = request
        .basic
        .filter(|basic| Some(basic) == login.to_basic().as_ref());
    let mut got = json!({
        "method": request.method.as_str(),
        "url": request.url,
        "basic": basic.map(|_| shown),
    });
    if let Some(form) = &request.form {
        let body = form.reveal();
        let pairs: Map<String, Value> = url::decode_form(body)
            .into_iter()
            .map(|(key, value)| (key, value.into()))
            .collect();
        got["content_type"] = json!("application/x-www-form-urlencoded");
        got["form"] = pairs.into();
        got["body"] = json!(body);
    }
    got
}

fn token_response(case: &Case<'_>) -> Verdict {
    let method = match text(&case.input["flow"]) {
        "post" => Method::Post,
        _ => Method::Get,
    };
    let issued = match token::read_response(method, text(&case.input["body"]).as_bytes()) {
        Ok(issued) => issued,
        Err(error) => return Verdict::from_bool(case.expect.get("error").is_some(), &error),
    };
    let now = rfc3339::parse(text(&case.input["now"])).expect("a date");
    let lifetime = i64::try_from(issued.lifetime.as_nanos()).expect("a short life");
    let mut got = json!({
        "token": issued.token.reveal(),
        "expires_at": Rfc3339(UnixTime::from_nanos(now.as_nanos() + lifetime)).to_string(),
    });
    if let Some(refresh_token) = &issued.refresh_token {
        got["stores_refresh_token"] = json!(refresh_token.reveal());
    }
    Verdict::of(case, &got)
}

fn http_error(case: &Case<'_>) -> Verdict {
    let status = case.input["status"].as_u64().expect("a status");
    let message = error_message(
        u16::try_from(status).expect("a status"),
        case.input["www_authenticate"].as_str().into_iter(),
        text(&case.input["body"]).as_bytes(),
    );
    let expected = &case.expect["message_contains"];
    let parts: Vec<&str> = if expected.is_array() {
        texts(expected).collect()
    } else {
        vec![text(expected)]
    };
    Verdict::from_bool(parts.iter().all(|part| message.contains(part)), &message)
}

fn api_urls(input: &Value) -> Value {
    let api_url = text(&input["api_url"]);
    json!({
        "ping": url::join_api(api_url, "/v2/"),
        "tags": url::join_api(api_url, "/v2/org/app/tags/list"),
    })
}

#[expect(clippy::cast_precision_loss, reason = "the texts name small numbers")]
fn grants(input: &Value) -> Value {
    let rate = input["limit_rps"].as_u64();
    let rate = rate.map(|rate| u32::try_from(rate).expect("a small rate"));
    let mut budget = RateBudget::new(rate);
    let mut last = Time::ZERO;
    let grants: Vec<f64> = input["arrivals_ms"]
        .as_array()
        .expect("arrivals")
        .iter()
        .map(|arrival| {
            let arrival = Time::from_millis(arrival.as_u64().expect("milliseconds"));
            let is_sequential = input["sequential"] == true;
            last = budget.take(if is_sequential {
                arrival.max(last)
            } else {
                arrival
            });
            last.as_nanos() as f64 / 1e6
        })
        .collect();
    json!({"grants_ms": grants})
}

fn effective_rate(input: &Value) -> Value {
    let mut settings = RegistrySettings::default();
    let host = match text(&input["source"]) {
        "builtin docker.io" => "docker.io",
        "inferred from image host" => "reg.example.com",
        source => {
            let limit = input["limit"]
                .as_u64()
                .map(|limit| u32::try_from(limit).expect("a rate"));
            let flag = source
                .strip_prefix("test --rate-limit ")
                .and_then(|rate| rate.parse().ok());
            settings.endpoints.push(EndpointSettings {
                rate_max: EndpointSettings::rate_of(flag.or(limit)),
                ..EndpointSettings::inferred("configured.example.com")
            });
            "configured.example.com"
        }
    };
    let mut table = EndpointTable::new(&settings);
    let id = table.select(host, "org/app").expect("an endpoint");
    json!({"limit_rps": table[id].settings().rate_max})
}

fn retry_policy(case: &Case<'_>) -> Verdict {
    let attempts_max = case.input["max_attempts"].as_u64().expect("attempts");
    let outcomes = case.input["outcomes"].as_array().expect("outcomes");
    let mut attempts = 0;
    let is_success = loop {
        let outcome = outcomes
            .get(usize::try_from(attempts).expect("a small number"))
            .or(outcomes.last())
            .expect("an outcome");
        attempts += 1;
        let outcome = match outcome.as_u64() {
            Some(status) => HttpOutcome::Response(HttpResponse {
                status: u16::try_from(status).expect("a status"),
                ..HttpResponse::default()
            }),
            None => HttpOutcome::Failed(TransportFailure {
                kind: TransportKind::Closed,
                detail: String::new(),
            }),
        };
        match judge(outcome, UnixTime::default()) {
            Reply::Found(_) => break true,
            Reply::Refused(refusal) if refusal.is_retryable && attempts < attempts_max => {}
            Reply::Refused(_) | Reply::Challenged(_) | Reply::Unchanged(_) | Reply::Moved(_) => {
                break false;
            }
        }
    };
    let got = json!({
        "attempts": attempts,
        "sleeps": attempts - 1,
        "final": if is_success { "success" } else { "error" },
    });
    Verdict::from_bool(compare(case.expect, &got, case.partial), &got)
}

/// Lists a new repository at each step: whose credential is shown tells whether it was read anew.
fn credential_expiry(input: &Value) -> Value {
    let seconds = |value: &Value| Duration::from_secs(value.as_u64().expect("seconds"));
    let mut registry = Registry::new(
        RegistrySettings {
            endpoints: vec![EndpointSettings {
                credentials: Some(CredentialSource::Env("CREDS".into())),
                credentials_age_max: Some(seconds(&input["credsexpire_s"])),
                ..EndpointSettings::inferred("reg.example.com")
            }],
            ..RegistrySettings::default()
        },
        Seed(1),
    );
    let mut ids = OpIds::default();
    let mut now = Now::default();
    let steps = input["steps"].as_array().expect("steps");
    let users = steps.iter().enumerate().map(|(place, step)| {
        now.mono = now.mono.after(seconds(&step["advance_s"]));
        let name = format!("app{place}");
        let id = registry
            .repository("reg.example.com", &name, None)
            .expect("a good image");
        registry.retain(id);
        registry.want_listing(now, id, WaiterId(0));
        let env = text(&step["env"]);
        shown_user(&mut registry, &mut ids, now, env)
    });
    let users: Vec<String> = users.collect();
    json!({"users": users})
}

/// Answers readings with `env` and requests with a Basic challenge until one shows who we are.
fn shown_user(registry: &mut Registry, ids: &mut OpIds, mut now: Now, env: &str) -> String {
    loop {
        match registry.poll_effect(ids) {
            Some(Effect::ReadCredential(op, _)) => {
                let found = CredentialOutcome::Found(Secret::new(env));
                registry.handle_credential(now, op, found);
            }
            Some(Effect::Http(op, request)) => {
                let shown = request
                    .headers
                    .iter()
                    .find(|(name, _)| name == "authorization");
                let basic = shown.and_then(|(_, value)| value.reveal().strip_prefix("Basic "));
                let response = HttpResponse {
                    status: 401,
                    headers: vec![("www-authenticate".into(), "Basic realm=x".into())],
                    body: Vec::new(),
                };
                registry.handle_http(now, op, HttpOutcome::Response(response));
                if let Some(basic) = basic {
                    let pair = base64::decode(basic).expect("base64");
                    let pair = String::from_utf8(pair).expect("a text");
                    return pair.split(':').next().unwrap_or_default().to_owned();
                }
            }
            Some(Effect::Cancel(_) | Effect::Cluster(..) | Effect::Git(..)) => {}
            None => {
                now.mono = registry.next_wakeup().expect("a permit to wait for");
                registry.handle_timeout(now);
            }
        }
    }
}
