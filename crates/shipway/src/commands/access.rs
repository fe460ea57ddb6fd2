//! `whoami`, `users`, `roles` and `tokens`.

use std::{io::BufRead, process::ExitCode};

use serde_json::{Value as Json, json};

use super::Context;
use crate::{
    arguments::{NewPassword, Roles, Tokens, Users},
    client::segment,
    failure::CommandFailure,
    output::{self, Format, member},
};

pub(super) async fn whoami(context: &Context) -> Result<ExitCode, CommandFailure> {
    let me = context.client.get("/me").await?;
    shown(context, &me, || {
        let bounds = if me["unrestricted"] == true { "may do everything" } else { "may do what is granted" };
        output::line(format!("{}  {bounds}", member(&me, "name")));
        if me["account"].is_object() {
            grants_of(&me["account"]);
        }
    })
}

pub(super) async fn users(context: &Context, action: &Users) -> Result<ExitCode, CommandFailure> {
    let client = &context.client;
    let path = |user: &str| format!("/users/{}", segment(user));
    match action {
        Users::List => {
            let answer = client.get("/users").await?;
            shown(context, &answer, || list_users(&answer))
        }
        Users::Show { user } => {
            let answer = client.get(&path(user)).await?;
            shown(context, &answer, || show_user(&answer))
        }
        Users::Create { user, admin, no_password, password } => {
            let password = if *no_password { None } else { Some(new_password(password)?) };
            let body = json!({ "name": user, "admin": admin, "password": password });
            let answer = client.post("/users", &body).await?;
            let next = if *admin { "" } else { "; grant them something, or give them a role" };
            shown(context, &answer, || output::line(format!("made user {user}{next}")))
        }
        Users::Delete { user } => {
            client.delete(&path(user)).await?;
            done(context, &format!("removed user {user}"))
        }
        Users::Password { user, password } => {
            let me = client.get("/me").await?;
            let is_own = me["account"]["name"] == user.as_str();
            let current = if is_own { Some(client.password_or_ask("current password")?) } else { None };
            let body = json!({ "password": new_password(password)?, "current_password": current });
            client.put(&format!("{}/password", path(user)), &body).await?;
            done(context, &format!("{user} has a new password"))
        }
        Users::Promote { user } => {
            let answer = client.patch(&path(user), &json!({ "admin": true })).await?;
            shown(context, &answer, || output::line(format!("{user} may do everything now")))
        }
        Users::Demote { user } => {
            let answer = client.patch(&path(user), &json!({ "admin": false })).await?;
            shown(context, &answer, || output::line(format!("{user} may do what is granted now")))
        }
        Users::Grant { user, grant } => {
            client.post(&format!("{}/grants", path(user)), &json!({ "grant": grant })).await?;
            done(context, &format!("{user} has {grant}"))
        }
        Users::Revoke { user, on } => {
            client.delete(&format!("{}/grants?on={}", path(user), segment(on))).await?;
            done(context, &format!("{user} has no grant of their own on {on}"))
        }
        Users::Assign { user, role } => {
            client.put(&format!("{}/roles/{}", path(user), segment(role)), &json!({})).await?;
            done(context, &format!("{user} has the role {role}"))
        }
        Users::Unassign { user, role } => {
            client.delete(&format!("{}/roles/{}", path(user), segment(role))).await?;
            done(context, &format!("{user} has the role {role} no longer"))
        }
    }
}

pub(super) async fn roles(context: &Context, action: &Roles) -> Result<ExitCode, CommandFailure> {
    let client = &context.client;
    let path = |role: &str| format!("/roles/{}", segment(role));
    match action {
        Roles::List => {
            let answer = client.get("/roles").await?;
            shown(context, &answer, || {
                let rows = answer["roles"].as_array().into_iter().flatten();
                let rows = rows.map(|role| {
                    vec![member(role, "name"), list_of(&role["grants"]), member(role, "description")]
                });
                output::table(&["role", "grants", "description"], rows.collect(), "no roles");
            })
        }
        Roles::Show { role } => {
            let answer = client.get(&path(role)).await?;
            shown(context, &answer, || {
                output::line(format!("{}  {}", member(&answer, "name"), member(&answer, "description")));
                output::line(format!("  grants: {}", list_of(&answer["grants"])));
                output::line(format!("  users: {}", list_of(&answer["users"])));
            })
        }
        Roles::Create { role, description, grants } => {
            let body = json!({ "name": role, "description": description, "grants": grants });
            let answer = client.post("/roles", &body).await?;
            shown(context, &answer, || output::line(format!("made role {role}")))
        }
        Roles::Delete { role } => {
            client.delete(&path(role)).await?;
            done(context, &format!("removed role {role}"))
        }
        Roles::Grant { role, grant } => {
            client.post(&format!("{}/grants", path(role)), &json!({ "grant": grant })).await?;
            done(context, &format!("{role} grants {grant}"))
        }
        Roles::Revoke { role, on } => {
            client.delete(&format!("{}/grants?on={}", path(role), segment(on))).await?;
            done(context, &format!("{role} grants nothing on {on}"))
        }
    }
}

pub(super) async fn tokens(context: &Context, action: &Tokens) -> Result<ExitCode, CommandFailure> {
    let client = &context.client;
    match action {
        Tokens::List { user } => {
            let query = user.as_deref().map_or_else(String::new, |user| format!("?user={}", segment(user)));
            let answer = client.get(&format!("/tokens{query}")).await?;
            shown(context, &answer, || list_tokens(&answer))
        }
        Tokens::Create { name, user, scopes, days } => {
            let body = json!({ "name": name, "user": user, "scopes": scopes, "days": days });
            let answer = client.post("/tokens", &body).await?;
            shown(context, &answer, || {
                let (user, expires) = (member(&answer, "user"), output::moment_of(&answer, "expires"));
                output::note(format!("a token of {user}, good until {expires}; it is shown this once"));
                // Alone on standard output, so that it can be piped.
                output::line(member(&answer, "token"));
            })
        }
        Tokens::Revoke { id } => {
            client.delete(&format!("/tokens/{}", segment(id))).await?;
            done(context, &format!("token {id} is refused from now on"))
        }
    }
}

fn shown(context: &Context, answer: &Json, text: impl FnOnce()) -> Result<ExitCode, CommandFailure> {
    match context.format {
        Format::Json => output::json(answer),
        Format::Text => text(),
    }
    Ok(ExitCode::SUCCESS)
}

fn done(context: &Context, what: &str) -> Result<ExitCode, CommandFailure> {
    shown(context, &json!({ "done": what }), || output::line(what))
}

fn new_password(from: &NewPassword) -> Result<String, CommandFailure> {
    if from.password_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\n', '\r']).to_owned());
    }
    if !output::is_at_terminal() {
        return Err(CommandFailure::new("there is nobody to ask for a password")
            .with_hint("give it on standard input with --password-stdin"));
    }
    let (first, again) =
        (rpassword::prompt_password("new password: ")?, rpassword::prompt_password("once more: ")?);
    if first == again { Ok(first) } else { Err(CommandFailure::new("the two are not the same")) }
}

fn list_of(texts: &Json) -> String {
    let texts: Vec<String> = texts.as_array().into_iter().flatten().map(output::cell).collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(", ") }
}

fn list_users(answer: &Json) {
    let rows = answer["users"].as_array().into_iter().flatten().map(|user| {
        let may = if user["admin"] == true { "everything" } else { "what is granted" };
        let signs_in = if user["has_password"] == true { "password, tokens" } else { "tokens" };
        vec![member(user, "name"), may.to_owned(), signs_in.to_owned(), output::moment_of(user, "created")]
    });
    output::table(&["user", "may do", "signs in with", "created"], rows.collect(), "no users");
}

fn show_user(user: &Json) {
    let may = if user["admin"] == true { "may do everything" } else { "may do what is granted" };
    output::line(format!("{}  {may}", member(user, "name")));
    grants_of(user);
}

fn grants_of(user: &Json) {
    let rows = user["grants"].as_array().into_iter().flatten().map(|grant| {
        let from = if grant["role"].is_null() { "-".to_owned() } else { member(grant, "role") };
        vec![member(grant, "grant"), from]
    });
    output::table(&["grant", "from role"], rows.collect(), "nothing is granted");
}

fn list_tokens(answer: &Json) {
    let rows = answer["tokens"].as_array().into_iter().flatten().map(|token| {
        let mut expires = output::moment_of(token, "expires");
        if token["expired"] == true {
            expires.push_str(" (expired)");
        }
        vec![member(token, "id"), member(token, "name"), list_of(&token["scopes"]), expires]
    });
    output::table(&["token", "name", "scopes", "good until"], rows.collect(), "no tokens");
}
