//! What holds after every step.

use super::Model;
use crate::common::{address, assert_apart};

impl Model {
    /// Checks the invariants that hold after every step.
    pub(crate) fn check(&self) {
        for (buffer, expected) in &self.live {
            assert_eq!(buffer.len(), expected.len());
            assert!(buffer[..] == expected[..], "contents of {buffer:?}");
            assert!(buffer.capacity() >= buffer.len());
            assert_eq!(buffer.is_empty(), expected.is_empty());
        }
        for (view, expected) in &self.views {
            assert!(
                view == expected,
                "contents of a view of {} bytes",
                expected.len()
            );
            for (buffer, _) in &self.live {
                let (start, end) = (address(buffer), address(buffer) + buffer.capacity());
                assert!(
                    address(view) + view.len() <= start || end <= address(view) || view.is_empty()
                );
            }
        }
        // Parts without capacity may have any address.
        let buffers = self.live.iter().map(|(buffer, _)| buffer);
        assert_apart(buffers.filter(|buffer| buffer.capacity() > 0));
        let usage = self.pool.usage();
        assert!(usage.external >= usage.array_buffers, "{usage:?}");
        assert!(
            usage.external <= self.settings.limit.unwrap_or(usize::MAX) as u64,
            "{usage:?}"
        );
        if let Some(budget) = &self.budget {
            let shared = budget.usage();
            assert!(shared.mapped <= shared.limit, "{shared:?}");
            let other = self.other.usage();
            assert_eq!(shared.mapped, usage.external + other.external);
        }
        assert!(
            usage.large_cached <= self.settings.cache_limit as u64,
            "{usage:?}"
        );
    }
}
