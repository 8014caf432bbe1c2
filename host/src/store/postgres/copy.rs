//! A database as the source or the target of a copy: see [`crate::store::copy`].

mod read;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::store::copy::{
    Batch, Begun, Identity, Mark, Outbox, PROGRESS_SETTING, Progress, Readable, Target,
};
use crate::store::{BookVersion, Result, StoreError};
use crate::time::{Clock as _, SystemClock};

use super::alone;
use super::connection::Address;
use super::fold;
use super::transaction::{Done, Lock, Shared, Transaction};

/// A database that is copied, or made.
#[derive(Debug)]
pub struct PostgresCopy {
    shared: Arc<Shared>,
}

impl PostgresCopy {
    /// Opens a database that is to be copied.
    ///
    /// # Errors
    ///
    /// Where it cannot be reached, has pending migrations, or is itself an unfinished copy.
    pub async fn source(address: &Address) -> Result<Self> {
        let source = Self::open(address).await?;
        refuse_unfinished(&source.shared).await?;
        // What is read of the counts is their sums.
        fold::everything(&source.shared).await?;
        Ok(source)
    }

    /// Opens a database that is to be made of another store. `anew` throws away what is there of a copy.
    ///
    /// # Errors
    ///
    /// Where it cannot be reached, or has pending migrations.
    pub async fn target(address: &Address, anew: bool) -> Result<Self> {
        let target = Self::open(address).await?;
        if anew {
            target.empty().await?;
        }
        Ok(target)
    }

    async fn open(address: &Address) -> Result<Self> {
        Ok(Self { shared: alone::open(address).await? })
    }

    /// Nothing but what is there of a copy is thrown away.
    async fn empty(&self) -> Result<()> {
        let work = |transaction: Arc<Transaction>| async move {
            if progress(&transaction).await?.is_some() {
                transaction.execute(include_str!("sql/copy_empty.sql"), &[]).await?;
            }
            Ok(())
        };
        self.shared.transact(Lock::Alone, work).await
    }
}

/// Where a copy into the database is not finished, no host may start on it.
pub async fn refuse_unfinished(shared: &Shared) -> Result<()> {
    match shared.transact(Lock::Free, |transaction| async move { progress(&transaction).await }).await? {
        None => Ok(()),
        Some(_) => Err(StoreError::Unavailable(
            "the database holds an unfinished copy of another store; finish it with `hookwright store copy`, as it was begun"
                .to_owned(),
        )),
    }
}

async fn progress(transaction: &Transaction) -> Done<Option<Progress>> {
    let rows = transaction.query(include_str!("sql/setting.sql"), &[&PROGRESS_SETTING]).await?;
    rows.first().map(|row| Ok(Progress::decode(row.try_get("value")?)?)).transpose()
}

async fn put_progress(transaction: &Transaction, progress: &Progress) -> Done<()> {
    let sql = include_str!("sql/put_setting.sql");
    transaction.execute(sql, &[&PROGRESS_SETTING, &progress.encode()?]).await?;
    Ok(())
}

async fn number(transaction: &Transaction, sql: &str) -> Done<u64> {
    Ok(transaction.one(sql, &[]).await?.try_get::<_, i64>("number")?.unsigned_abs())
}

#[async_trait]
impl Readable for PostgresCopy {
    async fn identity(&self) -> Result<Identity> {
        let work = |transaction: Arc<Transaction>| async move {
            let sql = include_str!("sql/copy_settings.sql");
            let mut settings = Vec::new();
            for row in transaction.query(sql, &[&PROGRESS_SETTING]).await? {
                settings.push((row.try_get("name")?, row.try_get("value")?));
            }
            let row = transaction.one(include_str!("sql/copy_state.sql"), &[]).await?;
            let number = |name: &str| -> Done<u64> { Ok(row.try_get::<_, i64>(name)?.unsigned_abs()) };
            let version = BookVersion(number("version")?);
            Ok(Identity::of(settings, version, number("next_sequence")?, number("pending")?)?)
        };
        self.shared.transact(Lock::Snapshot, work).await
    }

    async fn events(&self) -> Result<u64> {
        let sql = include_str!("sql/copy_number_of_events.sql");
        self.shared.transact(Lock::Free, |transaction| async move { number(&transaction, sql).await }).await
    }

    fn read(&self, after: Mark) -> mpsc::Receiver<Result<Batch>> {
        let (outbox, batches) = Outbox::new();
        let failures = outbox.failures();
        let shared = self.shared.clone();
        tokio::spawn(async move {
            if let Err(fault) = read::everything(&shared, &after, outbox).await {
                // Whoever went away does not hear it.
                let _ = failures.send(Err(fault.error())).await;
            }
        });
        batches
    }

    async fn is_used(&self) -> Result<Option<String>> {
        alone::is_used(&self.shared, SystemClock.now()).await
    }
}

#[async_trait]
impl Target for PostgresCopy {
    async fn begin(&self, source: &Identity) -> Result<Begun> {
        let work = |transaction: Arc<Transaction>| async move {
            match progress(&transaction).await? {
                Some(progress) if progress.source != source.digest => return Ok(Begun::Other),
                Some(progress) => return Ok(Begun::From(progress.mark)),
                None => {}
            }
            let row = transaction.one(include_str!("sql/copy_is_empty.sql"), &[]).await?;
            if !row.try_get::<_, bool>("empty")? {
                return Ok(Begun::NotEmpty);
            }
            put_progress(&transaction, &Progress::begun(source)).await?;
            Ok(Begun::From(Mark::BEGINNING))
        };
        self.shared.transact(Lock::Alone, work).await
    }

    async fn take(&self, batch: Batch) -> Result<()> {
        let batch = &batch;
        let work = |transaction: Arc<Transaction>| async move {
            let mut progress = progress(&transaction).await?.ok_or(StoreError::Closed)?;
            progress.sequence = write::records(&transaction, &batch.records, progress.sequence).await?;
            progress.mark = batch.mark.clone();
            put_progress(&transaction, &progress).await
        };
        self.shared.transact(Lock::Alone, work).await
    }

    async fn finish(&self, version: BookVersion) -> Result<()> {
        let work = |transaction: Arc<Transaction>| async move {
            let next = progress(&transaction).await?.ok_or(StoreError::Closed)?.sequence + 1;
            let (version, next) = (super::row::big(version.0), super::row::sequence_key(next));
            transaction.execute(include_str!("sql/copy_lines.sql"), &[]).await?;
            transaction.execute(include_str!("sql/copy_finish.sql"), &[&version, &next]).await?;
            transaction.execute(include_str!("sql/copy_analyze.sql"), &[]).await?;
            transaction.execute(include_str!("sql/delete_setting.sql"), &[&PROGRESS_SETTING]).await?;
            Ok(())
        };
        self.shared.transact(Lock::Alone, work).await
    }
}
