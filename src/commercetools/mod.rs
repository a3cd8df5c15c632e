//! Commercetools customers as Segment users: raw notification -> customer -> identify.
//!
//! Pure: text in, text out. Notifications come from outside, so nothing here trusts them: whatever they hold, reading
//! them ends, in time and memory that grow with their size alone. What is not on the list of fields is never kept.

mod customer;
mod identify;
mod notification;
#[cfg(test)]
mod tests;

pub use customer::{Customer, read_customer};
pub use identify::{Identify, UserId};
pub use notification::{About, Parsed, read};
