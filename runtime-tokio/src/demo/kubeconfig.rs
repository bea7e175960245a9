//! The kubeconfig for whoever wants to look at the fake cluster: there for as long as the demo runs.

use std::path::{Path, PathBuf};

use image_updater_sim::wire::Wire;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt as _;

use super::DemoError;
use super::cast::NAMESPACE;
use super::paper::{Ink, Paper};

/// Writes the file, says what can be done with it, and removes it when `work` has ended.
pub(super) async fn shown_while(
    wire: &Wire,
    paper: &Paper,
    work: impl Future<Output = ()>,
) -> Result<(), DemoError> {
    let name = format!(
        "argocd-image-updater-demo-{}.kubeconfig",
        std::process::id()
    );
    let path = std::env::temp_dir().join(name);
    let failed = |source| DemoError::Kubeconfig {
        path: path.display().to_string(),
        source,
    };
    let file = write(&path, &wire.kubeconfig()).await.map_err(failed)?;
    let shown = file.0.display();
    paper.heading(
        "It goes on",
        "until Ctrl-C; look at it from another terminal:",
    );
    for line in [
        format!("kubectl --kubeconfig {shown} get applications -n {NAMESPACE}"),
        format!("kubectl --kubeconfig {shown} get application web-prod -n {NAMESPACE} -o yaml"),
        format!("kubectl --kubeconfig {shown} get applications -n {NAMESPACE} --watch"),
        format!(
            "curl {}/v2/shop/web/tags/list",
            wire.registry_url(super::cast::SHOP)
        ),
    ] {
        paper.line(&[(Ink::Plain, "  "), (Ink::Bold, &line)]);
    }
    paper.plain("");
    work.await;
    drop(file);
    Ok(())
}

/// A file that is removed when it is no longer wanted.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Somebody else may have removed it already.
        drop(std::fs::remove_file(&self.0));
    }
}

async fn write(path: &Path, text: &str) -> std::io::Result<Temporary> {
    // Never through somebody's link, in a folder that everybody may write to.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .await?;
    let temporary = Temporary(path.to_owned());
    file.write_all(text.as_bytes()).await?;
    file.flush().await?;
    Ok(temporary)
}
