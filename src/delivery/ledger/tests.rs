use super::*;
use crate::config::Options;

const ENVELOPE: usize = 100;
const NOW: Duration = Duration::from_secs(1);

fn config(flush_at: f64) -> Config {
    Options { write_key: "key".into(), flush_at: Some(flush_at), ..Options::default() }.build().unwrap()
}

/// Takes an event in; whether the worker is woken.
fn accept(ledger: &mut Ledger, bytes: usize) -> bool {
    ledger.accept(vec![b'x'; bytes].into(), Tracking::Nobody, NOW).unwrap().wake
}

#[test]
fn the_worker_is_woken_once_until_it_has_looked() {
    let config = config(2.0);
    let mut ledger = Ledger::new(&config);
    assert!(accept(&mut ledger, 10));
    assert!(!accept(&mut ledger, 10));
    assert_eq!(ledger.take(&config, ENVELOPE, NOW).unwrap().entries().len(), 2);
    assert_eq!(ledger.plan(&config, ENVELOPE, NOW).due_in, None);
    assert!(accept(&mut ledger, 10));
}

#[test]
fn events_that_come_between_looking_and_planning_do_not_wait_for_the_interval() {
    let full = MAX_BATCH_BYTES / 20;
    for (flush_at, late) in [(2.0, vec![10]), (2_500.0, vec![full; 20])] {
        let config = config(flush_at);
        let mut ledger = Ledger::new(&config);
        accept(&mut ledger, 10);
        assert!(ledger.take(&config, ENVELOPE, NOW).is_none());
        assert!(!late.into_iter().any(|bytes| accept(&mut ledger, bytes)));
        assert_eq!(ledger.plan(&config, ENVELOPE, NOW).due_in, Some(Duration::ZERO));
        assert!(ledger.take(&config, ENVELOPE, NOW).is_some());
    }
}

#[test]
fn a_client_whose_connections_are_all_busy_has_nothing_to_do() {
    let config = Config { max_concurrent_requests: 1, ..config(1.0) };
    let mut ledger = Ledger::new(&config);
    accept(&mut ledger, 10);
    let _batch = ledger.take(&config, ENVELOPE, NOW).unwrap();
    accept(&mut ledger, 10);
    assert_eq!(ledger.plan(&config, ENVELOPE, NOW).due_in, None);
}
