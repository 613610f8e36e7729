//! The properties of an interface, as one call to `org.freedesktop.DBus.Properties` returns them.

use std::collections::HashMap;

use zbus::zvariant::{OwnedValue, Structure, Value};

use super::BusError;

/// Properties by name. One that is missing or of another type than asked for makes the whole answer unusable, as an answer
/// that never came does.
#[derive(Debug)]
pub(in super::super) struct Properties(pub(super) HashMap<String, OwnedValue>);

impl Properties {
    pub(in super::super) fn text(&self, name: &'static str) -> Result<String, BusError> {
        self.read(name, |value| match value {
            Value::Str(text) => Some(text.as_str().to_owned()),
            _ => None,
        })
    }

    pub(in super::super) fn flag(&self, name: &'static str) -> Result<bool, BusError> {
        self.read(name, |value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        })
    }

    /// A 32-bit number.
    pub(in super::super) fn number(&self, name: &'static str) -> Result<u32, BusError> {
        self.read(name, |value| match value {
            Value::U32(number) => Some(*number),
            _ => None,
        })
    }

    /// A time in microseconds since 1970, 0 for never.
    pub(in super::super) fn microseconds(&self, name: &'static str) -> Result<u64, BusError> {
        self.read(name, |value| match value {
            Value::U64(number) => Some(*number),
            _ => None,
        })
    }

    pub(in super::super) fn bytes(&self, name: &'static str) -> Result<Vec<u8>, BusError> {
        self.read(name, |value| match value {
            Value::Array(bytes) => {
                bytes.iter().map(|byte| if let Value::U8(byte) = byte { Some(*byte) } else { None }).collect()
            }
            _ => None,
        })
    }

    /// Reads one structure.
    pub(in super::super) fn structure<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&[Value<'_>]) -> Option<T>,
    ) -> Result<T, BusError> {
        self.read(name, |value| match value {
            Value::Structure(structure) => read(structure.fields()),
            _ => None,
        })
    }

    /// Reads the first structure of an array, `None` of an empty one.
    pub(in super::super) fn first<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&[Value<'_>]) -> Option<T>,
    ) -> Result<Option<T>, BusError> {
        self.read(name, |value| match value {
            Value::Array(array) => match array.first() {
                None => Some(None),
                Some(Value::Structure(first)) => read(Structure::fields(first)).map(Some),
                Some(_) => None,
            },
            _ => None,
        })
    }

    fn read<T>(&self, name: &'static str, read: impl FnOnce(&Value<'_>) -> Option<T>) -> Result<T, BusError> {
        let value = self.0.get(name).and_then(|value| read(value));
        value.ok_or(BusError::Lost(zbus::Error::MissingParameter(name)))
    }
}
