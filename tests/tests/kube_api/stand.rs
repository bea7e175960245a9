//! Where a test stands: a namespace of its own, the program's identity, a registry with room for it.

use std::sync::OnceLock;

use image_updater_fixtures::application::AppSpec;
use image_updater_tests::program::Program;
use image_updater_tests::servers::{
    ApiServer, DockerRegistry, Identity, Reply, Server, Setup, is_available,
};
use serde_json::Value;

/// Where the program's service account lives, and the Secrets that it may read.
pub(crate) const HOME: &str = "argocd";
/// When images of these tests were built.
const CREATED: &str = "2026-01-02T03:04:05Z";

/// A namespace on an API server.
pub(crate) struct Stand<'a> {
    pub(crate) cluster: &'a ApiServer,
    pub(crate) registry: &'static DockerRegistry,
    pub(crate) namespace: String,
}

impl Stand<'static> {
    /// On the API server that tests share.
    pub(crate) fn new(namespace: &str) -> Option<Self> {
        // Both are asked for, so that both are named when they are missing.
        let (cluster, registry) = (ApiServer::shared(), registry());
        Some(Stand::on(cluster?, registry?, namespace))
    }
}

impl<'a> Stand<'a> {
    /// On this one.
    pub(crate) fn on(
        cluster: &'a ApiServer,
        registry: &'static DockerRegistry,
        namespace: &str,
    ) -> Self {
        cluster.create_namespace(namespace);
        Self {
            cluster,
            registry,
            namespace: namespace.to_owned(),
        }
    }

    /// The image `name` of this test, as Applications name it.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{}", self.registry.host(), self.repository(name))
    }

    /// Pushes tags of the image `name`.
    pub(crate) fn push(&self, name: &str, tags: &[&str]) {
        for tag in tags {
            let repository = self.repository(name);
            self.registry
                .push_image(&repository, tag, CREATED, "linux/amd64");
        }
    }

    fn repository(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }

    /// A Helm Application that runs version 1.0.0 of the image of its name.
    pub(crate) fn helm(&self, name: &str) -> AppSpec {
        AppSpec::helm(&self.namespace, name).image(&self.image(name), "1.0.0")
    }

    /// Starts the program with the shipped rights, for this namespace.
    pub(crate) fn start(&self, flags: &[&str]) -> Program {
        self.start_as(&shipped(self.cluster), flags)
    }

    /// The same as somebody else.
    pub(crate) fn start_as(&self, who: &Identity, flags: &[&str]) -> Program {
        let scope = format!("--application-namespace={}", self.namespace);
        let flags = [&[scope.as_str()], flags].concat();
        Program::start_continuous(&who.kubeconfig, &conf(self.registry, ""), &flags)
    }

    /// A request by an administrator for an Application.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, name: &str, body: Option<&Value>) -> Reply {
        self.send_in(&self.namespace, method, name, body)
    }

    /// The same in another namespace.
    #[track_caller]
    pub(crate) fn send_in(
        &self,
        namespace: &str,
        method: &str,
        name: &str,
        body: Option<&Value>,
    ) -> Reply {
        let path = format!("/apis/argoproj.io/v1alpha1/namespaces/{namespace}/applications/{name}");
        let admin = &self.cluster.admin.token;
        self.cluster.send(admin, method, &path, body)
    }

    /// An Application as it is now.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Value {
        self.send("GET", name, None).expect_status(200).json()
    }

    /// Waits until the Helm parameter `<name>.tag` of an Application is `tag`; the Application.
    #[track_caller]
    pub(crate) fn expect_tag(&self, program: &Program, name: &str, tag: &str) -> Value {
        let parameter = format!("{name}.tag");
        program.eventually(&format!("{name} at {tag}"), || {
            let app = self.read(name);
            (helm_value(&app["spec"]["source"], &parameter) == Some(tag)).then_some(app)
        })
    }
}

/// The identity with the shipped rights; one per API server, of which there is one per process
/// beside those that a test keeps for itself.
pub(crate) fn shipped(cluster: &ApiServer) -> Identity {
    static SHARED: OnceLock<Identity> = OnceLock::new();
    let is_shared = ApiServer::shared().is_some_and(|shared| std::ptr::eq(shared, cluster));
    if is_shared {
        SHARED.get_or_init(|| cluster.install_rbac(HOME)).clone()
    } else {
        cluster.install_rbac(HOME)
    }
}

/// The registry that tests share; each has repositories of its own.
pub(crate) fn registry() -> Option<&'static DockerRegistry> {
    static SHARED: OnceLock<DockerRegistry> = OnceLock::new();
    // Asked every time, so that each skipped test says so.
    is_available(Server::DockerRegistry).then(|| {
        SHARED.get_or_init(|| {
            DockerRegistry::start(Setup::Open).expect("what is available can be started")
        })
    })
}

/// A `registries.conf` for one registry, with more lines of it.
pub(crate) fn conf(registry: &DockerRegistry, more: &str) -> String {
    format!(
        "registries:\n- name: tests\n  api_url: {}\n  prefix: {}\n  limit: 0\n{more}",
        registry.url,
        registry.host()
    )
}

/// The value of a Helm parameter in a source.
pub(crate) fn helm_value<'a>(source: &'a Value, name: &str) -> Option<&'a str> {
    let parameters = source["helm"]["parameters"].as_array()?;
    let parameter = parameters
        .iter()
        .find(|parameter| parameter["name"] == name)?;
    parameter["value"].as_str()
}

/// The version of an object.
pub(crate) fn version(app: &Value) -> &str {
    let version = app["metadata"]["resourceVersion"].as_str();
    version.expect("objects have a version")
}
