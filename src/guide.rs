//! Pages of documentation, from `docs/`.
//!
//! The pages link to each other and to pictures by reference, with definitions that suit a source
//! host. The definitions here come first, so rustdoc uses them instead: links lead to modules of
//! this guide. Rustdoc cannot load pictures from files, so their references show an empty picture,
//! and the pictures follow inline.

#[doc = include_str!("../docs/constructors.md")]
pub mod constructors {}

#[doc = include_str!("../docs/coming_from.md")]
pub mod coming_from {}

#[doc = "[observability]: crate::guide::observability"]
#[doc = "[sizing]: crate::guide::sizing"]
#[doc = ""]
#[doc = include_str!("../docs/settings.md")]
pub mod settings {}

#[doc = "[benchmarks]: crate::guide::benchmarks"]
#[doc = "[observability]: crate::guide::observability"]
#[doc = ""]
#[doc = include_str!("../docs/sizing.md")]
pub mod sizing {}

#[doc = include_str!("../docs/errors.md")]
pub mod errors {}

#[doc = "[platforms]: crate::guide::platforms"]
#[doc = "[budgets]: crate::guide::sizing#budgets"]
#[doc = "[memory map]: data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%20width='1'%20height='1'/%3E"]
#[doc = ""]
#[doc = include_str!("../docs/observability.md")]
#[doc = ""]
#[doc = include_str!("../docs/memory_map.svg")]
pub mod observability {}

#[doc = "[observability]: crate::guide::observability"]
#[doc = ""]
#[doc = include_str!("../docs/features.md")]
pub mod features {}

#[doc = "[limits]: crate::guide::limits"]
#[doc = ""]
#[doc = include_str!("../docs/platforms.md")]
pub mod platforms {}

#[doc = include_str!("../docs/limits.md")]
pub mod limits {}

#[doc = "[settings]: crate::guide::settings"]
#[doc = "[coming_from]: crate::guide::coming_from"]
#[doc = "[peers plot]: data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%20width='1'%20height='1'/%3E"]
#[doc = "[zeroing plot]: data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%20width='1'%20height='1'/%3E"]
#[doc = ""]
#[doc = include_str!("../docs/benchmarks.md")]
#[doc = ""]
#[doc = include_str!("../docs/peers.svg")]
#[doc = ""]
#[doc = include_str!("../docs/alloc_vs_alloc_unsafe.svg")]
pub mod benchmarks {}
