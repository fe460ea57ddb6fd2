//! Files that lie at providers.

use shipway_store::{Row, Store, StoreError, parameters};

use crate::{
    error::GatewayError,
    model::{BatchPlan, StoredFile},
    store::{json, page::Page},
};

const COLUMNS: &str = "id, provider, owner, purpose, object, plan, created_us";

fn read(row: &Row) -> Result<StoredFile, StoreError> {
    let plan = row.optional_text("plan")?.map(|plan| serde_json::from_str::<BatchPlan>(&plan)).transpose();
    Ok(StoredFile {
        id: row.text("id")?,
        provider: row.text("provider")?,
        owner: row.text("owner")?,
        purpose: row.text("purpose")?,
        object: row.text("object")?,
        plan: plan.map_err(|error| StoreError::Damaged(error.into()))?,
        created: row.timestamp("created_us")?,
    })
}

/// Adds a file; one that is known already stays as it is.
pub(crate) async fn add(store: &Store, file: &StoredFile) -> Result<(), GatewayError> {
    let sql = "INSERT INTO llm_files (id, provider, owner, purpose, object, plan, created_us) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id, provider) DO NOTHING";
    let plan = file.plan.as_ref().map(json).transpose()?;
    let StoredFile { id, provider, owner, purpose, object, created, .. } = file;
    let values = parameters![
        id.as_str(),
        provider.as_str(),
        owner.as_str(),
        purpose.as_str(),
        object.as_str(),
        plan,
        *created
    ];
    store.execute(sql, values).await?;
    Ok(())
}

/// The file of this id that `owner` has.
pub(crate) async fn find(store: &Store, id: &str, owner: &str) -> Result<Option<StoredFile>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM llm_files WHERE id = $1 AND owner = $2");
    store.fetch_optional(&sql, parameters![id, owner]).await?.as_ref().map(read).transpose()
}

/// A page of the files of `owner`; of one purpose only, where it is said.
pub(crate) async fn page(
    store: &Store,
    owner: &str,
    purpose: Option<&str>,
    page: &Page,
) -> Result<Vec<StoredFile>, StoreError> {
    let (sql, values) = page.select("llm_files", COLUMNS, &[("owner", Some(owner)), ("purpose", purpose)]);
    store.fetch_all(&sql, values).await?.iter().map(read).collect()
}

/// Forgets one.
pub(crate) async fn delete(store: &Store, file: &StoredFile) -> Result<(), StoreError> {
    let sql = "DELETE FROM llm_files WHERE id = $1 AND provider = $2";
    store.execute(sql, parameters![file.id.as_str(), file.provider.as_str()]).await.map(drop)
}
