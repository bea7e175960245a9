//! Records as JSON objects, one per line.

use image_updater_core::rfc3339::Rfc3339;
use image_updater_core::time::UnixTime;
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::field::{Field, FieldValue};
use super::level::Level;

/// Appends one object with `time`, `level`, `msg` and the fields.
pub(super) fn append(
    line: &mut String,
    at: UnixTime,
    level: Level,
    message: &str,
    fields: &[Field<'_>],
) {
    let record = Record {
        at,
        level,
        message,
        fields,
    };
    line.push_str(&serde_json::to_string(&record).expect("a map with text keys has a JSON form"));
    line.push('\n');
}

struct Record<'a> {
    at: UnixTime,
    level: Level,
    message: &'a str,
    fields: &'a [Field<'a>],
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &Rfc3339(self.at).to_string())?;
        map.serialize_entry("level", self.level.line_word())?;
        map.serialize_entry("msg", self.message)?;
        for (idx, field) in self.fields.iter().enumerate() {
            // Readers disagree about repeated members, so the last of a name stands for all.
            if self.fields[idx + 1..]
                .iter()
                .any(|later| later.name == field.name)
            {
                continue;
            }
            let name = field.line_name();
            match &field.value {
                FieldValue::Text(text) => map.serialize_entry(&name, text)?,
                FieldValue::Number(number) => map.serialize_entry(&name, number)?,
                FieldValue::Bool(yes) => map.serialize_entry(&name, yes)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_one_object_on_one_line() {
        let fields = [
            Field::new("application", "a\"b\n"),
            Field::new("tries", 3_u32),
            Field::new("level", "mine"),
            Field::new("tries", 4_u32),
            Field::new("dry", true),
        ];
        let mut line = String::new();
        append(
            &mut line,
            UnixTime::from_secs(0),
            Level::Warn,
            "x\ny",
            &fields,
        );
        assert_eq!(
            line,
            "{\"time\":\"1970-01-01T00:00:00Z\",\"level\":\"warning\",\"msg\":\"x\\ny\",\
             \"application\":\"a\\\"b\\n\",\"fields.level\":\"mine\",\"tries\":4,\"dry\":true}\n"
        );
    }
}
