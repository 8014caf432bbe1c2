//! How words are written into columns.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::delivery::Delivery;
use crate::endpoint::Order;
use crate::store::redb::record;
use crate::store::{Place, Result, StoreError};
use crate::time::Timestamp;

/// 128 bits, as a `uuid`. Their order is that of the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(pub u128);

impl ToSql for Id {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_u128(self.0);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Id {
    fn from_sql(_: &Type, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(u128::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::UUID
    }
}

/// A place as a number.
pub fn place_key(place: Place) -> i64 {
    sequence_key(place.sequence) << 16 | i64::from(place.ordinal)
}

pub fn place_of(key: i64) -> Place {
    Place { sequence: (key >> 16).unsigned_abs(), ordinal: (key & 0xffff) as u16 }
}

pub fn sequence_key(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// The places of an event's deliveries, from the first to the last.
pub fn places(sequence: i64) -> (i64, i64) {
    (sequence << 16, sequence << 16 | 0xffff)
}

/// As `bigint`; what is more than fits is as much as fits.
pub fn big(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

pub fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_micros)
}

pub fn time(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

/// A delivery as it is written; where it waits, the column says when it is due.
pub fn delivery(row: &[u8], due: Option<i64>) -> Result<Delivery> {
    let delivery = record::decode_delivery(row)?;
    Ok(Delivery { due: time(due), ..delivery })
}

pub fn ordering(order: Order) -> (&'static str, Option<i64>) {
    match order {
        Order::Free => ("free", None),
        Order::Strict => ("strict", None),
        Order::Parking { after } => ("parking", Some(i64::from(after))),
    }
}

pub fn order(word: &str, aside_after: Option<i64>) -> Result<Order> {
    match (word, aside_after.map(u32::try_from)) {
        ("free", None) => Ok(Order::Free),
        ("strict", None) => Ok(Order::Strict),
        ("parking", Some(Ok(after))) => Ok(Order::Parking { after }),
        _ => Err(StoreError::Corrupt(format!("`{word}` is no order of an endpoint"))),
    }
}
