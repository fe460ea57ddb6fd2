//! What can be typed of users, roles and tokens.

use clap::{Args, Subcommand};

/// A password is asked for at the terminal, and never taken from the command line, where others see it.
#[derive(Debug, Args)]
pub(crate) struct NewPassword {
    /// Read the new password from the first line of standard input instead of asking for it
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Users {
    /// List the users
    List,
    /// Show a user with their roles and grants
    Show {
        /// Name of the user
        user: String,
    },
    /// Make a user, who may do nothing until they are granted something
    Create {
        /// Name of the user
        user: String,
        /// Let them do everything
        #[arg(long)]
        admin: bool,
        /// Let them sign in with tokens only, as programs do
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
        #[command(flatten)]
        password: NewPassword,
    },
    /// Remove a user with their tokens and grants; what they made stays
    Delete {
        /// Name of the user
        user: String,
    },
    /// Set the password of a user
    Password {
        /// Name of the user
        user: String,
        #[command(flatten)]
        password: NewPassword,
    },
    /// Make a user an admin, who may do everything
    Promote {
        /// Name of the user
        user: String,
    },
    /// Make a user no longer an admin
    Demote {
        /// Name of the user
        user: String,
    },
    /// Grant something to a user, in the place of an earlier grant on the same thing
    Grant {
        /// Name of the user
        user: String,
        /// The grant: `experiment:read`, `experiment/7:edit`, `registered_model/churn:manage`, `workspace:use`
        #[arg(value_name = "TYPE[/ID]:LEVEL")]
        grant: String,
    },
    /// Take a grant back
    Revoke {
        /// Name of the user
        user: String,
        /// What was granted: `experiment`, `experiment/7`
        #[arg(value_name = "TYPE[/ID]")]
        on: String,
    },
    /// Give a role to a user
    Assign {
        /// Name of the user
        user: String,
        /// Name of the role
        role: String,
    },
    /// Take a role from a user
    Unassign {
        /// Name of the user
        user: String,
        /// Name of the role
        role: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Roles {
    /// List the roles
    List,
    /// Show a role: what it grants, and who has it
    Show {
        /// Name of the role
        role: String,
    },
    /// Make a role
    Create {
        /// Name of the role
        role: String,
        /// What it is for
        #[arg(long, default_value = "", value_name = "TEXT")]
        description: String,
        /// A grant; repeat for more
        #[arg(long = "grant", value_name = "TYPE[/ID]:LEVEL")]
        grants: Vec<String>,
    },
    /// Remove a role; who has it has it no longer
    Delete {
        /// Name of the role
        role: String,
    },
    /// Add a grant to a role, in the place of an earlier one on the same thing
    Grant {
        /// Name of the role
        role: String,
        /// The grant
        #[arg(value_name = "TYPE[/ID]:LEVEL")]
        grant: String,
    },
    /// Take a grant out of a role
    Revoke {
        /// Name of the role
        role: String,
        /// What was granted
        #[arg(value_name = "TYPE[/ID]")]
        on: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tokens {
    /// List the tokens of a user
    List {
        /// Name of the user; by default whoever asks
        #[arg(long = "for", value_name = "USER")]
        user: Option<String>,
    },
    /// Make a token and print it, this once; sign in with a password for it (`--user`)
    Create {
        /// What it is called
        name: String,
        /// Name of the user that it stands for; by default whoever asks
        #[arg(long = "for", value_name = "USER")]
        user: Option<String>,
        /// What it can do at most; repeat for more; without any, all that its user may
        #[arg(long = "scope", value_name = "TYPE[/ID]:LEVEL")]
        scopes: Vec<String>,
        /// Days for which it is good, 366 at most
        #[arg(long, default_value_t = 90, value_name = "DAYS")]
        days: u32,
    },
    /// Take a token back
    Revoke {
        /// Id of the token
        id: String,
    },
}
