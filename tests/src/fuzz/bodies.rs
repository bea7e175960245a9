//! The readers.

use image_updater_core::credential::CredentialSource;
use image_updater_core::http::Method;
use image_updater_core::image::{Image, ImageList};
use image_updater_core::registry::inspection::Inspection;
use image_updater_core::registry::listing::ListingBuilder;
use image_updater_core::registry::login::LoginContent;
use image_updater_core::registry::{FactsKind, PlatformKeySet, challenge, conf, link, token};
use image_updater_core::secret::Secret;
use image_updater_core::time::Now;

use super::{Body, git, template, yaml};

/// All of them.
pub const BODIES: &[Body] = &[
    Body {
        name: "branch_name",
        read: template::branch_name,
    },
    Body {
        name: "challenge",
        read: challenge,
    },
    Body {
        name: "dockerconfigjson",
        read: dockerconfigjson,
    },
    Body {
        name: "git_pack",
        read: git::pack,
    },
    Body {
        name: "git_packets",
        read: git::packets,
    },
    Body {
        name: "git_session",
        read: git::session,
    },
    Body {
        name: "image_reference",
        read: image_reference,
    },
    Body {
        name: "kustomization",
        read: yaml::kustomization,
    },
    Body {
        name: "link",
        read: link,
    },
    Body {
        name: "manifest",
        read: manifest,
    },
    Body {
        name: "registries_conf",
        read: registries_conf,
    },
    Body {
        name: "repository_url",
        read: template::repository_url,
    },
    Body {
        name: "tag_page",
        read: tag_page,
    },
    Body {
        name: "template",
        read: template::template,
    },
    Body {
        name: "token_response",
        read: token_response,
    },
    Body {
        name: "yaml",
        read: yaml::yaml,
    },
];

/// Lines of `www-authenticate`.
fn challenge(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for challenge in challenge::parse(text.lines()) {
        for key in ["realm", "service", "scope", "error"] {
            assert!(
                challenge
                    .param(key)
                    .is_none_or(|value| value.len() <= bytes.len() * 3)
            );
        }
    }
}

/// A pull secret, asked for several registries.
fn dockerconfigjson(bytes: &[u8]) {
    let source = CredentialSource::PullSecret {
        namespace: "ns".into(),
        name: "name".into(),
    };
    let raw = Secret::new(String::from_utf8_lossy(bytes).into_owned());
    let Ok(content) = LoginContent::parse(&source, &raw) else {
        return;
    };
    for url in [
        "https://registry-1.docker.io",
        "https://reg.test",
        "http://reg.test:5000/team",
    ] {
        if let Ok(login) = content.login_for(url, Some("team/app")) {
            assert!(!format!("{login:?}").contains("s3cret"));
        }
    }
}

/// An image list and each of its entries.
fn image_reference(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for part in text.split(',') {
        let image = Image::parse(part);
        let again = Image::parse(&image.full_name_with_tag());
        assert!(again.full_name().len() <= part.len() + "library/".len());
    }
    // Refusing the whole list is fine.
    drop(ImageList::parse(&text, |_| Some("other/name")));
}

/// A URL, and below it lines of `link`.
fn link(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let Some(base) = lines.next() else { return };
    if let Ok(Some(next)) = link::next_page(base, lines, link::ForeignLinks::Refused) {
        assert_eq!(origin(&next), origin(base), "it stays at its registry");
    }
}

/// Scheme and authority, written here once more: the reader's own reading would agree with itself.
fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let default = if scheme.eq_ignore_ascii_case("https") {
        ":443"
    } else {
        ":80"
    };
    let authority = authority.strip_suffix(default).unwrap_or(authority);
    format!("{scheme}://{authority}").to_ascii_lowercase()
}

/// The media type as a digit, and the document; read as manifest and as config.
fn manifest(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else {
        return;
    };
    let kind = match kind {
        b'0' => None,
        b'1' => Some("application/vnd.oci.image.index.v1+json"),
        b'2' => Some("application/vnd.docker.distribution.manifest.v2+json"),
        b'3' => Some("application/vnd.docker.distribution.manifest.list.v2+json"),
        b'4' => Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
        b'5' => Some("application/vnd.oci.image.manifest.v1+json"),
        _ => Some("application/json; charset=utf-8"),
    };
    for facts in [FactsKind::Created, FactsKind::Digest] {
        for platforms in [
            PlatformKeySet::default(),
            PlatformKeySet::new(["linux/amd64"]),
        ] {
            let mut inspection = Inspection::new(facts, platforms);
            drop(inspection.on_manifest(kind, body));
            drop(inspection.on_config(body));
        }
    }
}

/// A whole file.
fn registries_conf(bytes: &[u8]) {
    match conf::parse(&String::from_utf8_lossy(bytes)) {
        Ok(entries) => {
            for entry in entries {
                assert!(
                    !entry.to_settings().name.is_empty(),
                    "a nameless one is refused"
                );
            }
        }
        Err(error) => assert!(!error.problems.is_empty(), "an error says why"),
    }
}

/// One page of tags.
fn tag_page(bytes: &[u8]) {
    let mut builder = ListingBuilder::new(Now::default(), 1_000);
    if builder.read_page(bytes).is_ok() {
        let listing = builder.finish(Now::default());
        assert!(listing.n_tags() <= 1_000);
        assert_eq!(listing.tags().count(), listing.n_tags());
    }
}

/// The answer of a token server, by both methods.
fn token_response(bytes: &[u8]) {
    for method in [Method::Get, Method::Post] {
        if let Ok(issued) = token::read_response(method, bytes) {
            assert!(issued.renew_after() <= issued.lifetime);
        }
    }
}
