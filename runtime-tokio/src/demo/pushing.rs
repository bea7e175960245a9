//! `--keep`: a new tag every few seconds, until somebody interrupts.

use std::time::Duration;

use image_updater_fixtures::registry::ImageSpec;

use super::cast::SHOP;
use super::paper::Ink;
use super::stage::{Stage, patch_lines};
use crate::clock::stopwatch;

/// Time between two pushes.
const PUSH_INTERVAL: Duration = Duration::from_secs(4);

/// Pushes, and shows what is written, until Ctrl-C.
pub(super) async fn push_until_interrupted(stage: &Stage<'_>) {
    tokio::select! {
        () = push(stage) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    stage.paper.plain("");
}

async fn push(stage: &Stage<'_>) {
    for patch in 3_u64.. {
        let tag = format!("1.2.{patch}");
        stage.wire.with_world(|world| {
            world.patches.clear();
            world.registries[SHOP].push("shop/web", &tag, &ImageSpec::default());
        });
        stage.paper.line(&[
            (Ink::Bold, "pushed   "),
            (Ink::Plain, &format!("shop/web:{tag}")),
        ]);
        show_patches(stage).await;
    }
}

/// Shows every patch that comes before the next push is due.
async fn show_patches(stage: &Stage<'_>) {
    let began = stopwatch();
    let mut n_shown = 0;
    loop {
        let left = PUSH_INTERVAL.saturating_sub(began.elapsed());
        let more = stage.wire.until(left, |world| {
            let new: Vec<_> = world.patches.iter().skip(n_shown).cloned().collect();
            let is_answered = new.iter().all(|patch| patch.status.is_some());
            (is_answered && !new.is_empty()).then_some(new)
        });
        let Some(more) = more.await else { return };
        n_shown += more.len();
        for patch in more {
            let (ink, word) = if patch.operations.is_array() {
                (Ink::Green, "written  ")
            } else {
                (Ink::Plain, "edited   ")
            };
            stage.paper.line(&[(ink, word), (Ink::Bold, &patch.key.1)]);
            for line in patch_lines(&patch) {
                let line = format!("         {}", stage.cast.short(&line));
                stage.paper.line(&[(Ink::Faint, &line)]);
            }
        }
    }
}
