//! A Kubernetes API server with its etcd on loopback, the Application kind defined.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::exchange::{Exchange, Reply};
use super::{Folder, Script, ScriptError, Server, is_available};

/// A running API server; ends when dropped, with its etcd.
pub struct ApiServer {
    /// Where it is, such as `https://127.0.0.1:10123`; the same after a restart.
    pub url: String,
    /// The certificates that a client must trust; the same after a restart.
    pub ca_pem: String,
    /// A member of `system:masters`.
    pub admin: Identity,
    /// Known, without any right.
    pub nobody: Identity,
    binary: PathBuf,
    exchange: Exchange,
    folder: Folder,
}

/// Somebody whom the API server knows.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The bearer token.
    pub token: String,
    /// A file for `KUBECONFIG` or `--kubeconfig`.
    pub kubeconfig: PathBuf,
}

impl ApiServer {
    /// Starts one with `flags` beside our own, such as `--feature-gates=WatchList=false`. `None` when
    /// it is not built, see [`is_available`].
    ///
    /// # Panics
    /// When it is built and does not start.
    pub fn start(flags: &[&str]) -> Option<Self> {
        if !is_available(Server::ApiServer) {
            return None;
        }
        let folder = Folder::new("cluster");
        run(&[&["start", folder.text()], flags].concat());
        let env = std::fs::read_to_string(folder.0.join("env")).expect("start writes env");
        let env: BTreeMap<&str, &str> = env
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let ca_pem = std::fs::read_to_string(env["CA_FILE"]).expect("start waits for certificates");
        Some(Self {
            url: env["URL"].to_owned(),
            exchange: Exchange::new(Some(&ca_pem)),
            ca_pem,
            admin: Identity {
                token: env["ADMIN_TOKEN"].to_owned(),
                kubeconfig: env["KUBECONFIG"].into(),
            },
            nobody: Identity {
                token: env["NOBODY_TOKEN"].to_owned(),
                kubeconfig: env["NOBODY_KUBECONFIG"].into(),
            },
            binary: env["BINARY"].into(),
            folder,
        })
    }

    /// One for all tests of a process that neither restart it nor read what others wrote: each uses
    /// a namespace of its own.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<ApiServer> = OnceLock::new();
        // Asked every time, so that each skipped test says so.
        is_available(Server::ApiServer).then(|| {
            SHARED.get_or_init(|| Self::start(&[]).expect("what is available can be started"))
        })
    }

    /// Ends the API server by KILL and starts it with the same data, port and certificates, but none
    /// of its flags.
    pub fn restart(&self) {
        self.restart_with(&[]);
    }

    /// The same, with these flags beside our own.
    pub fn restart_with(&self, flags: &[&str]) {
        self.stop();
        self.start_again(flags);
    }

    /// Ends the API server by KILL; its etcd stays.
    pub fn stop(&self) {
        run(&["stop-apiserver", self.folder.text()]);
    }

    /// Starts a stopped API server; returns when it is ready.
    pub fn start_again(&self, flags: &[&str]) {
        run(&[&["start-apiserver", self.folder.text()], flags].concat());
    }

    /// A request with a bearer token; `path` begins with `/api`. A body of a PATCH is a merge patch.
    #[track_caller]
    pub fn send(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let authorization = format!("Bearer {token}");
        let kind = if method == "PATCH" {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", kind),
        ];
        let body = body.map(Value::to_string);
        let url = format!("{}{path}", self.url);
        self.exchange
            .send(method, &url, &headers, body.as_ref().map(String::as_bytes))
    }

    /// `kubectl` as this identity, with `input` on its standard input (`-f -`). What it prints.
    pub fn kubectl(
        &self,
        who: &Identity,
        arguments: &[&str],
        input: Option<&str>,
    ) -> Result<String, ScriptError> {
        let kubeconfig = who
            .kubeconfig
            .to_str()
            .expect("the folder has a name in UTF-8");
        let arguments = [&["kubectl", "--kubeconfig", kubeconfig], arguments].concat();
        Script::program(&self.binary, input).run(&arguments)
    }

    /// Creates a namespace if it is not there.
    pub fn create_namespace(&self, name: &str) {
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let reply = self.send(&self.admin.token, "POST", "/api/v1/namespaces", Some(&body));
        assert!(
            [201, 409].contains(&reply.status),
            "namespace refused: {}",
            reply.json()
        );
    }

    /// Creates or updates an object given in full, its namespace within. What the server made of it.
    #[track_caller]
    pub fn apply(&self, object: &Value) -> Value {
        let printed = self
            .kubectl(
                &self.admin,
                &["apply", "--validate=false", "-f", "-", "-o", "json"],
                Some(&object.to_string()),
            )
            .unwrap_or_else(|error| panic!("{error}"));
        serde_json::from_str(&printed).expect("kubectl prints the object")
    }

    /// Applies `deploy/rbac.yaml` to a namespace, the subjects' namespace changed to it, and
    /// identifies as the service account in it, by a bound token of one hour. One namespace per
    /// server: the cluster-wide binding is moved to the last one.
    pub fn install_rbac(&self, namespace: &str) -> Identity {
        self.install_rbac_as(namespace, "argocd-image-updater", |shipped| shipped)
    }

    /// The same for rights that differ from the shipped ones by `edit`, under a name of their own.
    pub fn install_rbac_as(
        &self,
        namespace: &str,
        name: &str,
        edit: impl FnOnce(String) -> String,
    ) -> Identity {
        self.create_namespace(namespace);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rbac.yaml");
        let shipped = std::fs::read_to_string(path).expect("deploy/rbac.yaml is there");
        let fixed = "namespace: argocd\n";
        assert!(
            shipped.contains(fixed),
            "the subject's namespace is fixed to argocd"
        );
        let ours = edit(shipped)
            .replace(fixed, &format!("namespace: {namespace}\n"))
            .replace("argocd-image-updater", name);
        self.kubectl(
            &self.admin,
            &["apply", "-n", namespace, "-f", "-"],
            Some(&ours),
        )
        .unwrap_or_else(|error| panic!("{error}"));
        self.service_account(namespace, name)
    }

    /// A bound token of one hour for a service account, by `TokenRequest`.
    pub fn service_account(&self, namespace: &str, name: &str) -> Identity {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "expirationSeconds": 3600 },
        });
        let reply = self
            .send(&self.admin.token, "POST", &path, Some(&body))
            .expect_status(201);
        let token = reply.json()["status"]["token"]
            .as_str()
            .expect("a TokenRequest is answered with a token")
            .to_owned();
        let kubeconfig = self.folder.0.join(format!("{namespace}.{name}.kubeconfig"));
        let text = std::fs::read_to_string(&self.admin.kubeconfig)
            .expect("start writes kubeconfig files")
            .replace(&self.admin.token, &token);
        std::fs::write(&kubeconfig, text).expect("the temporary folder can be written to");
        Identity { token, kubeconfig }
    }

    /// What the API server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("kube-apiserver.log")).unwrap_or_default()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        drop(Script::new("cluster/cluster.sh").run(&["stop", self.folder.text()]));
    }
}

#[track_caller]
fn run(arguments: &[&str]) {
    if let Err(error) = Script::new("cluster/cluster.sh").run(arguments) {
        panic!("{error}");
    }
}
