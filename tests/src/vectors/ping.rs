//! Vectors of the room `registry` about whether there is a registry at all.

use image_updater_core::http::HttpResponse;
use image_updater_core::registry::ping::judge_ping;
use serde_json::{Value, json};

use super::{Runner, Verdict};

/// The runner of `group`, if it is about that.
pub(super) fn runner(file: &str, group: &str) -> Option<Runner> {
    (file == "registry" && group == "ping_status")
        .then_some(|case| Verdict::of(case, &ping(case.input)))
}

fn ping(input: &Value) -> Value {
    let status = input["status"].as_u64().expect("a status");
    let lines = input["headers"].as_array().into_iter().flatten();
    let response = HttpResponse {
        status: u16::try_from(status).expect("a status"),
        headers: lines
            .map(|line| {
                (
                    "www-authenticate".to_owned(),
                    line.as_str().unwrap_or("").to_owned(),
                )
            })
            .collect(),
        body: Vec::new(),
    };
    match judge_ping("https://reg.example.com/v2/", &response) {
        Ok(challenges) => {
            let schemes = ["bearer", "basic"]
                .into_iter()
                .filter(|scheme| challenges.iter().any(|one| one.scheme == *scheme))
                .collect::<Vec<_>>();
            let auth = if schemes.is_empty() {
                "none".to_owned()
            } else {
                schemes.join("+")
            };
            json!({"ok": true, "auth": auth})
        }
        Err(text) => {
            let is_whole = text.contains("valid v2 Docker Registry API")
                && text.contains("https://reg.example.com/v2/");
            let named = text.contains(&status.to_string()).then_some(status);
            json!({"ok": !is_whole, "message_includes_status": named})
        }
    }
}
