//! From an old list and a new one to the operations of a JSON Patch that touch single elements.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde_json::{Value, json};

use crate::app::Parameter;
use crate::effect::{PatchOperation, PatchVerb};

/// Where a list stands in an object, and how much of the way to it exists.
pub(super) struct ListPlace {
    /// Pointer of the block that holds the list.
    pub(super) block: String,
    /// Its name in the block.
    pub(super) member: &'static str,
    /// The block is there.
    pub(super) has_block: bool,
    /// The list is there.
    pub(super) has_list: bool,
}

impl ListPlace {
    /// Adds `items` at the end; what is missing on the way is created with one operation.
    fn append(&self, items: Vec<Value>) -> Vec<PatchOperation> {
        let Self { block, member, .. } = self;
        if items.is_empty() {
            Vec::new()
        } else if self.has_list {
            let path = format!("{block}/{member}/-");
            items
                .into_iter()
                .map(|item| add(path.clone(), item))
                .collect()
        } else if self.has_block {
            Vec::from([add(format!("{block}/{member}"), Value::Array(items))])
        } else {
            Vec::from([add(block.clone(), json!({ *member: items }))])
        }
    }

    fn element(&self, index: usize) -> String {
        format!("{}/{}/{index}", self.block, self.member)
    }
}

/// What turns the Helm parameters `old` into `new`, which has the same names at the same places and more behind.
pub(super) fn parameter_operations(
    list: &ListPlace,
    old: &[Parameter],
    new: &[Parameter],
) -> Vec<PatchOperation> {
    let mut operations = Vec::new();
    for (index, (old, new)) in old.iter().zip(new).enumerate() {
        let element = list.element(index);
        if old.value != new.value {
            let path = format!("{element}/value");
            // An empty value may stand for an absent one, which cannot be replaced.
            operations.push(if old.value.is_empty() {
                add(path, Value::from(&*new.value))
            } else {
                replace(path, Value::from(&*new.value))
            });
        }
        if old.force_string != new.force_string {
            let path = format!("{element}/forceString");
            operations.push(add(path, Value::from(new.force_string)));
        }
    }
    let appended = new.iter().skip(old.len()).map(|parameter| {
        json!({
            "name": &*parameter.name,
            "value": &*parameter.value,
            "forceString": parameter.force_string,
        })
    });
    operations.extend(list.append(appended.collect()));
    operations
}

/// What turns the Kustomize images `old` into `new`, which is at least as long.
pub(super) fn image_operations(
    list: &ListPlace,
    old: &[Box<str>],
    new: &[Box<str>],
) -> Vec<PatchOperation> {
    let mut operations: Vec<PatchOperation> = old
        .iter()
        .zip(new)
        .enumerate()
        .filter(|(_, (old, new))| old != new)
        .map(|(index, (_, new))| replace(list.element(index), Value::from(new.to_string())))
        .collect();
    let appended = new.iter().skip(old.len());
    operations.extend(list.append(appended.map(|text| Value::from(&**text)).collect()));
    operations
}

fn add(path: String, value: Value) -> PatchOperation {
    PatchOperation {
        verb: PatchVerb::Add,
        path,
        value,
    }
}

fn replace(path: String, value: Value) -> PatchOperation {
    PatchOperation {
        verb: PatchVerb::Replace,
        path,
        value,
    }
}
