//! Where the client's settings come from.

use std::path::Path;

use image_updater_tokio::http::install_tls_provider;
use image_updater_tokio::kube::ClusterClient;

const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
current-context: here
contexts:
- name: here
  context: { cluster: here, user: me, namespace: team-a }
clusters:
- name: here
  cluster: { server: "https://127.0.0.1:1" }
users:
- name: me
  user:
    exec: { apiVersion: client.authentication.k8s.io/v1, command: /no/such/plugin, interactiveMode: IfAvailable }
"#;

#[tokio::test]
async fn named_kubeconfig_is_used_and_asks_nobody() {
    install_tls_provider();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config");
    let token = KUBECONFIG
        .split("    exec:")
        .next()
        .expect("a part")
        .to_owned();
    tokio::fs::write(&path, token + "    token: hidden\n")
        .await
        .expect("the folder is writable");
    let client = ClusterClient::connect(Some(&path))
        .await
        .expect("it is valid");
    assert_eq!(client.default_namespace(), "team-a");

    tokio::fs::write(&path, KUBECONFIG)
        .await
        .expect("the folder is writable");
    let error = ClusterClient::connect(Some(&path))
        .await
        .expect_err("the plugin does not exist")
        .to_string();
    assert!(
        error.contains("cannot set up the Kubernetes client"),
        "{error}"
    );
}

#[tokio::test]
async fn named_kubeconfig_that_cannot_be_used_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config");
    let check = async |path: &Path| {
        let error = ClusterClient::connect(Some(path))
            .await
            .expect_err("it is of no use")
            .to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    };
    check(&path).await;
    for content in [
        "",
        "[",
        "apiVersion: v1\nkind: Config\ncurrent-context: nowhere\n",
    ] {
        tokio::fs::write(&path, content)
            .await
            .expect("the folder is writable");
        check(&path).await;
    }
}
