#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hardstop_fuzz::faults(input));
