//! The script, act by act.

use std::time::Duration;

use image_updater_fixtures::registry::ImageSpec;
use image_updater_sim::wire::{Conduct, Port, WireWorld};
use serde_json::json;

use super::cast::{NAMESPACE, SHOP, VAULT, built_on};
use super::expectation::{Expectation, Expected};
use super::stage::{Stage, seconds};
use super::updater::{INTERVAL, START_SPREAD};

/// How soon a decision is "at once": far below the interval.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Plays all acts.
pub(super) async fn play(stage: &mut Stage<'_>) {
    introduce(stage);
    first_sight(stage).await;
    new_tags(stage).await;
    edited_annotation(stage).await;
    edit_by_somebody_else(stage).await;
    deleted_application(stage).await;
}

fn introduce(stage: &Stage<'_>) {
    let (n_applications, api) = stage
        .wire
        .with_world(|world| (world.cluster.applications().count(), stage.wire.api_url()));
    let paper = stage.paper;
    paper.plain("The production runtime against a fake world on loopback:");
    paper.plain(&format!(
        "  API server  {api}  {n_applications} Applications in {NAMESPACE}"
    ));
    for (idx, what) in [
        (SHOP, "open to everybody"),
        (VAULT, "wants a login; a pull secret has it"),
        (super::ATTIC, "is down"),
    ] {
        paper.plain(&format!(
            "  registry    {}  {what}",
            stage.wire.registry_url(idx)
        ));
    }
    paper.plain(&format!(
        "  mode        continuous, every {} s, first checks spread over {}",
        INTERVAL.as_secs(),
        seconds(START_SPREAD)
    ));
}

async fn first_sight(stage: &mut Stage<'_>) {
    stage.act(
        "First sight",
        "every Application is discovered, looked up and decided",
        |_| {},
    );
    let first = stage.cast.first.clone();
    stage.expect(&first).await;
}

async fn new_tags(stage: &mut Stage<'_>) {
    stage.act(
        "New tags",
        "pushed: web 1.0.2 and 1.2.0, worker build-5d41, billing 3.2.0, cache latest anew",
        |world| {
            let shop = &mut world.registries[SHOP];
            shop.push("shop/web", "1.0.2", &ImageSpec::default());
            shop.push("shop/web", "1.2.0", &ImageSpec::default());
            shop.push("shop/worker", "build-5d41", &built_on(9));
            shop.push("shop/cache", "latest", &built_on(9));
            world.registries[VAULT].push("vault/billing", "3.2.0", &ImageSpec::default());
        },
    );
    let digest = stage
        .wire
        .with_world(|world| world.registries[SHOP].digest("shop/cache", "latest"))
        .unwrap_or_default();
    let expectations = [
        shop(stage, "web-prod", "web", "1.0.2"),
        shop(stage, "pair", "web", "1.0.2"),
        shop(stage, "web-staging", "web", "1.2.0"),
        shop(stage, "web-eu", "web", "1.2.0"),
        shop(stage, "platform", "web", "1.2.0"),
        shop(stage, "worker", "worker", "build-5d41"),
        shop(stage, "cache", "cache", &format!("latest@{digest}")),
        Expectation {
            app: "billing".to_owned(),
            image: stage.cast.image(VAULT, "vault/billing"),
            expected: Expected::Runs("3.2.0".to_owned()),
        },
        shop(stage, "web-next", "web", "2.0.0"),
    ];
    stage.expect(&expectations).await;
}

async fn edited_annotation(stage: &mut Stage<'_>) {
    let web = stage.cast.image(SHOP, "shop/web");
    let before = stage
        .chronicle
        .told()
        .redecided
        .get("web-prod")
        .copied()
        .unwrap_or_default();
    stage.act(
        "An edited annotation",
        "web-prod follows 1.x instead of ~1.0",
        |world| {
            world.cluster.edit(NAMESPACE, "web-prod", |app| {
                app["metadata"]["annotations"]["argocd-image-updater.argoproj.io/image-list"] =
                    json!(format!("web={web}:1.x"));
            });
        },
    );
    let decided = stage
        .waits_for(|_, told| told.redecided.get("web-prod").is_some_and(|n| *n > before))
        .await;
    let took = stage.act_elapsed();
    let expectations = [shop(stage, "web-prod", "web", "1.2.0")];
    stage.expect(&expectations).await;
    let fact = format!(
        "decided after {} ms, from the listing that was there",
        took.as_millis()
    );
    stage.expect_fact(decided && took < AT_ONCE, &fact);
}

async fn edit_by_somebody_else(stage: &mut Stage<'_>) {
    stage.wire.switch(Port::Api, Conduct::Holding);
    stage.act(
        "Two writers",
        "docs 2026-03-01 is pushed, and a person edits docs meanwhile",
        |world| {
            world.registries[SHOP].push("shop/docs", "2026-03-01", &ImageSpec::default());
        },
    );
    // The API server has the patch in its hands and has not answered yet: now the person is faster.
    let is_asked = stage
        .waits_for(|world, _| patches_of_docs(world).any(|status| status.is_none()))
        .await;
    stage.wire.with_world(|world| {
        world.cluster.edit(NAMESPACE, "docs", |docs| {
            docs["spec"]["syncPolicy"] = json!({ "automated": { "prune": true } });
        });
    });
    stage.wire.switch(Port::Api, Conduct::Serving);
    let expectations = [shop(stage, "docs", "docs", "2026-03-01")];
    stage.expect(&expectations).await;
    let (survived, refused) = stage.wire.with_world(|world| {
        let docs = world.cluster.application(NAMESPACE, "docs");
        let survived = docs.is_some_and(|docs| {
            docs["spec"]["syncPolicy"] == json!({ "automated": { "prune": true } })
        });
        (
            survived,
            patches_of_docs(world).any(|status| status == Some(409)),
        )
    });
    stage.expect_fact(survived, "the person's edit of spec.syncPolicy survived");
    let fact = "the patch of the older version was refused, and decided again on the newer one";
    stage.expect_fact(is_asked && refused, fact);
}

async fn deleted_application(stage: &mut Stage<'_>) {
    stage.act(
        "A deletion",
        "web-canary is deleted, then web 2.1.0 is pushed",
        |world| {
            world.cluster.delete(NAMESPACE, "web-canary");
            world.registries[SHOP].push("shop/web", "2.1.0", &ImageSpec::default());
        },
    );
    let expectations = [shop(stage, "web-next", "web", "2.1.0")];
    stage.expect(&expectations).await;
    let is_left_alone = stage.wire.with_world(|world| {
        world.cluster.application(NAMESPACE, "web-canary").is_none()
            && world
                .patches
                .iter()
                .all(|patch| patch.key.1 != "web-canary")
    });
    stage.expect_fact(is_left_alone, "nothing was written for web-canary");
}

/// `app` runs `tag` of an image of the open registry.
fn shop(stage: &Stage<'_>, app: &str, repository: &str, tag: &str) -> Expectation {
    Expectation {
        app: app.to_owned(),
        image: stage.cast.image(SHOP, &format!("shop/{repository}")),
        expected: Expected::Runs(tag.to_owned()),
    }
}

/// How the patches of `docs` were answered so far.
fn patches_of_docs(world: &WireWorld) -> impl Iterator<Item = Option<u16>> {
    let patches = world.patches.iter().filter(|patch| patch.key.1 == "docs");
    patches.map(|patch| patch.status)
}
