//! Pages to read, without code of their own.

#[doc = include_str!("../docs/constructors.md")]
pub mod constructors {}

#[doc = include_str!("../docs/coming_from.md")]
pub mod coming_from {}

#[doc = include_str!("../docs/settings.md")]
pub mod settings {}

#[doc = include_str!("../docs/features.md")]
pub mod features {}

#[doc = include_str!("../docs/platforms.md")]
pub mod platforms {}

#[doc = include_str!("../docs/limits.md")]
pub mod limits {}
