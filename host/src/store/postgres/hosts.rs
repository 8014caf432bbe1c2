//! The hosts that deliver from the store, by the clock of the database.

use std::time::Duration;

use crate::id::HostId;
use crate::store::{Result, Seat};

use super::row::{Id, big};
use super::transaction::{Done, Lock, Shared, Transaction};

pub async fn attend(shared: &Shared, seat: &Seat, span: Duration) -> Result<Vec<Seat>> {
    let (host, span) = (Id(seat.host.as_u128()), big(span.as_micros()));
    let keeps_to: &Vec<Id> = &seat.keeps_to.iter().map(|host| Id(host.as_u128())).collect();
    shared
        .transact(Lock::Free, |transaction| async move {
            transaction.execute(include_str!("sql/attend.sql"), &[&host, &keeps_to, &span]).await?;
            transaction.execute(include_str!("sql/forget_hosts.sql"), &[]).await?;
            read(&transaction).await
        })
        .await
}

pub async fn seats(shared: &Shared) -> Result<Vec<Seat>> {
    shared.transact(Lock::Free, |transaction| async move { read(&transaction).await }).await
}

pub async fn leave(shared: &Shared, host: HostId) -> Result<()> {
    let host = Id(host.as_u128());
    shared
        .transact(Lock::Free, |transaction| async move {
            transaction.execute(include_str!("sql/leave.sql"), &[&host]).await?;
            Ok(())
        })
        .await
}

async fn read(transaction: &Transaction) -> Done<Vec<Seat>> {
    let mut seats = Vec::new();
    for row in transaction.query(include_str!("sql/seats.sql"), &[]).await? {
        let keeps_to: Vec<Id> = row.try_get("keeps_to")?;
        seats.push(Seat {
            host: HostId::from_u128(row.try_get::<_, Id>("id")?.0),
            keeps_to: keeps_to.into_iter().map(|id| HostId::from_u128(id.0)).collect(),
        });
    }
    Ok(seats)
}
