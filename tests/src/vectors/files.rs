//! Vectors of the room `writeback` about the contents of files.

use image_updater_core::app::Parameter;
use image_updater_core::image::Platform;
use image_updater_core::update::{ImageSpec, Plan};
use image_updater_core::writeback::edit::FileEdit;
use image_updater_core::writeback::helm_values::Value as HelmValue;
use image_updater_core::writeback::kustomization::KustomizationImage;
use image_updater_core::writeback::target::TargetKind;
use image_updater_core::writeback::yaml::EditRefusal;
use serde_json::{Value, json};

use super::writeback::{application, of_error, text};
use super::{Case, Runner, Verdict};

/// The runner of `group`, if this room has it.
pub(super) fn runner(file: &str, group: &str) -> Option<Runner> {
    match (file, group) {
        ("writeback", "params_override_yaml") => Some(params_override_yaml),
        ("writeback", "helm_values_edit") => Some(helm_values_edit),
        ("writeback", "helm_values_app") => Some(helm_values_app),
        ("writeback", "yaml_scalar_style") => Some(yaml_scalar_style),
        ("writeback", "kustomization_edit") => Some(kustomization_edit),
        ("writeback", "kustomize_image_parse") => Some(kustomize_image_parse),
        _ => None,
    }
}

fn params_override_yaml(case: &Case<'_>) -> Verdict {
    let input = case.input;
    let list = |member: &str| input[member].as_array();
    let edit = if text(&input["source_type"]) == "helm" {
        list("helm_parameters").map(|list| {
            let parameter = |one: &Value| Parameter {
                name: text(&one["name"]).into(),
                value: text(&one["value"]).into(),
                force_string: one["force_string"] == json!(true),
            };
            FileEdit::Parameters(list.iter().map(parameter).collect())
        })
    } else {
        list("kustomize_images").map(|list| {
            let image = |one: &Value| text(one).into();
            FileEdit::Images(list.iter().map(image).collect())
        })
    };
    // Without a block in the source there is nothing to write (WB-35).
    edited(case, "existing", "write", |current| match &edit {
        Some(edit) => edit.edit(current),
        None => Ok(None),
    })
}

fn helm_values_edit(case: &Case<'_>) -> Verdict {
    let current = text(&case.input["text"]);
    let edits = case.input["edits"].as_array().expect("edits is a list");
    let mut now = current.to_owned();
    for edit in edits {
        let value = HelmValue {
            path: text(&edit["key"]).into(),
            text: text(&edit["value"]).into(),
        };
        match FileEdit::Values(vec![value]).edit(Some(now.as_bytes())) {
            Ok(Some(new)) => now = String::from_utf8(new).expect("UTF-8 stays UTF-8"),
            Ok(None) => {}
            Err(error) => return of_error(case, &error),
        }
    }
    Verdict::of(case, &json!({ "text": now }))
}

fn helm_values_app(case: &Case<'_>) -> Verdict {
    let app = application(&case.input["application"]);
    let plan = Plan::of(&app, &Platform::new("linux", "amd64"));
    let edit = ImageSpec::of(&app)
        .map_err(|error| error.to_string())
        .and_then(|spec| {
            FileEdit::of(TargetKind::HelmValues, &app, &plan, spec, &|_| false)
                .map_err(|error| error.to_string())
        });
    match edit {
        Ok(edit) => edited(case, "existing", "write", |current| edit.edit(current)),
        Err(error) => of_error(case, &error),
    }
}

fn yaml_scalar_style(case: &Case<'_>) -> Verdict {
    let value = text(&case.input["value"]);
    let (edit, current, key) = match text(&case.input["context"]) {
        "override" => {
            let parameter = Parameter {
                name: "p".into(),
                value: value.into(),
                force_string: true,
            };
            (FileEdit::Parameters(vec![parameter]), None, "    value: ")
        }
        "kustomization" => {
            let images = vec![format!("nginx:{value}").into()];
            let current = "images:\n- name: nginx\n  newTag: x\n";
            (FileEdit::Kustomization(images), Some(current), "  newTag: ")
        }
        _ => {
            let value = HelmValue {
                path: "image.tag".into(),
                text: value.into(),
            };
            let current = "image:\n  tag: x\n";
            (FileEdit::Values(vec![value]), Some(current), "  tag: ")
        }
    };
    let new = match edit.edit(current.map(str::as_bytes)) {
        Ok(new) => new.unwrap_or_else(|| current.unwrap_or_default().into()),
        Err(error) => return of_error(case, &error),
    };
    let new = String::from_utf8(new).expect("UTF-8 stays UTF-8");
    let from = new.find(key).map_or(0, |at| at + key.len());
    let written = new[from..].split("\n    forcestring:").next();
    let written = written.unwrap_or_default().trim_end_matches('\n');
    Verdict::of(case, &json!({ "scalar": written }))
}

fn kustomization_edit(case: &Case<'_>) -> Verdict {
    let images = case.input["images"].as_array().expect("images is a list");
    let images = images.iter().map(|one| text(one).into()).collect();
    let edit = FileEdit::Kustomization(images);
    edited(case, "text", "changed", |current| edit.edit(current))
}

fn kustomize_image_parse(case: &Case<'_>) -> Verdict {
    match KustomizationImage::parse(text(&case.input["image"])) {
        Ok(image) => Verdict::of(
            case,
            &json!({
                "name": image.name, "newName": image.new_name, "newTag": image.new_tag,
                "digest": image.digest,
            }),
        ),
        Err(error) => of_error(case, &error),
    }
}

/// The text afterwards, and whether it changed under the name that the group has for that.
fn edited(
    case: &Case<'_>,
    current: &str,
    changed: &str,
    edit: impl Fn(Option<&[u8]>) -> Result<Option<Vec<u8>>, EditRefusal>,
) -> Verdict {
    let current = case.input[current].as_str();
    match edit(current.map(str::as_bytes)) {
        Err(error) => of_error(case, &error),
        Ok(new) => {
            let is_changed = new.is_some();
            let new = new.map(|new| String::from_utf8(new).expect("UTF-8 stays UTF-8"));
            let now = new.or_else(|| current.map(str::to_owned));
            Verdict::of(case, &json!({"text": now, changed: is_changed}))
        }
    }
}
