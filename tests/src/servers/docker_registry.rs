//! The registry of the Debian package `docker-registry` on loopback, and pushing to it over its API.

use image_updater_fixtures::registry::digest_of;
use serde_json::{Value, json};

use super::exchange::{Exchange, Reply};
use super::token_service::{ISSUER, SERVICE};
use super::{Authority, Folder, Script, Server, TokenService, is_available};

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// How a registry lets clients in.
#[derive(Clone, Copy)]
pub enum Setup<'a> {
    /// Everybody, over plain HTTP.
    Open,
    /// This user with this password, by basic authentication.
    User(&'a str, &'a str),
    /// Holders of a token of this service.
    Tokens(&'a TokenService),
    /// Everybody, over TLS with a certificate of this authority.
    Tls(&'a Authority),
}

/// A running registry; ends when dropped.
pub struct DockerRegistry {
    /// Where it is, such as `http://127.0.0.1:10123`.
    pub url: String,
    admission: Admission,
    exchange: Exchange,
    folder: Folder,
}

/// What pushes are sent with.
enum Admission {
    Open,
    Always(String),
    /// A token that opens every repository a test pushes to, by its name.
    Tokens(Box<dyn Fn(&str) -> String + Send + Sync>),
}

impl DockerRegistry {
    /// Starts one, empty. `None` when it is not installed, see [`is_available`].
    ///
    /// # Panics
    /// When it is installed and does not start.
    pub fn start(setup: Setup<'_>) -> Option<Self> {
        if !is_available(Server::DockerRegistry) {
            return None;
        }
        let folder = Folder::new("registry");
        let mut arguments = vec!["start", folder.text()];
        let mut variables = Vec::new();
        let mut ca = None;
        let admission = match setup {
            Setup::Open => Admission::Open,
            Setup::User(name, password) => {
                arguments.extend([name, password]);
                Admission::Always(basic(name, password))
            }
            Setup::Tokens(service) => {
                let bundle = folder.write("tokens.pem", service.certificate());
                variables = vec![
                    ("REGISTRY_AUTH", "token".to_owned()),
                    ("REGISTRY_AUTH_TOKEN_REALM", service.realm.clone()),
                    ("REGISTRY_AUTH_TOKEN_SERVICE", SERVICE.to_owned()),
                    ("REGISTRY_AUTH_TOKEN_ISSUER", ISSUER.to_owned()),
                    ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", bundle),
                ];
                Admission::Tokens(service.pusher())
            }
            Setup::Tls(authority) => {
                let issued = authority.issue();
                ca = Some(authority.pem());
                variables = vec![
                    (
                        "REGISTRY_HTTP_TLS_CERTIFICATE",
                        folder.write("cert.pem", &issued.certificate),
                    ),
                    (
                        "REGISTRY_HTTP_TLS_KEY",
                        folder.write("key.pem", &issued.key),
                    ),
                ];
                Admission::Open
            }
        };
        let script = Script::new("servers/registry.sh").with(variables);
        let printed = script.run(&arguments);
        let url = printed.unwrap_or_else(|error| panic!("{error}"));
        let url = url.trim_end();
        Some(Self {
            url: match ca {
                Some(_) => url.replace("http:", "https:"),
                None => url.to_owned(),
            },
            admission,
            exchange: Exchange::new(ca.as_deref()),
            folder,
        })
    }

    /// Host and port, as images name the registry.
    pub fn host(&self) -> &str {
        let (_, host) = self.url.split_once("://").unwrap_or_default();
        host
    }

    /// Pushes an image of one platform, such as `linux/amd64` or `linux/arm64/v8`, as a Docker
    /// manifest; `created` is RFC 3339. The digest of the manifest.
    pub fn push_image(&self, repository: &str, tag: &str, created: &str, platform: &str) -> String {
        let body = self.manifest(repository, tag, created, platform, Family::Docker);
        self.put_manifest(repository, tag, DOCKER_MANIFEST, &body)
    }

    /// Pushes an OCI index over one manifest for each (platform, created). The digest of the index.
    pub fn push_index(&self, repository: &str, tag: &str, images: &[(&str, &str)]) -> String {
        let manifests: Vec<Value> = images
            .iter()
            .map(|(platform, created)| {
                let body = self.manifest(repository, tag, created, platform, Family::Oci);
                let digest = self.put_manifest(repository, &digest_of(&body), OCI_MANIFEST, &body);
                let mut parts = platform.split('/');
                let mut about = json!({ "os": parts.next(), "architecture": parts.next() });
                if let Some(variant) = parts.next() {
                    about["variant"] = json!(variant);
                }
                json!({ "mediaType": OCI_MANIFEST, "size": body.len(), "digest": digest, "platform": about })
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
        self.put_manifest(repository, tag, OCI_INDEX, index.to_string().as_bytes())
    }

    /// Makes `to` mean what `from` means now.
    pub fn copy_tag(&self, repository: &str, from: &str, to: &str) {
        let accept = [DOCKER_MANIFEST, OCI_MANIFEST, OCI_INDEX].join(",");
        let path = format!("/v2/{repository}/manifests/{from}");
        let manifest = self
            .send("GET", &path, &[("accept", &accept)], None)
            .expect_status(200);
        let kind = manifest
            .header("content-type")
            .unwrap_or_default()
            .to_owned();
        self.put_manifest(repository, to, &kind, &manifest.body);
    }

    /// Makes many tags mean what `from` means now, in the registry's own files: as if they had been
    /// pushed one by one.
    pub fn plant_tags(&self, repository: &str, from: &str, tags: &[String]) {
        let folder = self.folder.0.join(format!(
            "storage/docker/registry/v2/repositories/{repository}/_manifests/tags"
        ));
        let link = folder.join(from).join("current/link");
        let digest = std::fs::read(link).expect("the registry keeps a link for each tag");
        for tag in tags {
            let current = folder.join(tag).join("current");
            std::fs::create_dir_all(&current).expect("the storage can be written to");
            std::fs::write(current.join("link"), &digest).expect("the storage can be written to");
        }
    }

    /// Deletes the manifest that a tag means, and so also the other tags that mean it.
    pub fn delete_tag(&self, repository: &str, tag: &str) {
        let accept = [DOCKER_MANIFEST, OCI_MANIFEST, OCI_INDEX].join(",");
        let path = format!("/v2/{repository}/manifests/{tag}");
        let head = self
            .send("HEAD", &path, &[("accept", &accept)], None)
            .expect_status(200);
        let digest = head
            .header("docker-content-digest")
            .expect("the registry names the digest of a manifest");
        let path = format!("/v2/{repository}/manifests/{digest}");
        self.send("DELETE", &path, &[], None).expect_status(202);
    }

    /// The tags of a repository, sorted.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let path = format!("/v2/{repository}/tags/list");
        let list = self.send("GET", &path, &[], None).expect_status(200).json();
        let mut tags: Vec<String> = list["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|tag| tag.as_str().map(str::to_owned))
            .collect();
        tags.sort_unstable();
        tags
    }

    /// Any request. As the user that the registry was started with, unless it has an
    /// `authorization` of its own.
    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Reply {
        // The registry names places of uploads in full.
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.url)
        };
        let mut headers = headers.to_vec();
        let authorization = match &self.admission {
            Admission::Open => None,
            Admission::Always(value) => Some(value.clone()),
            Admission::Tokens(token) => {
                let (_, below) = url.split_once("/v2/").unwrap_or_default();
                let parts = ["/tags/", "/manifests/", "/blobs/"];
                let end = parts.iter().filter_map(|part| below.find(part)).min();
                Some(format!("Bearer {}", token(&below[..end.unwrap_or(0)])))
            }
        };
        if let Some(authorization) = &authorization
            && !headers.iter().any(|(name, _)| *name == "authorization")
        {
            headers.push(("authorization", authorization));
        }
        self.exchange.send(method, &url, &headers, body)
    }

    /// What the registry has logged so far: its access log among it, one line per request.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("registry.log")).unwrap_or_default()
    }

    fn manifest(
        &self,
        repository: &str,
        tag: &str,
        created: &str,
        platform: &str,
        family: Family,
    ) -> Vec<u8> {
        let (manifest_type, config_type, layer_type) = match family {
            Family::Docker => (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER),
            Family::Oci => (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER),
        };
        let layer = format!("layer of {repository}:{tag}");
        let layer = self.push_blob(repository, layer_type, layer.as_bytes());
        let mut parts = platform.split('/');
        let mut config = json!({
            "created": created,
            "os": parts.next(),
            "architecture": parts.next(),
            "config": { "Labels": { "tag": tag } },
            "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
        });
        if let Some(variant) = parts.next() {
            config["variant"] = json!(variant);
        }
        let config = self.push_blob(repository, config_type, config.to_string().as_bytes());
        json!({ "schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": [layer] })
            .to_string()
            .into_bytes()
    }

    /// Uploads a blob; its descriptor.
    fn push_blob(&self, repository: &str, kind: &str, bytes: &[u8]) -> Value {
        let digest = digest_of(bytes);
        let begin = format!("/v2/{repository}/blobs/uploads/");
        let begun = self.send("POST", &begin, &[], Some(b"")).expect_status(202);
        let place = begun
            .header("location")
            .expect("the registry names the upload");
        let mark = if place.contains('?') { '&' } else { '?' };
        let place = format!("{place}{mark}digest={digest}");
        let octets = [("content-type", "application/octet-stream")];

        self.send("PUT", &place, &octets, Some(bytes))
            .expect_status(201);
        json!({ "mediaType": kind, "size": bytes.len(), "digest": digest })
    }

    fn put_manifest(&self, repository: &str, reference: &str, kind: &str, body: &[u8]) -> String {
        let path = format!("/v2/{repository}/manifests/{reference}");

        self.send("PUT", &path, &[("content-type", kind)], Some(body))
            .expect_status(201);
        digest_of(body)
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        drop(Script::new("servers/registry.sh").run(&["stop", self.folder.text()]));
    }
}

#[derive(Clone, Copy)]
enum Family {
    Docker,
    Oci,
}

fn basic(name: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = format!("{name}:{password}");
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    )
}
