//! `Arbitrary`, with the real crate's `Unstructured`.

mod common;

use arbitrary::{Arbitrary, Unstructured};
use common::{SLAB, stamp};
use slabuf::Buffer;

#[test]
fn a_buffer_is_what_a_slice_would_be() {
    let mut input = vec![0; 3 * SLAB];
    for seed in 0..50 {
        stamp(&mut input, seed);
        for len in [0, 1, 2, 9, 100, SLAB, SLAB + 3, 3 * SLAB] {
            let (mut ours, mut theirs) = (
                Unstructured::new(&input[..len]),
                Unstructured::new(&input[..len]),
            );
            for _ in 0..4 {
                let buffer = Buffer::arbitrary(&mut ours);
                let slice = <&[u8]>::arbitrary(&mut theirs);
                match (buffer, slice) {
                    (Ok(buffer), Ok(slice)) => assert_eq!(buffer, slice),
                    (Err(_), Err(_)) => {}
                    (buffer, slice) => panic!("{buffer:?} but {slice:?}"),
                }
            }
            let rest = Buffer::arbitrary_take_rest(Unstructured::new(&input[..len])).unwrap();
            assert_eq!(rest, input[..len]);
        }
    }
}

#[test]
fn it_is_part_of_what_others_derive() {
    let mut u = Unstructured::new(&[7; 64]);
    let (number, buffers) = <(u8, Vec<Buffer>)>::arbitrary(&mut u).unwrap();
    assert_eq!(number, 7);
    assert!(buffers.iter().flat_map(|b| b.iter()).all(|byte| *byte == 7));
}
