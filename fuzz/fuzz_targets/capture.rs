#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| maybug_fuzz::capture_file(data));
