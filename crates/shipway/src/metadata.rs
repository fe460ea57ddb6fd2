//! Opens the metadata database that belongs to a data folder, and moves it from SQLite to PostgreSQL.
//!
//! A data folder and its metadata belong together: the log and the states in the folder mean what the definitions in the database
//! say. So a database knows the folder, and a folder whose metadata are elsewhere says so in a file.

use std::{io::ErrorKind, path::Path};

use shipway_log::{EventLog, LogOptions};
use shipway_store::{Moved, Store};
use uuid::Uuid;

use crate::{
    configuration::{Configuration, MetadataConfiguration},
    failure::CommandFailure,
};

const FILE: &str = "meta.db";
/// Its presence says that the metadata are in PostgreSQL.
const ELSEWHERE: &str = "metadata.elsewhere";
/// What the file of a folder is called once its content was moved.
const MOVED: &str = "meta.db.moved";

/// What this server is called: the same for as long as the data folder lives, and no other server's.
pub(crate) fn server_id(data: &Path) -> Result<String, CommandFailure> {
    let path = data.join("server-id");
    match fs_err::read_to_string(&path) {
        Ok(id) => Ok(id.trim().to_owned()),
        Err(missing) if missing.kind() == ErrorKind::NotFound => {
            let id = Uuid::new_v4().simple().to_string()[..12].to_owned();
            fs_err::write(&path, format!("{id}\n"))?;
            Ok(id)
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Opens what the configuration names, unless it is not what this data folder was last run with.
pub(crate) async fn open(configuration: &Configuration) -> Result<Store, CommandFailure> {
    let (data, MetadataConfiguration { url, connections }) = (&configuration.data, &configuration.metadata);
    let Some(url) = url else {
        if data.join(ELSEWHERE).exists() {
            return Err(CommandFailure::new(format!(
                "data folder {}: its metadata are in PostgreSQL, and metadata.url is not set",
                data.display()
            ))
            .with_hint("set metadata.url, or SHIPWAY_METADATA__URL, to that database"));
        }
        return Store::open(&data.join(FILE)).await.map_err(|error| CommandFailure::of(&error));
    };
    if data.join(FILE).exists() {
        return Err(CommandFailure::new(format!(
            "data folder {}: its metadata are in the file {FILE}, and metadata.url names another database",
            data.display()
        ))
        .with_hint("move them with `shipway metadata move`, or leave metadata.url out"));
    }
    let store = Store::open_postgres(url, *connections).await.map_err(|error| CommandFailure::of(&error))?;
    store.settle(&server_id(data)?).await.map_err(|error| CommandFailure::of(&error))?;
    fs_err::write(data.join(ELSEWHERE), "The metadata of this data folder are in PostgreSQL.\n")?;
    Ok(store)
}

/// Opens the metadata of another server's data folder, for a replica of it.
pub(crate) async fn open_of_owner(configuration: &Configuration) -> Result<Store, CommandFailure> {
    let (data, MetadataConfiguration { url, connections }) = (&configuration.data, &configuration.metadata);
    let Some(url) = url else {
        return Err(CommandFailure::new("llm.role is replica, and metadata.url is not set").with_hint(
            "set metadata.url, or SHIPWAY_METADATA__URL, to the PostgreSQL database of the owner",
        ));
    };
    if [FILE, ELSEWHERE].iter().any(|file| data.join(file).exists()) {
        return Err(CommandFailure::new(format!(
            "data folder {}: it is that of a whole server, and llm.role is replica",
            data.display()
        ))
        .with_hint("give the replica a data folder of its own, with --data"));
    }
    Store::open_postgres(url, *connections).await.map_err(|error| CommandFailure::of(&error))
}

/// Moves the metadata of a data folder whose server does not run. What was in SQLite stays beside, under another name.
pub(crate) async fn move_to_postgres(
    configuration: &Configuration,
    progress: impl FnMut(&str, u64),
) -> Result<Moved, CommandFailure> {
    let data = &configuration.data;
    let Some(url) = &configuration.metadata.url else {
        return Err(CommandFailure::new("metadata.url is not set")
            .with_hint("set it, or SHIPWAY_METADATA__URL, to an empty database of PostgreSQL 13 or newer"));
    };
    let file = data.join(FILE);
    if !file.is_file() {
        return Err(CommandFailure::new(format!("data folder {}: it has no file {FILE}", data.display()))
            .with_hint("name the data folder with --data or in shipway.toml"));
    }
    // The log's lock keeps a server off the folder while this runs.
    let log = EventLog::open(&data.join("log"), LogOptions::default())
        .map_err(|error| CommandFailure::of(&error))?;
    let moved = shipway_store::move_to_postgres(&file, url, &server_id(data)?, progress)
        .await
        .map_err(|error| CommandFailure::of(&error))?;
    fs_err::write(data.join(ELSEWHERE), "The metadata of this data folder are in PostgreSQL.\n")?;
    fs_err::rename(&file, data.join(MOVED))?;
    log.close().await;
    Ok(moved)
}
