//! Errors by their D-Bus names, as systemd, login1 and a bus daemon return them.

use zbus::{DBusError, Message, message::Header, names::ErrorName};

/// An error that a caller gets in place of an answer.
#[derive(Debug)]
pub(super) struct Refused {
    name: &'static str,
    message: String,
}

impl Refused {
    pub(super) fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, message: message.into() }
    }
}

impl DBusError for Refused {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name)?.build(&(self.message.as_str(),))
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_static_str_unchecked(self.name)
    }

    fn description(&self) -> Option<&str> {
        Some(&self.message)
    }
}

impl From<zbus::Error> for Refused {
    fn from(error: zbus::Error) -> Self {
        Self::new("org.freedesktop.DBus.Error.Failed", error.to_string())
    }
}
