//! `--keep`: a new tag every few seconds, until somebody interrupts.

use std::time::Duration;

use image_updater_fixtures::registry::ImageSpec;
use image_updater_sim::wire::WireWorld;

use super::cast::SHOP;
use super::paper::Ink;
use super::stage::{Stage, patches_of};

/// Time between two pushes.
const PUSH_INTERVAL: Duration = Duration::from_secs(4);

/// Pushes, and shows what is written, until Ctrl-C.
pub(super) async fn push_until_interrupted(stage: &mut Stage<'_>) {
    tokio::select! {
        () = push(stage) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    stage.paper.plain("");
}

async fn push(stage: &Stage<'_>) {
    let mut pace = tokio::time::interval(PUSH_INTERVAL);
    for patch in 3_u64.. {
        let tag = format!("1.2.{patch}");
        stage.wire.with_world(|world| {
            world.patches.clear();
            world.registries[SHOP].push("shop/web", &tag, &ImageSpec::default());
        });
        stage.paper.line(&[(Ink::Bold, "pushed  "), (Ink::Plain, &format!("shop/web:{tag}"))]);
        pace.tick().await;
        show_until(stage, &mut pace).await;
    }
}

/// Shows every patch that comes before the next push.
async fn show_until(stage: &Stage<'_>, pace: &mut tokio::time::Interval) {
    let mut n_shown = 0;
    loop {
        let more = stage.wire.until(Duration::MAX, |world| {
            (world.patches.len() > n_shown).then(|| new_patches(world, n_shown))
        });
        let apps = tokio::select! {
            more = more => more.unwrap_or_default(),
            _ = pace.tick() => {
                pace.reset_immediately();
                return;
            }
        };
        n_shown += apps.len();
        for app in apps {
            let lines = stage.wire.with_world(|world| patches_of(world, &app));
            stage.paper.line(&[(Ink::Green, "written "), (Ink::Bold, &app)]);
            for line in lines {
                let line = format!("        {}", stage.cast.short(&line));
                stage.paper.line(&[(Ink::Faint, &line)]);
            }
        }
    }
}

fn new_patches(world: &WireWorld, n_shown: usize) -> Vec<String> {
    let new = world.patches.iter().skip(n_shown);
    new.map(|patch| patch.key.1.clone()).collect()
}
