//! A library without imports: a number in, a number out.

/// The prime number of index `n`, beginning with 2 for 1; 0 for what has none.
#[no_mangle]
pub extern "C" fn nth(n: i32) -> i32 {
    if n < 1 {
        return 0;
    }
    let is_prime = |candidate: &i32| (2..).take_while(|d| d * d <= *candidate).all(|d| candidate % d != 0);
    (2..).filter(is_prime).nth(n as usize - 1).unwrap_or(0)
}
