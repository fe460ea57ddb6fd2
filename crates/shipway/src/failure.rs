//! What a command ends with when it does not succeed.

use std::process::ExitCode;

/// Exit codes, documented in docs/reference/cli.md.
pub(crate) mod exit {
    /// The server or the command said no.
    pub(crate) const FAILED: u8 = 1;
    /// `plan` found something to do.
    pub(crate) const CHANGES: u8 = 2;
    /// No server answered.
    pub(crate) const UNREACHABLE: u8 = 3;
    /// The command line is wrong.
    pub(crate) const USAGE: u8 = 64;
}

/// An error for a person: the thing, the remedy, the stable code.
#[derive(Debug)]
pub(crate) struct CommandFailure {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) exit: u8,
}

impl CommandFailure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: None, exit: exit::FAILED }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }

    /// A domain error on this machine, such as a configuration that cannot be read.
    pub(crate) fn of(error: &(impl shipway_core::Failure + 'static)) -> Self {
        Self {
            message: shipway_core::failure::chain(error),
            hint: error.hint().map(Into::into),
            code: Some(error.code().to_owned()),
            exit: exit::FAILED,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }
}

impl From<std::io::Error> for CommandFailure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}
