//! A naive JSON Patch, the judge of ours in tests.

use serde_json::Value;

use crate::effect::{PatchOperation, PatchVerb};

/// RFC 6902 in its simplest form: a missing parent or a wrong index is a failure.
pub(super) fn apply(document: &mut Value, operation: &PatchOperation) {
    let (parent, last) = operation
        .path
        .rsplit_once('/')
        .expect("a pointer has a slash");
    let parent = document.pointer_mut(parent).expect("the parent exists");
    match (parent, operation.verb) {
        (Value::Array(items), PatchVerb::Add) => {
            assert_eq!(last, "-", "elements are only appended");
            items.push(operation.value.clone());
        }
        (Value::Array(items), PatchVerb::Replace) => {
            let at: usize = last.parse().expect("an index");
            items[at] = operation.value.clone();
        }
        (Value::Object(members), PatchVerb::Add) => {
            members.insert(last.into(), operation.value.clone());
        }
        (Value::Object(members), PatchVerb::Replace) => {
            let member = members.get_mut(last).expect("only what exists is replaced");
            *member = operation.value.clone();
        }
        (other, _) => panic!("{other} is no parent"),
    }
}
