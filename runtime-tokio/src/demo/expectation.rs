//! What is expected of an Application, and whether the world shows it.

use image_updater_sim::wire::WireWorld;
use serde_json::Value;

use super::cast::NAMESPACE;
use super::chronicle::Told;

/// What is expected of one image of one Application.
#[derive(Clone, Debug)]
pub(super) struct Expectation {
    /// The Application's name.
    pub(super) app: String,
    /// The image's full name without tag.
    pub(super) image: String,
    /// What is expected.
    pub(super) expected: Expected,
}

/// What is expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Expected {
    /// The Application asks for this tag, and Argo CD has synced it.
    Runs(String),
    /// Its spec is as it was, and the image's last decision has this code.
    Stays(&'static str),
    /// Its spec is as it was, because nothing is written for it, with this code.
    Refused(&'static str),
    /// Its spec is as it was, because it takes no part.
    Ignored,
}

impl Expectation {
    /// Whether it holds. `first` is the object as it was when the demo began.
    pub(super) fn is_met(&self, world: &WireWorld, told: &Told, first: Option<&Value>) -> bool {
        let Some(object) = world.cluster.application(NAMESPACE, &self.app) else {
            return false;
        };
        let is_as_it_was = first.is_some_and(|first| first["spec"] == object["spec"]);
        match &self.expected {
            Expected::Runs(tag) => {
                asks_for(object, &self.image, tag) && is_synced(object, &self.image, tag)
            }
            Expected::Stays(code) => {
                let reason = told.reason(&self.app, &self.image);
                is_as_it_was && reason.is_some_and(|reason| reason.code() == *code)
            }
            Expected::Refused(code) => {
                is_as_it_was
                    && told
                        .refusals
                        .get(&self.app)
                        .is_some_and(|said| said.0 == *code)
            }
            Expected::Ignored => is_as_it_was && told.ignored.contains_key(&self.app),
        }
    }
}

/// True when some source's parameters ask for `image:tag`.
fn asks_for(object: &Value, image: &str, tag: &str) -> bool {
    let whole = format!("{image}:{tag}");
    let spec = &object["spec"];
    let listed = spec["sources"].as_array().into_iter().flatten();
    listed.chain([&spec["source"]]).any(|source| {
        let images = source["kustomize"]["images"].as_array();
        let parameters = source["helm"]["parameters"].as_array();
        let has_value = |value: &str| {
            parameters
                .into_iter()
                .flatten()
                .any(|parameter| parameter["value"] == value)
        };
        images.into_iter().flatten().any(|text| *text == whole)
            || (has_value(image) && has_value(tag))
    })
}

/// True unless another tag of `image` runs.
fn is_synced(object: &Value, image: &str, tag: &str) -> bool {
    let live = object["status"]["summary"]["images"].as_array();
    let mut texts = live.into_iter().flatten().filter_map(Value::as_str);
    texts.all(|text| {
        let rest = text
            .strip_prefix(image)
            .and_then(|rest| rest.strip_prefix(':'));
        rest.is_none_or(|running| running == tag)
    })
}

#[cfg(test)]
mod tests {
    use image_updater_fixtures::AppSpec;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_application_runs_a_tag_when_it_asks_for_it_and_is_synced() {
        let mut world = WireWorld::new(0);
        let mut object = AppSpec::kustomize(NAMESPACE, "web")
            .image("r:1/web", "1")
            .to_json();
        let check = |world: &mut WireWorld, object: &Value, is_met: bool| {
            world.cluster.apply(object);
            let expectation = Expectation {
                app: "web".to_owned(),
                image: "r:1/web".to_owned(),
                expected: Expected::Runs("2".to_owned()),
            };
            assert_eq!(
                expectation.is_met(world, &Told::default(), None),
                is_met,
                "{object}"
            );
        };
        check(&mut world, &object, false);
        object["spec"]["source"]["kustomize"]["images"] = json!(["r:1/web:2"]);
        check(&mut world, &object, false);
        object["status"]["summary"]["images"] = json!(["r:1/web:2", "r:1/other:1"]);
        check(&mut world, &object, true);
        object["spec"]["source"]["kustomize"]["images"] = json!(["r:1/web:1"]);
        check(&mut world, &object, false);
    }
}
