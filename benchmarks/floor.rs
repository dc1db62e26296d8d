//! The job of floor.c's `spawn`, as Rust's standard library does it: floor_rust spawn N PROGRAM
use std::process::Command;
use std::time::Instant;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let count: usize = words[2].parse().expect("a number");
    let mut times: Vec<u128> = (0..count)
        .map(|_| {
            let begun = Instant::now();
            Command::new(&words[3]).status().expect("a program");
            begun.elapsed().as_nanos()
        })
        .collect();
    times.sort();
    println!("{}", times[count / 2]);
}
