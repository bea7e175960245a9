//! Manifests and indexes as documents: which type they are and what they name (`registry.md` 8).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};

use super::base64;
use super::digest::{ManifestDigest, is_digest};
use super::platform::PlatformKeySet;
use crate::rfc3339;
use crate::time::UnixTime;

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SIGNED_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const UNSIGNED_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";

/// The `Accept` lines of manifest requests, in the order of `registry.md` 5.8.
pub const ACCEPT: [&str; 5] = [
    OCI_MANIFEST,
    SIGNED_SCHEMA_1,
    DOCKER_MANIFEST,
    DOCKER_LIST,
    OCI_INDEX,
];

/// What a manifest response holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Document {
    /// One image: its platform and date are in a config blob.
    Image {
        /// Digest of the config blob.
        config: String,
    },
    /// Several images.
    Index(Vec<Child>),
    /// Signed schema 1: the config is part of it.
    Schema1 {
        /// What `history` says about the image.
        config: ImageConfig,
        /// The digest that registries know it by: of what was signed, not of the whole body (D-12).
        digest: ManifestDigest,
    },
}

/// One image of an index that is worth looking at: attestations are left out (D-06).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Child {
    /// Its digest.
    pub(crate) digest: String,
    os: String,
    arch: String,
    variant: String,
}

impl Child {
    /// True when the descriptor's platform is wanted.
    pub(crate) fn is_wanted(&self, platforms: &PlatformKeySet) -> bool {
        platforms.has_match(&self.os, &self.arch, &self.variant)
    }
}

/// Most entries of a list in a manifest that are looked at. An entry of three bytes becomes one of a
/// hundred here, so a body's length is no bound on memory.
const ENTRIES_MAX: usize = 10_000;

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    manifests: Option<Entries<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<IgnoredAny>,
    signatures: Option<Entries<Signature>>,
    history: Option<Entries<History>>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: Option<String>,
    platform: Option<DescriptorPlatform>,
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
struct DescriptorPlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

/// A list that is refused when it is too long.
struct Entries<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
    type Value = Entries<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element()? {
            if entries.len() == ENTRIES_MAX {
                return Err(A::Error::custom("too long"));
            }
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "vnd.docker.reference.type")]
    reference_type: Option<String>,
}

#[derive(Deserialize)]
struct Signature {
    protected: String,
}

#[derive(Deserialize)]
struct History {
    #[serde(rename = "v1Compatibility")]
    v1_compatibility: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Index,
    Schema1,
}

#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "schemaVersion")]
    schema_version: Option<IgnoredAny>,
    #[serde(rename = "mediaType")]
    media_type: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
}

/// True when a body is a manifest of some kind, known or not, and not an error or a page with status 200.
pub(crate) fn is_manifest(body: &[u8]) -> bool {
    serde_json::from_slice::<Shape>(body).is_ok_and(|shape| {
        let Shape {
            schema_version,
            media_type,
            manifests,
            config,
        } = shape;
        [schema_version, media_type, manifests, config]
            .iter()
            .any(Option::is_some)
    })
}

/// Reads a manifest response. Its type comes from `content_type`; where that says nothing, from the
/// body's `mediaType` or shape (D-12).
///
/// # Errors
/// A sentence about what is wrong with it; it stays wrong however often it is fetched.
pub(crate) fn read(content_type: Option<&str>, body: &[u8]) -> Result<Document, Box<str>> {
    let document: Body = serde_json::from_slice(body).map_err(
        |_| "the manifest is no JSON of the expected shape, or a list in it is too long",
    )?;
    let (kind, own_type) = kind_of(content_type, &document)?;
    if let Some((own_type, is_required)) = own_type {
        let is_right = document
            .media_type
            .as_deref()
            .map_or(!is_required, |media_type| media_type == own_type);
        if !is_right {
            return Err("the manifest's mediaType is not its Content-Type".into());
        }
    }
    match kind {
        Kind::Image => read_image(document),
        Kind::Index => read_index(document),
        Kind::Schema1 => read_schema_1(&document, body),
    }
}

/// The kind, with the `mediaType` that the body must have and whether it must have one.
type Typed = (Kind, Option<(&'static str, bool)>);

fn kind_of(content_type: Option<&str>, document: &Body) -> Result<Typed, Box<str>> {
    let name = content_type.unwrap_or("");
    let name = name.split(';').next().unwrap_or(name).trim();
    if let Some(typed) = kind_named(name) {
        return Ok(typed);
    }
    if name.eq_ignore_ascii_case(UNSIGNED_SCHEMA_1) {
        return Err("unsigned schema 1 manifests are not supported".into());
    }
    if let Some(media_type) = document.media_type.as_deref() {
        return kind_named(media_type)
            .ok_or_else(|| "the manifest's mediaType is none that we know".into());
    }
    if document.signatures.is_some() {
        Ok((Kind::Schema1, None))
    } else if document.manifests.is_some() {
        Ok((Kind::Index, None))
    } else if document.config.is_some() {
        Ok((Kind::Image, None))
    } else {
        Err("neither Content-Type nor content say what kind of manifest this is".into())
    }
}

fn kind_named(name: &str) -> Option<Typed> {
    let known = [
        (DOCKER_MANIFEST, Kind::Image, true),
        (DOCKER_LIST, Kind::Index, true),
        (OCI_MANIFEST, Kind::Image, false),
        (OCI_INDEX, Kind::Index, false),
    ];
    if name.eq_ignore_ascii_case(SIGNED_SCHEMA_1) {
        return Some((Kind::Schema1, None));
    }
    known
        .into_iter()
        .find(|(own, _, _)| name.eq_ignore_ascii_case(own))
        .map(|(own, kind, is_required)| (kind, Some((own, is_required))))
}

fn read_image(document: Body) -> Result<Document, Box<str>> {
    if document.manifests.is_some() {
        return Err("the manifest is an image and an index at once".into());
    }
    let config = document
        .config
        .and_then(|config| config.digest)
        .unwrap_or_default();
    if is_digest(&config) {
        Ok(Document::Image { config })
    } else {
        Err("the manifest names no config with a valid digest".into())
    }
}

fn read_index(document: Body) -> Result<Document, Box<str>> {
    if document.config.is_some() || document.layers.is_some() {
        return Err("the index is an index and an image at once".into());
    }
    let descriptors = document.manifests.map_or_else(Vec::new, |list| list.0);
    if descriptors.is_empty() {
        return Err("empty manifestlist or index not supported".into());
    }
    let mut children = Vec::new();
    for descriptor in descriptors {
        let digest = descriptor.digest.filter(|digest| is_digest(digest));
        let digest = digest.ok_or("the index names a manifest without a valid digest")?;
        let is_attestation = descriptor
            .annotations
            .and_then(|annotations| annotations.reference_type)
            .is_some_and(|kind| kind == "attestation-manifest");
        if is_attestation {
            continue;
        }
        let (os, arch, variant) = descriptor
            .platform
            .map_or_else(Default::default, |platform| {
                (
                    platform.os.unwrap_or_default(),
                    platform.architecture.unwrap_or_default(),
                    platform.variant.unwrap_or_default(),
                )
            });
        children.push(Child {
            digest,
            os,
            arch,
            variant,
        });
    }
    Ok(Document::Index(children))
}

/// Schema 1 must be signed, and all signatures must agree on what they sign (`registry.md` 8.4). The
/// signatures themselves are not verified.
fn read_schema_1(document: &Body, body: &[u8]) -> Result<Document, Box<str>> {
    #[derive(Deserialize, PartialEq)]
    struct Protected {
        #[serde(rename = "formatLength")]
        format_length: u64,
        #[serde(rename = "formatTail")]
        format_tail: String,
    }
    let signatures = document.signatures.as_ref().map_or(&[][..], |list| &list.0);
    let mut signed: Option<Protected> = None;
    for signature in signatures {
        let protected: Protected = base64::decode(&signature.protected)
            .and_then(|text| serde_json::from_slice(&text).ok())
            .filter(|protected: &Protected| {
                usize::try_from(protected.format_length).is_ok_and(|length| length <= body.len())
                    && base64::decode(&protected.format_tail).is_some()
            })
            .ok_or("a signature of the schema 1 manifest is unreadable")?;
        if signed.as_ref().is_some_and(|first| *first != protected) {
            return Err("the signatures of the schema 1 manifest disagree".into());
        }
        signed = Some(protected);
    }
    let signed = signed.ok_or("the schema 1 manifest is not signed")?;
    let history = document.history.as_ref().map_or(&[][..], |list| &list.0);
    let newest = history
        .first()
        .ok_or("the schema 1 manifest has no history")?;
    let mut config = read_config(newest.v1_compatibility.as_bytes())?;
    config.variant = String::new();
    let head = usize::try_from(signed.format_length)
        .ok()
        .and_then(|length| body.get(..length))
        .unwrap_or_default();
    let mut payload = head.to_vec();
    payload.extend(base64::decode(&signed.format_tail).unwrap_or_default());
    let digest = ManifestDigest::of(&payload);
    Ok(Document::Schema1 { config, digest })
}

/// What a config says about its image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ImageConfig {
    os: String,
    arch: String,
    variant: String,
    created: Result<UnixTime, &'static str>,
}

impl ImageConfig {
    /// True when the image's platform is wanted.
    pub(crate) fn is_wanted(&self, platforms: &PlatformKeySet) -> bool {
        platforms.has_match(&self.os, &self.arch, &self.variant)
    }

    /// When the image was made.
    ///
    /// # Errors
    /// A sentence about what is wrong with the date.
    pub(crate) fn created(&self) -> Result<UnixTime, Box<str>> {
        self.created.map_err(Into::into)
    }
}

/// Reads a config blob. Data behind its first JSON value is ignored (`registry.md` 8.3).
///
/// # Errors
/// A sentence about what is wrong with it.
pub(crate) fn read_config(body: &[u8]) -> Result<ImageConfig, Box<str>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Text {
        Is(String),
        IsNot(IgnoredAny),
    }
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        os: Option<String>,
        #[serde(default)]
        architecture: Option<String>,
        #[serde(default)]
        variant: Option<String>,
        created: Option<Text>,
    }
    let mut reader = serde_json::Deserializer::from_slice(body).into_iter::<Config>();
    let config = reader
        .next()
        .and_then(Result::ok)
        .ok_or("the config is no JSON object of the expected shape")?;
    let created = match config.created {
        None => Err("the config holds no date `created`"),
        Some(Text::IsNot(_)) => Err("the config's `created` is no text"),
        Some(Text::Is(text)) => {
            rfc3339::parse(&text).ok_or("the config's `created` is no RFC 3339 date")
        }
    };
    Ok(ImageConfig {
        os: config.os.unwrap_or_default(),
        arch: config.architecture.unwrap_or_default(),
        variant: config.variant.unwrap_or_default(),
        created,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    use crate::fixed_cases::{CASES, config};

    #[test]
    fn a_type_that_says_nothing_is_read_from_the_body() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let image = format!(r#"{{"config":{{"digest":"{digest}"}},"layers":[]}}"#);
        let typed =
            format!(r#"{{"mediaType":"{DOCKER_MANIFEST}","config":{{"digest":"{digest}"}}}}"#);
        let index = format!(r#"{{"manifests":[{{"digest":"{digest}"}}]}}"#);
        for content_type in [
            None,
            Some("application/json"),
            Some("text/plain; charset=utf-8"),
        ] {
            for body in [&image, &typed] {
                let read = read(content_type, body.as_bytes());
                assert!(matches!(read, Ok(Document::Image { .. })), "{read:?}");
            }
            let read = read(content_type, index.as_bytes());
            assert!(matches!(read, Ok(Document::Index(_))), "{read:?}");
        }
    }

    #[test]
    fn deep_or_odd_documents_are_errors() {
        let deep = format!(r#"{{"manifests":{}"#, "[".repeat(10_000));
        let deep_object = r#"{"config":"#.repeat(10_000);
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "7",
            &deep,
            &deep_object,
            r#"{"manifests":[{"digest":"../x"}]}"#,
        ] {
            assert!(
                read(Some(OCI_INDEX), body.as_bytes()).is_err(),
                "{body:.30}"
            );
            assert!(
                read(Some(OCI_MANIFEST), body.as_bytes()).is_err(),
                "{body:.30}"
            );
            assert!(
                read(Some(SIGNED_SCHEMA_1), body.as_bytes()).is_err(),
                "{body:.30}"
            );
        }
        let deep = format!(r#"{{"created":{}"#, "[".repeat(10_000));
        assert!(read_config(deep.as_bytes()).is_err());
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn no_body_panics(body in "[{}\\[\\]\":,a-z0-9]{0,80}", kind in 0..5_usize) {
            drop(read(Some(ACCEPT[kind]), body.as_bytes()));
            drop(read_config(body.as_bytes()));
        }
    }
}
