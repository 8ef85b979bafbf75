use super::{Counter, LockedCounter};

#[test]
fn a_count_goes_beyond_32_bits_with_and_without_64_bit_atomics() {
    let counter = Counter::default();
    let without_atomics = LockedCounter::default();
    let mut want = 0;
    for n in [0, 1, u64::from(u32::MAX), 7] {
        want += n;
        counter.add(n);
        without_atomics.add(n);
        assert_eq!((counter.get(), without_atomics.get()), (want, want));
    }
}
