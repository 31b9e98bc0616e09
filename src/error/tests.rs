//! Tests of the module.

use super::*;

#[test]
fn messages_name_the_value_and_the_limit() {
    let state = PoolState {
        rounded: 73_728,
        in_use: 30_000,
        mapped: 40_960,
        limit: Some(65_536),
        budget: Some((1_048_576, 999_424)),
    };
    let error = AllocFailure::Budget.into_error(70_000, state).to_string();
    for number in ["70000", "73728", "999424", "1048576"] {
        assert!(error.contains(number), "{number}: {error}");
    }
    for failure in [AllocFailure::Limit, AllocFailure::System] {
        let error = failure.into_error(70_000, state).to_string();
        for number in ["70000", "73728", "30000", "40960", "65536"] {
            assert!(error.contains(number), "{number}: {error}");
        }
    }
    let error = AllocFailure::System.into_error(70_000, PoolState::default());
    assert!(!error.to_string().contains("limit"), "{error}");
    let error = ConfigError::Limit {
        given: 5,
        minimum: 32_768,
    };
    assert!(error.to_string().contains("32768"));
}
