//! Helm: an image is one parameter or two, replaced where they stand and appended where they are missing
//! (`images.md` 11.1).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::app::{HelmNames, Parameter};
use crate::image::Image;

/// The parameters that hold `image`, name before tag (`images.md` 11.1).
pub fn parameters_of(image: &Image, names: HelmNames<'_>) -> Vec<Parameter> {
    let forced = |name: &str, value: String| Parameter {
        name: name.into(),
        value: value.into_boxed_str(),
        force_string: true,
    };
    match names {
        HelmNames::Spec(spec) => Vec::from([forced(spec, image.full_name_with_tag())]),
        HelmNames::NameAndTag { name, tag } => Vec::from([
            forced(name, image.full_name()),
            forced(tag, image.tag_with_digest()),
        ]),
    }
}

/// Puts `written` into `parameters`: every one of the same name is replaced, and what is missing is appended
/// (`images.md` 11.1). Of several written ones with one name, the first replaces.
pub fn merge(parameters: &mut Vec<Parameter>, written: &[Parameter]) {
    let n_existing = parameters.len();
    for parameter in parameters.iter_mut() {
        if let Some(new) = written.iter().find(|new| new.name == parameter.name) {
            parameter.clone_from(new);
        }
    }
    for new in written {
        let is_replaced = |old: &Parameter| old.name == new.name;
        if !parameters[..n_existing].iter().any(is_replaced) {
            parameters.push(new.clone());
        }
    }
}

/// The image that `parameters` hold under `names`; empty when a parameter is missing (`images.md` 11.1).
pub fn current_image(parameters: &[Parameter], names: HelmNames<'_>) -> Box<str> {
    let value = |name: &str| {
        let found = parameters.iter().find(|parameter| *parameter.name == *name);
        found.map(|parameter| &*parameter.value)
    };
    match names {
        HelmNames::Spec(spec) => value(spec).unwrap_or_default().into(),
        HelmNames::NameAndTag { name, tag } => match value(name).zip(value(tag)) {
            Some((name, tag)) => format!("{name}:{tag}").into_boxed_str(),
            None => Box::default(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_for_both_settles_after_the_first_write() {
        let names = HelmNames::NameAndTag {
            name: "image",
            tag: "image",
        };
        let written = parameters_of(&Image::parse("a/b:2"), names);
        let mut parameters = Vec::new();
        merge(&mut parameters, &written);
        assert_eq!(values(&parameters), ["a/b", "2"]);
        merge(&mut parameters, &written);
        let settled = parameters.clone();
        merge(&mut parameters, &written);
        assert_eq!(parameters, settled);
    }

    #[test]
    fn current_image_needs_every_parameter() {
        let spec = HelmNames::Spec("image");
        let pair = HelmNames::NameAndTag {
            name: "name",
            tag: "tag",
        };
        for (names, held, expect) in [
            (spec, &[("image", "a/b:1")][..], "a/b:1"),
            (spec, &[("name", "a/b")][..], ""),
            (pair, &[("tag", "1"), ("name", "a/b")][..], "a/b:1"),
            (pair, &[("tag", "1")][..], ""),
            (pair, &[("name", "a/b"), ("tag", "")][..], "a/b:"),
        ] {
            let held: Vec<_> = held.iter().map(|(n, v)| parameter(n, v)).collect();
            assert_eq!(&*current_image(&held, names), expect, "{names:?}");
        }
    }

    fn values(parameters: &[Parameter]) -> Vec<&str> {
        parameters.iter().map(|one| &*one.value).collect()
    }

    fn parameter(name: &str, value: &str) -> Parameter {
        Parameter {
            name: name.into(),
            value: value.into(),
            force_string: false,
        }
    }
}
