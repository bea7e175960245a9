//! What the text of the metrics says.

use std::collections::{BTreeMap, BTreeSet};

use image_updater_core::metrics::Value;
use image_updater_core::metrics::exposition::write_samples;
use image_updater_tests::world::World;

/// What all names begin with.
pub(crate) const PREFIX: &str = "argocd_image_updater_";

pub(crate) fn text(world: &World) -> String {
    let mut text = String::new();
    write_samples(&mut text, world.core.metrics().samples()).expect("a String takes everything");
    text
}

/// The values by name and labels.
pub(crate) fn lines(world: &World) -> BTreeMap<String, String> {
    let text = text(world);
    let values = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = values.map(|line| line.rsplit_once(' ').expect("a name and a value"));
    let pairs: Vec<_> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let n = pairs.len();
    let map: BTreeMap<_, _> = pairs.into_iter().collect();
    assert_eq!(map.len(), n, "each series once");
    map
}

/// The sum of a family's series with these labels; of a histogram, its counts.
pub(crate) fn total(world: &World, name: &str, labels: &[(&str, &str)]) -> u64 {
    let name = format!("{PREFIX}{name}");
    let samples = world.core.metrics().samples();
    let fitting = samples.filter(|sample| {
        let own: Vec<(&str, String)> = sample
            .labels()
            .map(|(name, value)| (name, value.to_string()))
            .collect();
        let has = |label: &(&str, &str)| own.iter().any(|own| own.0 == label.0 && own.1 == label.1);
        sample.family.name == name && labels.iter().all(has)
    });
    fitting
        .map(|sample| match sample.value {
            Value::Integer(value) => value,
            Value::Histogram(histogram) => histogram.count(),
        })
        .sum()
}

/// The sum of the buckets of a family with this bound.
pub(crate) fn bucket(world: &World, name: &str, bound: &str) -> u64 {
    let (name, bound) = (format!("{PREFIX}{name}_bucket"), format!("le=\"{bound}\""));
    let all = lines(world).into_iter();
    let fitting = all.filter(|(key, _)| key.starts_with(&name) && key.contains(&bound));
    fitting
        .map(|(_, value)| value.parse::<u64>().expect("a count"))
        .sum()
}

/// All values of the label `application`.
pub(crate) fn applications(world: &World) -> BTreeSet<String> {
    let samples = world.core.metrics().samples();
    let labels = samples.flat_map(|sample| sample.labels().collect::<Vec<_>>());
    let own = labels.filter(|(name, _)| *name == "application");
    own.map(|(_, value)| value.to_string()).collect()
}
