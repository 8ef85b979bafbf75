//! The random numbers of a run, which can be had again.

/// xorshift64*, seeded by the clock unless the environment says how.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Random {
        let clock = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let given = std::env::var("LOSS_SEED")
            .ok()
            .map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or(clock | 1);
        println!("LOSS_SEED={seed}");
        Random(seed)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }
}
